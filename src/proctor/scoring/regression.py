"""Predicting a number: mae, rmse, and the correlations pearson, spearman, kendall, ccc."""

from __future__ import annotations

import math
from typing import Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.kendall import kendall
from proctor.scoring.moments import ccc, moments, pearson, rank_moments, rmse, squares
from proctor.scoring.number_text import read_number
from proctor.types import Item, Response

_ORDER = ("mae", "rmse", "pearson", "spearman", "kendall", "ccc")


class Regression(Scorer):
    """Errors and correlations of numbers with numbers.

    mae and rmse are in the target's unit. spearman is pearson over ranks (ties share their mean rank) taken once over the whole sample, not
    again in each resample; kendall is tau-b, with a jackknife standard error; ccc is Lin's concordance correlation (1989) with n in the
    denominators. A correlation of constants is undefined (NaN).

    An attempt without a number counts as `missing` where that is given. Without it such attempts are left out of all of these, and
    `answered`, reported beside them, says which share was not: two models whose `answered` differ are not measured on the same items.

    Args:
        missing: what an attempt without a number counts as, such as the middle of the scale.
        main: the main metric; default mae. A composite needs a bounded one, that is a correlation.
    """

    name = "regression"
    default_extract = ("number",)

    def __init__(
        self, *, missing: float | None = None, main: Literal["mae", "rmse", "pearson", "spearman", "kendall", "ccc"] = "mae"
    ) -> None:
        if missing is not None and not math.isfinite(missing):
            raise TaskError(f"regression.missing must be a finite number, not {missing}")
        self._missing = missing
        made = {
            "mae": Metric("mae", False, None),
            "rmse": Metric("rmse", False, None, squares, rmse),
            "pearson": Metric("pearson", True, (-1.0, 1.0), moments, pearson),
            "spearman": Metric("spearman", True, (-1.0, 1.0), rank_moments, pearson),
            "kendall": Metric("kendall", True, (-1.0, 1.0), whole=kendall),
            "ccc": Metric("ccc", True, (-1.0, 1.0), moments, ccc),
        }
        self.metrics = (made[main], *(made[name] for name in _ORDER if name != main), Metric("answered"))

    def check(self, item: Item) -> str | None:
        return None if read_number(item.target) is not None else f"the target must be a number, not {item.target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        number = read_number(answer)
        predicted = finite(number)
        if predicted is None:
            return Measured(self.unanswered(item), "no number in the answer")
        return Measured({**self._values(predicted, item), "answered": 1.0}, f"expected {item.target}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return {**(self._values(self._missing, item) if self._missing is not None else {}), "answered": 0.0}

    def _values(self, predicted: float, item: Item) -> dict[str, float]:
        expected = finite(read_number(item.target))
        if expected is None:
            raise DataError(f"item '{item.id}': {self.check(item) or 'the target is too large'}")
        return {"mae": abs(predicted - expected), "predicted": predicted, "expected": expected}


def finite(number: object) -> float | None:
    try:
        return None if number is None else float(number)  # type: ignore[arg-type]
    except OverflowError:
        return None
