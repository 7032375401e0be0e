"""Labelling: accuracy, macro-averaged F1 and Matthews' correlation over classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.choice import right_choices
from proctor.scoring.letters import choice_index, choice_label
from proctor.scoring.text import accepted
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _label(text: str) -> str:
    return " ".join(text.split()).strip(" .\"'*`").casefold()


class Classification(Scorer):
    """Accuracy, macro F1 and Matthews' correlation coefficient (mcc) of answers that are labels.

    For items with choices the classes are the choices' positions. Otherwise the target is the label (or a list of them, any of which is
    right), compared without case, surrounding punctuation and extra white space; the classes are the labels that occur as targets.

    An answer that is no class, and an attempt without an answer, is a prediction of no class: wrong, a miss for its true class, a false
    alarm for none. Macro F1 is the plain mean of F1 over the classes that occur in truth or prediction. Where every prediction is a class
    this is scikit-learn's `f1_score(average="macro")`; mcc is its `matthews_corrcoef`, with "no class" as one more predicted label. Where
    several classes are right the true one is the answer if it is among them, else the first.
    """

    name = "classification"

    def __init__(self) -> None:
        self.metrics = (
            Metric("accuracy"),
            Metric("macro_f1", statistics=_counts, value=_macro_f1),
            Metric("mcc", bounds=(-1.0, 1.0), statistics=_counts, value=_mcc),
        )

    def check(self, item: Item) -> str | None:
        try:
            _ = right_choices(item) if item.choices else accepted(item)
        except DataError as error:
            return str(error).partition(": ")[2]
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """For items with choices `predicted` and `expected` are the classes' indices; otherwise classes are only known over all items."""
        if not item.choices:
            wanted = accepted(item)
            correct = _label(answer) in {_label(target) for target in wanted}
            return Measured({"accuracy": float(correct)}, "" if correct else f"expected '{wanted[0]}'")
        right = right_choices(item)
        predicted = choice_index(answer, len(item.choices))
        expected = predicted if predicted is not None and predicted in right else right[0]
        values = {"accuracy": float(predicted in right), "expected": float(expected)}
        if predicted is not None:
            values["predicted"] = float(predicted)
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
        labels = [_label(str(one)) for one in (target if isinstance(target, list | tuple) else [target])]
        said = None if answer is None else _label(answer)
        pairs.append((said if said in labels else labels[0], said))
    return pairs


def _counts(columns: Columns) -> NDArray[np.float64]:
    """One-hot counts, shape (attempts, 3k + 1): true class, predicted class (k, then "no class"), both (hits); k classes."""
    import numpy as np

    pairs = _pairs(columns)
    # Of choices a class may be predicted that is never right; a label that is never right is no class.
    known = {true for true, _ in pairs} | ({said for _, said in pairs if said is not None} if "expected" in columns.values else set())
    classes = {label: index for index, label in enumerate(sorted(known))}
    k = len(classes)
    rows = np.zeros((len(pairs), 3 * k + 1))
    for row, (true, said) in zip(rows, pairs, strict=True):
        row[classes[true]] = 1
        row[k + classes.get(said, k)] = 1
        if true == said:
            row[2 * k + 1 + classes[true]] = 1
    return rows


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    k = (sums.shape[-1] - 1) // 3
    true, predicted, hits = sums[..., :k], sums[..., k : 2 * k], sums[..., 2 * k + 1 :]
    occurs = (true + predicted) > 0
    f1 = np.divide(2 * hits, true + predicted, out=np.zeros_like(hits, dtype=float), where=occurs)
    with np.errstate(invalid="ignore"):
        return np.asarray(f1.sum(axis=-1) / occurs.sum(axis=-1))


def _mcc(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's R_K (2004), as scikit-learn computes it; 0 where truth or prediction is constant."""
    import numpy as np

    k = (sums.shape[-1] - 1) // 3
    true, predicted, correct = sums[..., :k], sums[..., k : 2 * k + 1], sums[..., 2 * k + 1 :].sum(axis=-1)
    n = true.sum(axis=-1)
    covariance = correct * n - (true * predicted[..., :k]).sum(axis=-1)
    spread = np.sqrt((n * n - (predicted**2).sum(axis=-1)) * (n * n - (true**2).sum(axis=-1)))
    return np.asarray(np.divide(covariance, spread, out=np.zeros_like(covariance, dtype=float), where=spread > 0))
