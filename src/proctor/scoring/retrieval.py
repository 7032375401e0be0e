"""Retrieval: how well a ranking puts the documents judged relevant first, by the library `ir-measures`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError, MissingExtra, TaskError, nearest
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The field's names, and those of ir-measures.
MEASURES = {"ndcg": "nDCG", "map": "AP", "mrr": "RR", "recall": "R", "precision": "P", "success": "Success"}
ROBUSTNESS = "robustness"
_NAME = re.compile(r"([a-z]+)@([1-9]\d*)|(map|mrr|ndcg)")
DEFAULT = ("ndcg@10", "map@100", "mrr@10", "recall@100")


class Retrieval(Scorer):
    """Measures of rankings, as trec_eval computes them (through ir-measures), for each query, so that all else is the mean over queries.

    A document that is not judged counts as irrelevant, and one judged relevant that was not retrieved counts against map, recall and ndcg.
    Gains of ndcg are the grades themselves, its discount the binary logarithm of rank + 1 (Järvelin and Kekäläinen, 2002). Documents with
    equal scores are ordered by id, backwards, as in trec_eval.

    `robustness@k` is InstructIR's (Oh et al., 2024): of the items of one `group`, one query under several instructions, the worst ndcg@k;
    then the mean over groups.

    Args:
        measures: `NAME@K` of ndcg, map, mrr, recall, precision, success and robustness; the first is the task's main metric. ndcg, map and
            mrr may stand without a cut.
        same_id: `keep`, or `drop` documents that have the query's own id before measuring, as BEIR does where queries are documents of the
            corpus.
    """

    name = "retrieval"

    def __init__(self, *, measures: list[str] = list(DEFAULT), same_id: str = "keep") -> None:  # noqa: B006 - never changed
        if same_id not in ("keep", "drop"):
            raise TaskError(f"retrieval.same_id: expected keep or drop, got '{same_id}'")
        if not measures:
            raise TaskError("retrieval.measures: expected at least one")
        self._drop = same_id == "drop"
        self.metrics = tuple(_metric(name) for name in measures)
        self._own = tuple(dict.fromkeys(_own(name) for name in measures))
        try:
            import ir_measures  # noqa: F401
        except ImportError:
            raise MissingExtra("The scorer 'retrieval'", "retrieval") from None

    @cached_property
    def _parsed(self) -> dict[Any, str]:
        import ir_measures

        return {ir_measures.parse_measure(_theirs(name)): name for name in self._own}

    def check(self, item: Item) -> str | None:
        try:
            grades = judgements(item.target)
        except DataError as error:
            return str(error)
        return None if any(grade > 0 for grade in grades.values()) else "no document is judged relevant to it"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        import ir_measures

        grades = judgements(item.target)
        ranking = [one for one in response.ranking or () if not (self._drop and one.id == item.id)]
        values = dict.fromkeys(self._own, 0.0)
        run = {item.id: {one.id: one.score for one in ranking}}
        if ranking:
            for found in ir_measures.iter_calc(list(self._parsed), {item.id: grades}, run):
                values[self._parsed[found.measure]] = float(found.value)
        place = next((rank for rank, one in enumerate(ranking, 1) if grades.get(one.id, 0) > 0), None)
        return Measured(values, f"of {len(ranking)} documents none is relevant" if place is None else f"first relevant at rank {place}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return dict.fromkeys(self._own, 0.0)


def judgements(target: Any) -> dict[str, int]:
    """What a target says of documents: grades by id. A list of ids, or a single one, is of relevant documents. Raises `DataError`."""
    if isinstance(target, str) and target:
        return {target: 1}
    if isinstance(target, list | tuple) and target and all(isinstance(one, str | int) and not isinstance(one, bool) for one in target):
        return {str(one): 1 for one in target}
    if isinstance(target, Mapping) and target and all(isinstance(one, int) and not isinstance(one, bool) for one in target.values()):
        return {str(name): grade for name, grade in target.items()}
    raise DataError(f"expected the relevant documents as a mapping from id to grade (a whole number), or a list of ids, got {target!r:.80}")


def _metric(name: str) -> Metric:
    match = _NAME.fullmatch(name)
    kind = (match[1] or match[3]) if match else ""
    if kind not in (*MEASURES, ROBUSTNESS):
        known = ", ".join(f"{one}@10" for one in (*MEASURES, ROBUSTNESS))
        raise TaskError(f"retrieval.measures: '{name}' is no measure{nearest(name.partition('@')[0], MEASURES) or ';'} such as {known}")
    if kind == ROBUSTNESS:
        return Metric(name, statistics=_worst_of_groups(_own(name)), value=_mean)
    return Metric(name)


def _own(name: str) -> str:
    """The measure of a query that a metric rests on."""
    return name.replace(ROBUSTNESS, "ndcg")


def _theirs(name: str) -> str:
    kind, at, cut = name.partition("@")
    return f"{MEASURES[kind]}{at}{cut}"


def _worst_of_groups(name: str) -> Callable[[Columns], NDArray[np.float64]]:
    """Of each attempt (worst of its group, 1) where it is the group's first, else (0, 0): sums over groups, which are drawn together."""

    def statistics(columns: Columns) -> NDArray[np.float64]:
        import numpy as np

        values = np.nan_to_num(columns.values.get(name, np.zeros(0)))
        rows = np.zeros((len(values), 2))
        worst: dict[str, float] = {}
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            group = columns.clusters[index] if columns.clusters else str(index)
            worst[group] = min(worst.get(group, np.inf), value)
            first.setdefault(group, index)
        for group, index in first.items():
            rows[index] = worst[group], 1.0
        return rows

    return statistics


def _mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.divide(sums[..., 0], sums[..., 1], out=np.zeros_like(sums[..., 0]), where=sums[..., 1] > 0)
