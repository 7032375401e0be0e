"""Things found in a text: labelled spans, keyphrases, suggested replacements; precision, recall and F over the whole sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.counts import counted, f_of, prf_metrics
from proctor.scoring.structured import json_list, listed
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Place = tuple[int, int] | str


class Spans(Scorer):
    """Precision, recall and F of spans: `span_…` where place and label must agree, `place_…` where the place alone does.

    Target and answer are lists of spans. A span is `[start, end]`, `[start, end, label]`, `{start, end, label}`; or, where there are no
    positions, a phrase, or `{text, label}`: phrases are compared without case and with white space collapsed. In a target the label may be
    a list of labels (or a mapping whose keys they are), any of which is right. A place that an answer names twice counts once, with the
    first label. label_accuracy is the share of the spans at a right place whose label is right.

    This is SemEval-2017 task 10 (its subtask A is `place_f1`, A and B together `span_f1`), and with `beta: 0.5` Smart Word Suggestions.
    An attempt without an answer finds nothing.

    Args:
        beta: how much more recall counts than precision.
        first: of an answer, only so many spans count, for F1@5; default: all.
    """

    name = "spans"

    def __init__(self, *, beta: float = 1.0, first: int | None = None) -> None:
        if not beta > 0:
            raise TaskError(f"spans.beta must be above 0, not {beta}")
        if first is not None and first < 1:
            raise TaskError(f"spans.first must be 1 or more, not {first}")
        self._beta, self._first = beta, first
        self.metrics = (
            *prf_metrics("span", beta),
            *prf_metrics("place", beta),
            Metric("label_accuracy", statistics=_both, value=_ratio),
        )

    def check(self, item: Item) -> str | None:
        try:
            _ = self._given(item)
        except DataError as error:
            return str(error).partition(": ")[2]
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        found: dict[Place, set[str]] = {}
        read = json_list(answer)
        unread = 0
        for one in (listed(answer) if read is None else read)[: self._first]:
            span = _span(one)
            if span is None:
                unread += 1
            else:
                found.setdefault(*span)
        return Measured(self._values(found, item), f"{unread} entries are no spans" if unread else "")

    def unanswered(self, item: Item) -> dict[str, float]:
        return self._values({}, item)

    def _given(self, item: Item) -> dict[Place, set[str]]:
        target = json_list(item.target) if isinstance(item.target, str) else item.target
        if isinstance(item.target, str) and target is None:
            target = listed(item.target)
        if not isinstance(target, list | tuple):
            raise DataError(f"item '{item.id}': the target must be a list of spans, not {item.target!r}")
        given: dict[Place, set[str]] = {}
        for one in target:
            span = _span(one)
            if span is None:
                raise DataError(f"item '{item.id}': a span is [start, end, label], {{start, end, label}} or a phrase, not {one!r}")
            given[span[0]] = span[1]
        return given

    def _values(self, found: dict[Place, set[str]], item: Item) -> dict[str, float]:
        given = self._given(item)
        places = found.keys() & given.keys()
        right = sum(bool(found[place] & given[place]) for place in places)
        return {
            f"span_f{self._beta:g}": f_of(right, len(found), len(given), self._beta),
            **counted("span", right, len(found), len(given)),
            **counted("place", len(places), len(found), len(given)),
        }


def _span(one: Any) -> tuple[Place, set[str]] | None:
    """Its place and its labels (`""` where it has none); None for what is no span."""
    if isinstance(one, str):
        return (_phrase(one), {""}) if one.strip() else None
    if isinstance(one, dict):
        label = one.get("label", "")
        if isinstance(one.get("text"), str) and "start" not in one:
            return _phrase(one["text"]), _labels(label)
        one = [one.get("start"), one.get("end"), label]
    if not isinstance(one, list | tuple) or len(one) not in (2, 3):
        return None
    start, end, *rest = one
    if not all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end)):
        return None
    return (start, end), _labels(rest[0] if rest else "")


def _labels(label: Any) -> set[str]:
    return {str(one) for one in label} if isinstance(label, list | tuple | dict) else {str(label)}


def _phrase(text: str) -> str:
    return " ".join(text.split()).casefold()


def _both(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    return np.stack([columns.values["span:right"], columns.values["place:right"]], axis=1)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])
