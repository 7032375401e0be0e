"""What learning tasks together gains over learning each alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class MultitaskGain(Struct, frozen=True):
    """Relative gain of a multi-task model over single-task baselines; .02 is two per cent.

    Attributes:
        value: Δm, the mean over tasks.
        per_task: each task's gain.
        stderr: of `value`; None where no standard errors were given.
        per_task_stderr: of each task's gain; empty where none were given.
    """

    value: float
    per_task: tuple[float, ...]
    stderr: float | None = None
    per_task_stderr: tuple[float, ...] = ()


def delta_m(
    model: ArrayLike,
    baseline: ArrayLike,
    lower_is_better: ArrayLike,
    *,
    model_stderrs: ArrayLike | None = None,
    baseline_stderrs: ArrayLike | None = None,
    covariances: ArrayLike | None = None,
) -> MultitaskGain:
    """Δm = (1/T) Σ_t (−1)^{l_t} (M_t − B_t)/B_t, l_t being 1 where lower is better (Maninis et al. 2019, "Attentive single-tasking").

    Standard errors by the delta method, tasks being independent: that of a task's gain is √(SE_M² + (M/B)² SE_B² − 2 (M/B) C)/|B|, C being
    the covariance of the two scores, above 0 where they rest on the same items. It grows without bound as a baseline nears 0.

    Args:
        model, baseline: shape (T,), each on its task's metric.
        lower_is_better: shape (T,), true or false.
        model_stderrs, baseline_stderrs: shape (T,), over items or over seeds; one of them left out counts as known without error.
        covariances: shape (T,), of model and baseline; left out: independent.

    Raises:
        ValueError: the shapes differ, there is no task, something is not finite, or a baseline is not positive: relative to zero there
            is no gain, and relative to a negative number its sign means nothing.
    """
    import numpy as np

    ours, theirs = np.asarray(model, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    lower = np.asarray(lower_is_better, dtype=bool)
    if ours.ndim != 1 or len(ours) == 0 or ours.shape != theirs.shape or ours.shape != lower.shape:
        raise ValueError(f"model {ours.shape}, baseline {theirs.shape} and lower_is_better {lower.shape} must be one number per task")
    if not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        raise ValueError("Δm needs a finite score of model and baseline on every task")
    if (theirs <= 0).any():
        task = int(np.flatnonzero(theirs <= 0)[0])
        raise ValueError(f"the baseline of task {task} is {theirs[task]:g}; a relative gain needs one above 0")
    gains = np.where(lower, -1.0, 1.0) * (ours - theirs) / theirs
    value, per_task = float(gains.mean()), tuple(float(gain) for gain in gains)
    if model_stderrs is None and baseline_stderrs is None:
        return MultitaskGain(value, per_task)
    ratio, shared = ours / theirs, np.zeros_like(ours) if covariances is None else np.asarray(covariances, dtype=np.float64)
    if shared.shape != ours.shape or not np.isfinite(shared).all():
        raise ValueError(f"covariances must be {len(ours)} finite numbers")
    variances = _errors(model_stderrs, ours) ** 2 + (ratio * _errors(baseline_stderrs, ours)) ** 2 - 2 * ratio * shared
    errors = np.sqrt(np.maximum(variances, 0.0)) / theirs
    return MultitaskGain(value, per_task, math.sqrt(float(errors @ errors)) / len(errors), tuple(float(error) for error in errors))


def _errors(stderrs: ArrayLike | None, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    errors = np.zeros_like(scores) if stderrs is None else np.asarray(stderrs, dtype=np.float64)
    if errors.shape != scores.shape or not np.isfinite(errors).all() or (errors < 0).any():
        raise ValueError(f"standard errors must be {len(scores)} finite numbers, none negative")
    return errors
