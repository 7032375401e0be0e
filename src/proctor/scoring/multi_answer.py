"""Several instructions in one prompt, the answer to each scored by itself."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.types import Item, Response


class MultiAnswer(Scorer):
    """Several answers in one response: `all` (1 only if every one is right), `share` (mean of their scores) and `in_order`.

    The target is a list with what counts as right for each instruction, in order; a target of several accepted texts is a list in it.
    `in_order` is the share of answers that are right together with all before them, for instructions that build on one another. An answer
    that is not there is wrong. After MTI Bench (Son et al. 2024), whose step and conditional accuracies `share` and `in_order` are.

    Args:
        mark: a regular expression whose first group is the n-th answer, `{n}` standing for n from 1. Default: `<task1>…<task1/>`, as MTI
            Bench has it, or `<task1>…</task1>`. The first match counts.
        scorer: what scores each answer, as in `scoring.metrics`; its first metric, which must be a mean from 0 to 1, counts.
    """

    name = "multi_answer"
    metrics = (Metric("all"), Metric("share"), Metric("in_order"))

    def __init__(self, *, mark: str = r"<task{n}>(.*?)<(?:task{n}/|/task{n})>", scorer: Any = "exact_match") -> None:
        from proctor.scoring.extract import compile_extract
        from proctor.scoring.registry import make_scorer, read_entry, scorer_class

        where = "multi_answer.scorer"
        name, argument = read_entry(scorer, where)
        self._scorer, options = make_scorer(scorer_class(name, where), argument, where)
        main = self._scorer.metrics[0]
        if not main.is_mean or main.bounds != (0.0, 1.0) or self._scorer.judged or not self._scorer.default_extract:
            raise TaskError(f"{where}: '{name}' does not score an answer alone, from 0 to 1")
        self._main = main.name
        self._extract = compile_extract((), self._scorer.default_extract, where)
        self._mark = mark
        if "{n}" not in mark or self._pattern(1).groups < 1:
            raise TaskError("multi_answer.mark: expected a pattern with {n} and a group for the answer, such as 'Answer {n}: (.*)'")
        self.identity = {"scorer": name, "version": self._scorer.version, "options": options}

    def _pattern(self, number: int) -> re.Pattern[str]:
        try:
            return re.compile(self._mark.replace("{n}", str(number)), re.DOTALL | re.IGNORECASE)
        except re.error as error:
            raise TaskError(f"multi_answer.mark: the pattern {self._mark!r} does not compile: {error}") from None

    def check(self, item: Item) -> str | None:
        if not isinstance(item.target, list | tuple) or not item.target:
            return f"the target must be a list, what counts as right for each instruction, not {item.target!r:.200}"
        for number, target in enumerate(item.target, 1):
            complaint = self._scorer.check(replace(item, target=target))
            if complaint:
                return f"answer {number}: {complaint}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        scores: list[float] = []
        reasons: list[str] = []
        for number, target in enumerate(item.target, 1):
            one = replace(item, target=target)
            marked = self._pattern(number).search(answer)
            found = self._extract(marked[1] or "", one).answer if marked else None
            measured = self._scorer.measure(found, one, response) if found is not None else Measured({self._main: 0.0}, "not found")
            scores.append(measured.values[self._main])
            if measured.reason:
                reasons.append(f"answer {number}: {measured.reason}")
        right = [score == 1 for score in scores]
        first_wrong = right.index(False) if False in right else len(right)
        values = {"all": float(all(right)), "share": sum(scores) / len(scores), "in_order": first_wrong / len(scores)}
        return Measured(values, "; ".join(reasons))
