"""Areas under curves of scores against right or wrong, with their standard errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 200
_CELLS = 4_000_000

Found = tuple[float | None, float | None]


def roc_auc(scores: NDArray[np.float64], positive: NDArray[np.bool_], clusters: NDArray[np.int64] | None = None) -> Found:
    """The area under the ROC curve, ties counting half, and its standard error; None where there is no positive or no negative.

    Standard error of DeLong, DeLong and Clarke-Pearson (1988) in the linear-time form of Sun and Xu (2014). Clusters with several members:
    the structural components φ = (V₁₀ − A)/m and (V₀₁ − A)/n are added up within clusters, √(G/(G−1) Σ_c (Σ φ)²), after Obuchowski (1997).

    Args:
        scores, positive: shape (n,).
        clusters: shape (n,), whole numbers from 0.
    """
    import numpy as np

    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return None, None
    ranks = mid_ranks(scores)
    area = float((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))
    parts = np.empty(len(scores))
    parts[positive] = (ranks[positive] - mid_ranks(scores[positive])) / n
    parts[~positive] = 1 - (ranks[~positive] - mid_ranks(scores[~positive])) / m
    if clusters is None or len(np.unique(clusters)) == len(clusters):
        if m < 2 or n < 2:
            return area, None
        return area, math.sqrt(float(parts[positive].var(ddof=1)) / m + float(parts[~positive].var(ddof=1)) / n)
    influence = (parts - area) / np.where(positive, m, n)
    summed = np.bincount(clusters, weights=influence)
    groups = len(summed)
    return area, math.sqrt(groups / (groups - 1) * float(summed @ summed)) if groups > 1 else None


def grouped_auc(scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: NDArray[np.int64]) -> Found:
    """GAUC (Zhu et al. 2018, "Deep interest network"): AUC within each group (user), weighted by the group's size.

    Groups without a positive or without a negative have no AUC and do not count. Standard error over groups, of a weighted mean:
    √(G/(G−1) Σ_g w_g² (A_g − GAUC)²)/Σ w_g.
    """
    import numpy as np

    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    starts = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    areas, weights = [], []
    for part in np.split(order, starts[1:]):
        area = _area(scores[part], positive[part])
        if area is not None:
            areas.append(area)
            weights.append(len(part))
    if not areas:
        return None, None
    values, sizes = np.array(areas), np.array(weights, dtype=np.float64)
    value = float(values @ sizes / sizes.sum())
    count = len(areas)
    if count < 2:
        return value, None
    spread = sizes * (values - value)
    return value, math.sqrt(count / (count - 1) * float(spread @ spread)) / float(sizes.sum())


def average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_], clusters: NDArray[np.int64] | None = None) -> Found:
    """Σ_k (R_k − R_{k−1}) P_k over the thresholds, as in scikit-learn, and a bootstrap standard error over clusters."""
    import numpy as np

    if not positive.any():
        return None, None
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # the last of each run of equal scores
    true = positive[order].astype(np.float64)
    codes = np.arange(len(scores)) if clusters is None else clusters[order]
    value = float(_precision_area(np.ones((1, len(scores))), true, ends)[0])
    groups = int(codes.max()) + 1
    if groups < 2:
        return value, None
    rng = np.random.default_rng(0)
    drawn: list[float] = []
    block = max(1, _CELLS // len(scores))
    for start in range(0, RESAMPLES, block):
        times = [np.bincount(rng.integers(0, groups, groups), minlength=groups) for _ in range(min(block, RESAMPLES - start))]
        drawn.extend(_precision_area(np.stack(times)[:, codes].astype(np.float64), true, ends))
    finite = [one for one in drawn if math.isfinite(one)]
    return value, float(np.std(finite, ddof=1)) * math.sqrt(groups / (groups - 1)) if len(finite) > RESAMPLES // 2 else None


def _precision_area(weights: NDArray[np.float64], true: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    import numpy as np

    hits, taken = np.cumsum(weights * true, axis=1)[:, ends], np.cumsum(weights, axis=1)[:, ends]
    with np.errstate(all="ignore"):
        precision = np.where(taken > 0, hits / taken, 0.0)
        return np.asarray((np.diff(hits, axis=1, prepend=0.0) * precision).sum(axis=1) / hits[:, -1])


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    m = int(positive.sum())
    n = len(scores) - m
    if not m or not n:
        return None
    return float((mid_ranks(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))


def mid_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])
