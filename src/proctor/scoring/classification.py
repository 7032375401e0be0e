"""Labelling: accuracy, F1 in its averages, balanced accuracy, Cohen's kappa and Matthews' correlation over classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.choice import right_choices
from proctor.scoring.confusion import (
    balanced_accuracy,
    confusion_rows,
    kappa,
    macro_f1,
    mcc,
    micro_f1,
    one_f1,
    weighted_f1,
)
from proctor.scoring.letters import choice_index, choice_label
from proctor.scoring.text import accepted
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ORDER = ("accuracy", "macro_f1", "mcc", "weighted_f1", "micro_f1", "balanced_accuracy", "kappa")


def plain_label(text: str) -> str:
    """A label without case, surrounding punctuation and extra white space."""
    return " ".join(text.split()).strip(" .\"'*`").casefold()


class Classification(Scorer):
    """Accuracy and, over the whole sample, F1 (macro, weighted, micro), balanced accuracy, Cohen's kappa and Matthews' correlation (mcc).

    For items with choices the classes are the choices' positions. Otherwise the target is the label (or a list of them, any of which is
    right), compared without case, surrounding punctuation and extra white space; the classes are the labels that occur as targets.

    An answer that is no class, and an attempt without an answer, is a prediction of no class: wrong, a miss for its true class, a false
    alarm for none. Macro F1 is the plain mean of F1 over the classes that occur in truth or prediction. Where every prediction is a class
    this is scikit-learn's `f1_score(average="macro")`; so are weighted and micro F1, `balanced_accuracy_score`, `cohen_kappa_score` and
    `matthews_corrcoef`, the last two with "no class" as one more predicted label. Where several classes are right the true one is the
    answer if it is among them, else the first.

    Args:
        main: the main metric; default accuracy.
        each: labels whose own F1 is reported too, as `f1_LABEL`; of items with choices, texts of choices that are the same in all.
    """

    name = "classification"
    late_options = frozenset({"main", "each"})

    def __init__(
        self,
        *,
        main: Literal["accuracy", "macro_f1", "mcc", "weighted_f1", "micro_f1", "balanced_accuracy", "kappa"] = "accuracy",
        each: list[str] | None = None,
    ) -> None:
        alone = [plain_label(label) for label in each or ()]
        if len(set(alone)) < len(alone) or "" in alone:
            raise TaskError(f"classification.each must name labels, each once, not {each}")
        sums: Callable[[Columns], NDArray[np.float64]] = partial(counts, always=tuple(alone))

        def over_all(name: str, value: Callable[[NDArray[np.float64]], NDArray[np.float64]], low: float = 0.0) -> Metric:
            return Metric(name, bounds=(low, 1.0), statistics=sums, value=value)

        made = {
            "accuracy": Metric("accuracy"),
            "macro_f1": over_all("macro_f1", macro_f1),
            "mcc": over_all("mcc", mcc, -1.0),
            "weighted_f1": over_all("weighted_f1", weighted_f1),
            "micro_f1": over_all("micro_f1", micro_f1),
            "balanced_accuracy": over_all("balanced_accuracy", balanced_accuracy),
            "kappa": over_all("kappa", kappa, -1.0),
        }
        self._each = tuple(alone)
        self._places: dict[str, int] | None = None  # of these labels among the choices, where there are any
        self.metrics = (
            made[main],
            *(made[name] for name in _ORDER if name != main),
            # The labels of `each` are the first classes: see `counts`.
            *(over_all(f"f1_{label}", partial(one_f1, place=place)) for place, label in enumerate(each or ())),
        )

    def check(self, item: Item) -> str | None:
        if item.choices and self._each:
            labels = [plain_label(choice) for choice in item.choices]
            if any(label not in labels for label in self._each):
                return f"'each' names {' and '.join(self._each)}, the choices are {' and '.join(labels)}"
            if self._places is None:
                self._places = {label: labels.index(label) for label in self._each}
            if any(labels.index(label) != place for label, place in self._places.items()):
                return "'each' names choices that must stand in the same place in every item"
        try:
            _ = right_choices(item) if item.choices else accepted(item)
        except DataError as error:
            return str(error).partition(": ")[2]
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """For items with choices `predicted` and `expected` are the classes' indices; otherwise classes are only known over all items."""
        if not item.choices:
            wanted = accepted(item)
            correct = plain_label(answer) in {plain_label(target) for target in wanted}
            return Measured({"accuracy": float(correct)}, "" if correct else f"expected '{wanted[0]}'")
        right = right_choices(item)
        predicted = choice_index(answer, len(item.choices))
        expected = predicted if predicted is not None and predicted in right else right[0]
        values = {"accuracy": float(predicted in right), "expected": float(expected)}
        if predicted is not None:
            values["predicted"] = float(predicted)
        for label, place in (self._places or {}).items():
            values[f"place of {label}"] = float(place)
        return Measured(values, "" if predicted in right else f"expected {choice_label(expected)}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return {"accuracy": 0.0, **({"expected": float(right_choices(item)[0])} if item.choices else {})}


def _pairs(columns: Columns) -> list[tuple[Any, Any]]:
    """(true class, predicted class or None) of each attempt."""
    if "expected" in columns.values:
        predicted = columns.values.get("predicted", [math.nan] * len(columns.targets))
        expected = columns.values["expected"]
        return [(int(true), None if math.isnan(said) else int(said)) for true, said in zip(expected, predicted, strict=True)]
    pairs: list[tuple[Any, Any]] = []
    for answer, target in zip(columns.answers, columns.targets, strict=True):
        labels = [plain_label(str(one)) for one in (target if isinstance(target, list | tuple) else [target])]
        said = None if answer is None else plain_label(answer)
        pairs.append((said if said in labels else labels[0], said))
    return pairs


def counts(columns: Columns, always: tuple[str, ...] = ()) -> NDArray[np.float64]:
    """See `confusion_rows`. Of choices a class may be predicted that is never right; a label that is never right is no class."""
    pairs = _pairs(columns)
    if "expected" in columns.values:
        return _of_choices(pairs, columns, always)
    known = {true for true, _ in pairs}
    return confusion_rows(pairs, [*always, *sorted(known - set(always))])


def _of_choices(pairs: list[tuple[Any, Any]], columns: Columns, always: tuple[str, ...]) -> NDArray[np.float64]:
    """The same of choices, whose classes are their places; `always` names the texts of some."""
    first = []
    for number, label in enumerate(always, 1):
        places = columns.values.get(f"place of {label}", ())
        first.append(next((int(place) for place in places if not math.isnan(place)), -number))  # below 0: nothing was answered at all
    known = {true for true, _ in pairs} | {said for _, said in pairs if said is not None}
    return confusion_rows(pairs, [*first, *sorted(known - set(first))])
