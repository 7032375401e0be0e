"""Kendall's tau-b and its standard error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from proctor.scoring.base import Columns, cluster_numbers
from proctor.scoring.moments import xy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def kendall(columns: Columns) -> tuple[float | None, float | None]:
    """Tau-b of predicted and expected numbers, and its standard error by the jackknife, clusters being the draws."""
    x, y, has = xy(columns)
    return tau_b(x[has], y[has], cluster_numbers(columns, has))


def tau_b(x: NDArray[np.float64], y: NDArray[np.float64], clusters: NDArray[np.int64] | None = None) -> tuple[float | None, float | None]:
    """Kendall's tau-b, (C − D)/√((P − T_x)(P − T_y)), and its jackknife standard error; each None where undefined.

    Leaving out a pair takes its own concordances, discordances and ties out of the counts, so that no left-out value is computed twice.
    Of clusters the changes of their members are added up, √(((n−1)/n)² · G/(G−1) · Σ_c (Σ_{i∈c} (τ₋ᵢ − τ̄))²): the plain jackknife where
    each is alone. Time n log² n.

    Args:
        x, y: shape (n,).
        clusters: shape (n,), whole numbers from 0; None: each pair is one.
    """
    import numpy as np

    n = len(x)
    if n < 2:
        return None, None
    surplus = (_dominated(x, y) + _dominated(-x, -y) - _dominated(x, -y) - _dominated(-x, y)).astype(np.float64)
    ties_x, ties_y = _tied(x), _tied(y)
    pairs, both = n * (n - 1) / 2, surplus.sum() / 2
    untied_x, untied_y = pairs - ties_x.sum() / 2, pairs - ties_y.sum() / 2
    if untied_x <= 0 or untied_y <= 0:
        return None, None
    value = float(both / math.sqrt(untied_x * untied_y))
    with np.errstate(all="ignore"):
        scale = np.sqrt((untied_x - (n - 1 - ties_x)) * (untied_y - (n - 1 - ties_y)))
        without = (both - surplus) / scale
    changes = without - without.mean()
    if n < 3 or not np.isfinite(changes).all():
        return value, None
    summed = changes if clusters is None else np.bincount(clusters, weights=changes)
    groups = len(summed)
    if groups < 2:
        return value, None
    return value, float((n - 1) / n * math.sqrt(groups / (groups - 1) * float(summed @ summed)))


def _tied(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many others have the same value."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] - 1.0)


def _dominated(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each point how many others are smaller in both x and y.

    By merging: at each level, a point in the right half of its block gains the points of the left half with a smaller y. Places are by x
    with y falling among equals, so that no point of the same x is to the left with a smaller y; the points are gone through by y, of equals
    the rightmost first, so that only smaller ones have been met.
    """
    import numpy as np

    n = len(x)
    place = np.empty(n, dtype=np.int64)
    place[np.lexsort((-y, x))] = np.arange(n)
    by_y = np.lexsort((-place, y))
    places = place[by_y]
    counts = np.zeros(n, dtype=np.int64)
    for level in range((n - 1).bit_length()):
        block = places >> (level + 1)
        order = np.argsort(block, kind="stable")
        left = ((places[order] >> level) & 1) == 0
        before = np.cumsum(left)
        starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        before -= np.repeat(np.concatenate([[0], before[starts[1:] - 1]]), np.diff(np.append(starts, n)))
        counts[by_y[order[~left]]] += before[~left]
    return counts
