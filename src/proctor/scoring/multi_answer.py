"""Several instructions in one prompt or one conversation, the answer to each scored by itself."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.text_signs import strip_thinking
from proctor.types import Item, Response


class MultiAnswer(Scorer):
    """Several answers in one response, or in the turns of a conversation, each scored by itself.

    `all` is 1 only if every answer is right, `share` the mean of their scores, `in_order` the share right together with all before them.
    The target is a list with what counts as right for each instruction, in order; a target of several accepted texts is a list in it.
    An answer that is not there is wrong. `share` and `in_order` are the step and conditional accuracies of MTI Bench (Son et al. 2024).

    Args:
        mark: a regular expression whose first group is the n-th answer, `{n}` standing for n from 1. Default: `<task1>…<task1/>`, as MTI
            Bench has it, or `<task1>…</task1>`. The first match counts.
        turns: take the n-th answer of the conversation for the n-th answer, rather than a marked one.
        scorer: what scores each answer, as in `scoring.metrics`; its first metric, which must be a mean from 0 to 1, counts.
    """

    name = "multi_answer"
    metrics = (Metric("all"), Metric("share"), Metric("in_order"))

    def __init__(self, *, mark: str = r"<task{n}>(.*?)<(?:task{n}/|/task{n})>", turns: bool = False, scorer: Any = "exact_match") -> None:
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
        self.conversation = turns
        if "{n}" not in mark or self._pattern(1).groups < 1:
            raise TaskError("multi_answer.mark: expected a pattern with {n} and a group for the answer, such as 'Answer {n}: (.*)'")
        self.identity = {"scorer": name, "version": self._scorer.version, "options": options}

    def _pattern(self, number: int) -> re.Pattern[str]:
        try:
            return re.compile(self._mark.replace("{n}", str(number)), re.DOTALL | re.IGNORECASE)
        except re.error as error:
            raise TaskError(f"multi_answer.mark: the pattern {self._mark!r} does not compile: {error}") from None

    def _part(self, number: int, answer: str, response: Response) -> str | None:
        """Where the answer to the n-th instruction stands; None where there is none."""
        if self.conversation:
            return strip_thinking(response.turns[number - 1].text or "") if number <= len(response.turns) else None
        marked = self._pattern(number).search(answer)
        return (marked[1] or "") if marked else None

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
            text = self._part(number, answer, response)
            found = self._extract(text, one).answer if text is not None else None
            measured = self._scorer.measure(found, one, response) if found is not None else Measured({self._main: 0.0}, "not found")
            scores.append(measured.values[self._main])
            if measured.reason:
                reasons.append(f"answer {number}: {measured.reason}")
        right = [score == 1 for score in scores]
        first_wrong = right.index(False) if False in right else len(right)
        values = {"all": float(all(right)), "share": sum(scores) / len(scores), "in_order": first_wrong / len(scores)}
        return Measured(values, "; ".join(reasons))
