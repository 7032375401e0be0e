"""Several labels for each item: F1 in its averages, subset accuracy, Hamming loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.classification import plain_label
from proctor.scoring.structured import listed
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ORDER = ("micro_f1", "macro_f1", "samples_f1", "subset_accuracy", "hamming_loss")


class Multilabel(Scorer):
    """Micro and macro F1 over labels, F1 per item (samples_f1), whether all labels are right (subset_accuracy), and Hamming loss.

    Target and answer are lists of labels: a list, a JSON list, or a text that separates them by commas, semicolons, bars or line ends; an
    empty list or `none` is none. Labels are compared without case and surrounding punctuation; the classes are those that occur in
    targets. A predicted label that is none of them is a false alarm for micro F1, samples F1 and subset accuracy, and for no class. Where
    there are none such these are scikit-learn's `f1_score` (`zero_division=1` for an item that has no labels and gets none),
    `accuracy_score` and `hamming_loss`. An attempt without an answer is one without labels, and wrong even where there are none.

    Args:
        main: the main metric; default micro_f1.
    """

    name = "multilabel"

    def __init__(self, *, main: Literal["micro_f1", "macro_f1", "samples_f1", "subset_accuracy", "hamming_loss"] = "micro_f1") -> None:
        made = {
            "micro_f1": Metric("micro_f1", statistics=_counts, value=_micro_f1),
            "macro_f1": Metric("macro_f1", statistics=_counts, value=_macro_f1),
            "samples_f1": Metric("samples_f1"),
            "subset_accuracy": Metric("subset_accuracy"),
            "hamming_loss": Metric("hamming_loss", False, statistics=_counts, value=_hamming),
        }
        self.metrics = (made[main], *(made[name] for name in _ORDER if name != main))

    def check(self, item: Item) -> str | None:
        target = item.target
        texts = target if isinstance(target, list | tuple) else [target]
        right = all(isinstance(one, str | int) and not isinstance(one, bool) for one in texts)
        return None if right else f"the target must be a list of labels, or a text that separates them, not {target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        said, wanted = _labels(answer), _labels(item.target)
        hits, total = len(said & wanted), len(said) + len(wanted)
        values = {"samples_f1": 2 * hits / total if total else 1.0, "subset_accuracy": float(said == wanted)}
        missed, wrong = sorted(wanted - said), sorted(said - wanted)
        why = [f"without {', '.join(missed)}"] * bool(missed) + [f"wrongly {', '.join(wrong)}"] * bool(wrong)
        return Measured(values, "; ".join(why)[:200])

    def unanswered(self, item: Item) -> dict[str, float]:
        return {"samples_f1": 0.0, "subset_accuracy": 0.0}


def _labels(value: Any) -> set[str]:
    return {plain_label(label) for label in listed(value)} - {""}


def _counts(columns: Columns) -> NDArray[np.float64]:
    """Shape (attempts, 3k + 2): true labels, predicted (k, and those that are no class), hits (k), and one for each attempt."""
    import numpy as np

    wanted = [_labels(target) for target in columns.targets]
    places = {label: place for place, label in enumerate(sorted(set().union(*wanted)))}
    k = len(places)
    rows = np.zeros((len(wanted), 3 * k + 2))
    rows[:, -1] = 1
    for row, answer, true in zip(rows, columns.answers, wanted, strict=True):
        for label in true:
            row[places[label]] = 1
        for label in _labels(answer) if answer is not None else ():
            row[k + places.get(label, k)] += 1
            if label in true:
                row[2 * k + 1 + places[label]] = 1
    return rows


def _parts(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    k = (sums.shape[-1] - 2) // 3
    return sums[..., :k], sums[..., k : 2 * k + 1], sums[..., 2 * k + 1 : -1]


def _micro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    true, predicted, hits = _parts(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits.sum(axis=-1) / (true.sum(axis=-1) + predicted.sum(axis=-1)))


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    true, predicted, hits = _parts(sums)
    total = true + predicted[..., :-1]
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits, dtype=float), where=total > 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(f1.sum(axis=-1) / (total > 0).sum(axis=-1))


def _hamming(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    true, predicted, hits = _parts(sums)
    k = true.shape[-1]
    wrong = true.sum(axis=-1) + predicted[..., :-1].sum(axis=-1) - 2 * hits.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(wrong / (sums[..., -1] * k)) if k else np.full(sums.shape[:-1], np.nan)
