"""Predicting the probability of a yes: AUC, GAUC, average precision, log loss, Brier score."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer, cluster_numbers
from proctor.scoring.classification import plain_label
from proctor.scoring.curves import Found, average_precision, grouped_auc, roc_auc
from proctor.scoring.moments import xy
from proctor.scoring.number_text import read_number
from proctor.scoring.regression import finite
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ORDER = ("auc", "log_loss", "gauc", "average_precision", "brier")
_SMALLEST = 2.0**-52  # scikit-learn clips there too


class Probability(Scorer):
    """How well a number from 0 to 1 foretells a yes (a click, a binding, a relapse).

    auc is the area under the ROC curve with DeLong's standard error; average_precision that under precision and recall; both are of the
    whole sample. gauc is the AUC within each `item.group` (the user), weighted by the group's rows; groups of one outcome alone do not
    count, and without groups there is none. log_loss (natural logarithm, probabilities kept off 0 and 1 by 2⁻⁵²) and brier are means of
    the attempts' own. All are scikit-learn's of the same names.

    An attempt without a number from 0 to 1 counts as `missing` where that is given. Without it such attempts are left out of all of these,
    and `answered` says which share was not.

    Args:
        positive: the target that is a yes; default: 1, `true` or `yes` is, and 0, `false` or `no` is not.
        missing: the probability that an attempt without one counts as.
        main: the main metric; default auc.
    """

    name = "probability"
    default_extract = ("number",)

    def __init__(
        self,
        *,
        positive: str | None = None,
        missing: float | None = None,
        main: Literal["auc", "log_loss", "gauc", "average_precision", "brier"] = "auc",
    ) -> None:
        if missing is not None and not 0 <= missing <= 1:
            raise TaskError(f"probability.missing must be a number from 0 to 1, not {missing}")
        self._positive = None if positive is None else plain_label(positive)
        self._missing = missing
        made = {
            "auc": Metric("auc", whole=partial(_curve, of=roc_auc)),
            "log_loss": Metric("log_loss", False, None),
            "gauc": Metric("gauc", whole=_grouped),
            "average_precision": Metric("average_precision", whole=partial(_curve, of=average_precision)),
            "brier": Metric("brier", False),
        }
        self.metrics = (made[main], *(made[name] for name in _ORDER if name != main), Metric("answered"))

    def outcome(self, target: object) -> bool | None:
        """Whether a target is a yes; None where it is neither."""
        label = plain_label(str(target))
        if self._positive is not None:
            return label == self._positive
        if label in ("1", "1.0", "true", "yes"):
            return True
        return False if label in ("0", "0.0", "false", "no") else None

    def check(self, item: Item) -> str | None:
        if isinstance(item.target, list | tuple | dict) or self.outcome(item.target) is None:
            return f"the target must be 1 or 0 (or say with `positive` which target is a yes), not {item.target!r}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        predicted = finite(read_number(answer))
        if predicted is None or not 0 <= predicted <= 1:
            return Measured(self.unanswered(item), "no number from 0 to 1 in the answer")
        return Measured({**self._values(predicted, item), "answered": 1.0}, f"expected {item.target}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return {**(self._values(self._missing, item) if self._missing is not None else {}), "answered": 0.0}

    def _values(self, predicted: float, item: Item) -> dict[str, float]:
        outcome = self.outcome(item.target)
        if outcome is None:
            raise DataError(f"item '{item.id}': {self.check(item)}")
        clipped = min(max(predicted, _SMALLEST), 1 - _SMALLEST)
        return {
            "log_loss": -math.log(clipped if outcome else 1 - clipped),
            "brier": (predicted - outcome) ** 2,
            "predicted": predicted,
            "expected": float(outcome),
        }


def _curve(
    columns: Columns, of: Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64] | None], Found]
) -> tuple[float | None, float | None]:
    scores, outcomes, has = xy(columns)
    return of(scores[has], outcomes[has] == 1, cluster_numbers(columns, has))


def _grouped(columns: Columns) -> tuple[float | None, float | None]:
    scores, outcomes, has = xy(columns)
    groups = cluster_numbers(columns, has)
    return (None, None) if groups is None else grouped_auc(scores[has], outcomes[has] == 1, groups)
