"""Precision, recall and F over a corpus, from counts of what was found, given and right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from proctor.scoring.base import Columns, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def counted(name: str, right: int, found: int, given: int) -> dict[str, float]:
    """The values by which an attempt's counts go into the metrics of `prf_metrics`."""
    return {f"{name}:right": float(right), f"{name}:found": float(found), f"{name}:given": float(given)}


def prf_metrics(name: str, beta: float = 1.0, label: str | None = None) -> tuple[Metric, Metric, Metric]:
    """F, precision and recall of summed counts: `NAME_f1` (`NAME_f0.5`, …), `NAME_precision`, `NAME_recall`.

    P = right/found, R = right/given, F_β = (1 + β²)PR/(β²P + R); each 0 where it has nothing below the line. Where nothing is given and
    nothing found all are undefined.

    Args:
        name: of the counts.
        beta: how much more recall counts than precision.
        label: begins the metrics' names; default `name`.
    """
    rows = partial(_rows, name=name)
    shown = name if label is None else label
    return (
        Metric(f"{shown}_f{beta:g}", statistics=rows, value=partial(_f, beta=beta)),
        Metric(f"{shown}_precision", statistics=rows, value=partial(_share, below=1)),
        Metric(f"{shown}_recall", statistics=rows, value=partial(_share, below=2)),
    )


def f_of(right: int, found: int, given: int, beta: float = 1.0) -> float:
    """F_β of one attempt; 1 where nothing is given and nothing found."""
    below = found + beta**2 * given
    return (1 + beta**2) * right / below if below else 1.0


def _rows(columns: Columns, name: str) -> NDArray[np.float64]:
    """Shape (attempts, 3): right, found, given."""
    import numpy as np

    nothing = np.zeros(len(columns.targets))
    return np.stack([np.nan_to_num(columns.values.get(f"{name}:{part}", nothing)) for part in ("right", "found", "given")], axis=1)


def _f(sums: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        # (1 + β²)PR/(β²P + R) with P and R written out.
        return np.asarray((1 + beta**2) * sums[..., 0] / (sums[..., 1] + beta**2 * sums[..., 2]))


def _share(sums: NDArray[np.float64], below: int) -> NDArray[np.float64]:
    import numpy as np

    whole = sums[..., below]
    share = np.divide(sums[..., 0], whole, out=np.zeros_like(whole), where=whole > 0)
    return np.asarray(np.where(sums[..., 1] + sums[..., 2] > 0, share, np.nan))
