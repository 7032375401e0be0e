"""Predicting a number: mae, rmse, and the correlations pearson, spearman, ccc."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.number_text import read_number
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ORDER = ("mae", "rmse", "pearson", "spearman", "ccc")


class Regression(Scorer):
    """Errors and correlations of numbers with numbers.

    mae and rmse are in the target's unit. spearman is pearson over ranks (ties share their mean rank) taken once over the whole sample, not
    again in each resample; ccc is Lin's concordance correlation (1989) with n in the denominators. A correlation of constants is undefined
    (NaN).

    An attempt without a number counts as `missing` where that is given. Without it such attempts are left out of all of these, and
    `answered`, reported beside them, says which share was not: two models whose `answered` differ are not measured on the same items.

    Args:
        missing: what an attempt without a number counts as, such as the middle of the scale.
        main: the main metric; default mae. A composite needs a bounded one, that is a correlation.
    """

    name = "regression"
    default_extract = ("number",)

    def __init__(self, *, missing: float | None = None, main: Literal["mae", "rmse", "pearson", "spearman", "ccc"] = "mae") -> None:
        if missing is not None and not math.isfinite(missing):
            raise TaskError(f"regression.missing must be a finite number, not {missing}")
        self._missing = missing
        made = {
            "mae": Metric("mae", False, None),
            "rmse": Metric("rmse", False, None, _squares, _rmse),
            "pearson": Metric("pearson", True, (-1.0, 1.0), _moments, _pearson),
            "spearman": Metric("spearman", True, (-1.0, 1.0), _rank_moments, _pearson),
            "ccc": Metric("ccc", True, (-1.0, 1.0), _moments, _ccc),
        }
        self.metrics = (made[main], *(made[name] for name in _ORDER if name != main), Metric("answered"))

    def check(self, item: Item) -> str | None:
        return None if read_number(item.target) is not None else f"the target must be a number, not {item.target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        number = read_number(answer)
        predicted = _finite(number)
        if predicted is None:
            return Measured(self.unanswered(item), "no number in the answer")
        return Measured({**self._values(predicted, item), "answered": 1.0}, f"expected {item.target}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return {**(self._values(self._missing, item) if self._missing is not None else {}), "answered": 0.0}

    def _values(self, predicted: float, item: Item) -> dict[str, float]:
        expected = _finite(read_number(item.target))
        if expected is None:
            raise DataError(f"item '{item.id}': {self.check(item) or 'the target is too large'}")
        return {"mae": abs(predicted - expected), "predicted": predicted, "expected": expected}


def _finite(number: object) -> float | None:
    try:
        return None if number is None else float(number)  # type: ignore[arg-type]
    except OverflowError:
        return None


def _xy(columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Predicted and expected numbers, and which attempts have both."""
    import numpy as np

    nothing = np.full(len(columns.targets), np.nan)
    x, y = columns.values.get("predicted", nothing), columns.values.get("expected", nothing)
    return x, y, ~(np.isnan(x) | np.isnan(y))


def _squares(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    x, y, has = _xy(columns)
    return np.stack([has.astype(float), np.where(has, (x - y) ** 2, 0.0)], axis=1)


def _rmse(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(sums[..., 1] / sums[..., 0]))


def _stack(x: NDArray[np.float64], y: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(attempts, 6): count, x, y, x², y², xy; shifted by one constant, which no metric here notices but rounding does."""
    import numpy as np

    shift = y[has].mean() if has.any() else 0.0
    x, y = np.where(has, x - shift, 0.0), np.where(has, y - shift, 0.0)
    return np.stack([has.astype(float), x, y, x * x, y * y, x * y], axis=1)


def _moments(columns: Columns) -> NDArray[np.float64]:
    return _stack(*_xy(columns))


def _rank_moments(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    x, y, has = _xy(columns)
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


def _pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        mx, my, vx, vy, cov = _central(sums)
        # What is left of a constant's variance after rounding is no variance.
        constant = (vx <= 1e-14 * (vx + mx * mx)) | (vy <= 1e-14 * (vy + my * my))
        return np.asarray(np.where(constant, np.nan, np.clip(cov / np.sqrt(vx * vy), -1.0, 1.0)))


def _ccc(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        mx, my, vx, vy, cov = _central(sums)
        return np.asarray(2 * cov / (vx + vy + (mx - my) ** 2))
