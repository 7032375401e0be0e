"""What all judged scorers have in common: who is asked what, and how several judges become one number."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar

from msgspec import Struct

from proctor.canonical import content_hash
from proctor.errors import TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.text_signs import strip_thinking
from proctor.template import Template
from proctor.types import TURN, Generate, Item, Message, Prompt, Request, Response, Step

MAX_TOKENS = 1024


class Question(Struct, frozen=True):
    """Something a judge is asked about one answer.

    Attributes:
        name: what it is about; unique for the answer; empty where there is only one.
        values: what the prompt's template sees beside the item's columns.
    """

    name: str
    values: Mapping[str, Any]


class JudgedScorer(Scorer):
    """A scorer that asks judges.

    Every judge is asked every question, one request each, decoded greedily. The prompt, the raw reply and who gave it are kept with the
    attempt
    (`exchanges`). A reply without a verdict that can be read does not count; `unread` is the share of those. An attempt without any
    verdict has
    no score: it is left out of the mean.

    Each verdict is kept among the attempt's metrics under the name of its step, beside `length` (characters of what was judged) and,
    where the
    item says it, the `human` verdict; `proctor judges` makes its figures of these.

    Args:
        prompt: what the judge is shown, a template; it sees the item's columns, `question` (the conversation up to the answer, one turn
        as it
            is), `answer`, `reference` (the target, where it is a text), `mark` (a word that the answer cannot know), and what the rubric
            adds.
        system: the judge's system turn.
        max_tokens: of a reply.
        human: the column with the verdict of people, to compare judges with.

    Attributes:
        judges: URIs of those who are asked; from `scoring.judges` or `--judge`.
    """

    judged: ClassVar[bool] = True
    judges: tuple[str, ...] = ()

    def __init__(self, *, prompt: str, system: str | None, max_tokens: int, human: str | None) -> None:
        if max_tokens < 1:
            raise TaskError(f"{self.name}.max_tokens must be at least 1, not {max_tokens}")
        self._prompt = Template(prompt, f"{self.name}.prompt")
        self._system = Template(system, f"{self.name}.system") if system else None
        self._max_tokens = max_tokens
        self._human = human

    @abc.abstractmethod
    def questions(self, answer: str, item: Item, turns: Sequence[Turn]) -> list[Question]:
        """What each judge is asked."""

    @abc.abstractmethod
    def read(self, reply: str, question: Question) -> float | None:
        """The verdict in a reply, as a number; None where there is none."""

    @abc.abstractmethod
    def combine(self, verdicts: list[tuple[Question, list[float]]]) -> dict[str, float]:
        """The metrics, from each question's verdicts (one for each judge whose reply could be read; never none over all)."""

    def human_verdict(self, label: Any, item: Item) -> float:
        """What people said, on the scale of `read`. Raises `ValueError` where it is no such thing."""
        return float(label)

    def check(self, item: Item) -> str | None:
        if self._human is None:
            return None
        if self._human not in item.fields:
            return f"human: there is no column '{self._human}'"
        label = item.fields[self._human]
        try:
            finite = label in (None, "") or math.isfinite(self.human_verdict(label, item))
        except (TypeError, ValueError, KeyError):
            finite = False
        return None if finite else f"human: the column '{self._human}' holds {label!r:.60}, which is no verdict of this rubric"

    def steps(self, answer: str, item: Item, request: Request, response: Response) -> Sequence[Step]:
        if not isinstance(request, Generate):
            return ()
        asked = self.questions(answer, item, conversation(request, response))
        return [
            Step(self._step(judge, question), self._request(question, answer, item), uri)
            for judge, uri in enumerate(self.judges, 1)
            for question in asked
        ]

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        replies = {one.name: one for one in response.exchanges if one.name.startswith(f"{self.name} ")}
        request = Generate(Prompt())  # the first turn's words matter only to what is asked
        values: dict[str, float] = self.lengths(answer, item)
        verdicts: list[tuple[Question, list[float]]] = []
        unread, reasons = 0, list[str]()
        for question in self.questions(answer, item, conversation(request, response)):
            given: list[float] = []
            for judge in range(1, len(self.judges) + 1):
                step = self._step(judge, question)
                reply = replies[step].response.text or "" if step in replies else ""
                verdict = self.read(reply, question)
                if verdict is None:
                    unread += 1
                    reasons.append(f"{step}: no verdict in the reply")
                else:
                    values[step] = verdict
                    given.append(verdict)
                    reasons.append(f"{step}: {self.say(verdict, question)}")
            verdicts.append((question, given))
        total = unread + sum(len(given) for _, given in verdicts)
        if any(given for _, given in verdicts):
            values |= self.combine(verdicts)
        values["unread"] = unread / total if total else 0.0
        if self._human is not None and item.fields[self._human] not in (None, ""):
            values["human"] = self.human_verdict(item.fields[self._human], item)
        return Measured(values, "; ".join(reasons))

    def lengths(self, answer: str, item: Item) -> dict[str, float]:
        """Characters of what is judged."""
        return {"length": float(len(answer))}

    def say(self, verdict: float, question: Question) -> str:
        """A verdict in a word or two."""
        return f"{verdict:g}"

    def unanswered(self, item: Item) -> dict[str, float]:
        worst = super().unanswered(item)
        worst.pop("unread", None)
        return worst

    def _step(self, judge: int, question: Question) -> str:
        return f"{self.name} {judge}" + (f": {question.name}" if question.name else "")

    def _request(self, question: Question, answer: str, item: Item) -> Generate:
        reference = item.target if isinstance(item.target, str) else ""
        mark = content_hash([item.id, answer], 6)
        values = {**item.fields, "answer": answer, "reference": reference, "mark": mark, **question.values}
        messages = [Message("system", self._system.render(values))] if self._system else []
        return Generate(Prompt((*messages, Message("user", self._prompt.render(values)))), self._max_tokens)


UNREAD = Metric("unread", higher_is_better=False)


class Turn(Struct, frozen=True):
    """One exchange of the conversation that is judged: what was said before the answer, as one text, and the answer."""

    question: str
    answer: str


def conversation(request: Generate, response: Response) -> list[Turn]:
    """The turns of an attempt, their answers without thinking; the question of each holds all before it."""
    asked = [request, *(one.request for one in response.exchanges if one.name.startswith(TURN))]
    return [
        Turn(_as_text(one.prompt.messages), strip_thinking(answer.text or "") or "")
        for one, answer in zip(asked, response.turns, strict=True)
        if isinstance(one, Generate)
    ]


def _as_text(messages: Sequence[Message]) -> str:
    """A conversation as one text: what the user said where that is all, else each turn under its role; of a picture what it is."""
    said = ["".join(map(str, message.parts())) for message in messages]
    if len(messages) == 1:
        return said[0]
    return "\n\n".join(f"{message.role.capitalize()}: {text}" for message, text in zip(messages, said, strict=True))


def mean_of_questions(verdicts: Sequence[tuple[Question, list[float]]]) -> float:
    """The mean over questions of the mean over judges; questions without a verdict do not count."""
    return fmean(fmean(given) for _, given in verdicts if given)


def majority(given: Sequence[float]) -> float:
    """The verdict that most judges gave; of several, equally often given, their mean."""
    counts = {verdict: given.count(verdict) for verdict in given}
    most = max(counts.values())
    return fmean(verdict for verdict, count in counts.items() if count == most)
