"""Grading on an ordered scale: quadratic weighted kappa, distance in ranks, accuracy."""

from __future__ import annotations

import math
from typing import Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.classification import plain_label
from proctor.scoring.moments import ccc, moments, pearson, rank_moments
from proctor.scoring.number_text import read_number
from proctor.scoring.regression import finite
from proctor.types import Item, Response

_ORDER = ("qwk", "rank_mae", "accuracy", "spearman")


class Ordinal(Scorer):
    """Quadratic weighted kappa (qwk), mean distance in ranks (rank_mae), accuracy and rank correlation of grades.

    With `levels` the grades are these labels and a rank is a place in the list. Without, they are whole numbers, ranks themselves. qwk is
    scikit-learn's `cohen_kappa_score(weights="quadratic")`; of the ranks it is Lin's concordance correlation, which needs sums alone.

    An attempt without a grade counts as `missing` where that is given. Without it such attempts are left out of all but accuracy, where
    they are wrong, and `answered` says which share was not left out.

    Args:
        levels: the labels from the lowest to the highest.
        missing: the grade that an attempt without one counts as.
        main: the main metric; default qwk.
    """

    name = "ordinal"

    def __init__(
        self,
        *,
        levels: list[str] | None = None,
        missing: str | int | None = None,
        main: Literal["qwk", "rank_mae", "accuracy", "spearman"] = "qwk",
    ) -> None:
        self._levels = {plain_label(level): float(rank) for rank, level in enumerate(levels or ())}
        if levels is not None and (len(levels) < 2 or len(self._levels) < len(levels)):
            raise TaskError(f"ordinal.levels must be two labels or more, each once, not {levels}")
        self.default_extract = ("text",) if levels else ("number",)
        self._missing = None if missing is None else self._rank(missing)
        if missing is not None and self._missing is None:
            raise TaskError(f"ordinal.missing must be {self._kind()}, not {missing!r}")
        made = {
            "qwk": Metric("qwk", True, (-1.0, 1.0), moments, ccc),
            "rank_mae": Metric("rank_mae", False, (0.0, len(levels) - 1.0) if levels else None),
            "accuracy": Metric("accuracy"),
            "spearman": Metric("spearman", True, (-1.0, 1.0), rank_moments, pearson),
        }
        self.metrics = (made[main], *(made[name] for name in _ORDER if name != main), Metric("answered"))

    def _kind(self) -> str:
        return f"one of {', '.join(self._levels)}" if self._levels else "a whole number"

    def _rank(self, grade: object) -> float | None:
        if self._levels:
            return self._levels.get(plain_label(str(grade)))
        number = finite(read_number(grade))
        return number if number is not None and number.is_integer() else None

    def check(self, item: Item) -> str | None:
        return None if self._rank(item.target) is not None else f"the target must be {self._kind()}, not {item.target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        predicted = self._rank(answer)
        if predicted is None:
            return Measured(self.unanswered(item), f"the answer is not {self._kind()}")
        return Measured({**self._values(predicted, item), "answered": 1.0}, f"expected {item.target}")

    def unanswered(self, item: Item) -> dict[str, float]:
        values = self._values(self._missing, item) if self._missing is not None else {"accuracy": 0.0}
        return {**values, "answered": 0.0}

    def _values(self, predicted: float, item: Item) -> dict[str, float]:
        expected = self._rank(item.target)
        if expected is None:
            raise DataError(f"item '{item.id}': {self.check(item)}")
        distance = math.fabs(predicted - expected)
        return {"rank_mae": distance, "accuracy": float(distance == 0), "predicted": predicted, "expected": expected}
