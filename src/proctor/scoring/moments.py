"""Sums over pairs of numbers, predicted and expected, and the errors and correlations they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proctor.scoring.base import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def xy(columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Predicted and expected numbers, and which attempts have both."""
    import numpy as np

    nothing = np.full(len(columns.targets), np.nan)
    x, y = columns.values.get("predicted", nothing), columns.values.get("expected", nothing)
    return x, y, ~(np.isnan(x) | np.isnan(y))


def squares(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    x, y, has = xy(columns)
    return np.stack([has.astype(float), np.where(has, (x - y) ** 2, 0.0)], axis=1)


def rmse(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(sums[..., 1] / sums[..., 0]))


def _stack(x: NDArray[np.float64], y: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(attempts, 6): count, x, y, x², y², xy; shifted by one constant, which no metric here notices but rounding does."""
    import numpy as np

    shift = y[has].mean() if has.any() else 0.0
    x, y = np.where(has, x - shift, 0.0), np.where(has, y - shift, 0.0)
    return np.stack([has.astype(float), x, y, x * x, y * y, x * y], axis=1)


def moments(columns: Columns) -> NDArray[np.float64]:
    return _stack(*xy(columns))


def rank_moments(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    x, y, has = xy(columns)
    ranked = [np.full(len(has), np.nan), np.full(len(has), np.nan)]
    for ranks, values in zip(ranked, (x, y), strict=True):
        _, inverse, counts = np.unique(values[has], return_inverse=True, return_counts=True)
        ranks[has] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return _stack(ranked[0], ranked[1], has)


def _central(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Means of x and y, variances of x and y, covariance (all with n in the denominator)."""
    n = sums[..., 0]
    mx, my = sums[..., 1] / n, sums[..., 2] / n
    return mx, my, sums[..., 3] / n - mx * mx, sums[..., 4] / n - my * my, sums[..., 5] / n - mx * my


def pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        mx, my, vx, vy, cov = _central(sums)
        # What is left of a constant's variance after rounding is no variance.
        constant = (vx <= 1e-14 * (vx + mx * mx)) | (vy <= 1e-14 * (vy + my * my))
        return np.asarray(np.where(constant, np.nan, np.clip(cov / np.sqrt(vx * vy), -1.0, 1.0)))


def ccc(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        mx, my, vx, vy, cov = _central(sums)
        return np.asarray(2 * cov / (vx + vy + (mx - my) ** 2))
