"""Items sorted along a dimension (what they show, what they ask for, which skill they take): where a model is better than elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from proctor.analysis.interval_estimate import NO_SPREAD, IntervalEstimate, mean_estimate
from proctor.analysis.multiplicity import holm
from proctor.analysis.normal import upper_tail
from proctor.analysis.uncertainty import cluster_codes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from proctor.analysis.uncertainty import Clusters


class DimensionMean(Struct, frozen=True):
    """The items of one value of a dimension.

    Attributes:
        name: the value.
        mean: of their scores, with its 95 % interval.
        difference: their mean minus that of all other items; None where there are none.
        difference_stderr: of that; None where undefined.
        p_value: two-sided, of no difference, adjusted for the values of the dimension (Holm 1979).
        verdict: `strength` or `weakness` where `p_value` < 0.05, else empty.
    """

    name: str
    mean: IntervalEstimate
    difference: float | None
    difference_stderr: float | None
    p_value: float | None
    verdict: str


def dimension_means(
    scores: ArrayLike,
    labels: Sequence[Sequence[str]],
    clusters: Clusters = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    alpha: float = 0.05,
) -> tuple[DimensionMean, ...]:
    """The mean score of the items of each value of a dimension, and how it differs from that of the other items.

    The difference d = m_in − m_out has the variance G/(G − 1) · Σ_g (Σ_{i in g} u_i)², where u_i is (x_i − m_in)/n_in for an item that has
    the value and −(x_i − m_out)/n_out for another, and g are the G clusters: the sandwich estimator of a regression on belonging. An item
    of several values counts for each of them.

    Args:
        scores: shape (n,); NaN entries do not count.
        labels: of each item, its values; an item without any is among the others of every value.
        clusters: shape (n,), as in `mean_with_stderr`.
        bounds: lowest and highest possible score.
        alpha: level of the tests.

    Returns:
        one for each value, in order of first appearance.
    """
    import numpy as np

    values = np.asarray(scores, dtype=np.float64)
    kept = np.logical_not(np.isnan(values))
    codes, count = cluster_codes(clusters, len(values), kept)
    names = list(dict.fromkeys(name for of_item in labels for name in of_item))
    found = []
    for name in names:
        inside = np.array([name in of_item for of_item in labels], dtype=bool)
        own = None if clusters is None else [one for one, its in zip(clusters, inside, strict=True) if its]
        mean = mean_estimate(values[inside], own, bounds=bounds)
        found.append((name, mean, *_difference(values[kept], inside[kept], codes, count)))
    pooled = float(np.std(values[kept])) if kept.any() else 0.0
    adjusted = holm([_p_value(mean.n, int(kept.sum()), gap, error, pooled) for _, mean, gap, error in found])
    return tuple(
        DimensionMean(name, mean, gap, error, p, _verdict(gap, p, alpha))
        for (name, mean, gap, error), p in zip(found, adjusted, strict=True)
    )


def _difference(
    values: NDArray[np.float64], inside: NDArray[np.bool_], codes: NDArray[np.int64], count: int
) -> tuple[float | None, float | None]:
    """Mean inside minus mean outside, and its standard error."""
    import numpy as np

    n_in = int(inside.sum())
    n_out = len(inside) - n_in
    if not n_in or not n_out:
        return None, None
    m_in, m_out = values[inside].mean(), values[~inside].mean()
    if count < 2:
        return float(m_in - m_out), None
    influence = np.where(inside, (values - m_in) / n_in, (m_out - values) / n_out)
    sums = np.bincount(codes, influence, minlength=count)
    return float(m_in - m_out), math.sqrt(count / (count - 1) * float(sums @ sums))


def _p_value(n: int, total: int, gap: float | None, error: float | None, pooled: float) -> float | None:
    """Two-sided. Where all items of either side score alike the standard error is 0, which claims certainty that a handful of items cannot
    give: there it is that of no difference, the spread of all items together."""
    if gap is None or error is None:
        return None
    if error <= NO_SPREAD:
        error = pooled * math.sqrt(1 / n + 1 / (total - n))
    return 2 * upper_tail(abs(gap) / error) if error > NO_SPREAD else None


def _verdict(gap: float | None, p_value: float | None, alpha: float) -> str:
    if gap is None or p_value is None or p_value >= alpha:
        return ""
    return "strength" if gap > 0 else "weakness"
