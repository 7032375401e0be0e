"""The scoring of a task: from its specification to the score of each response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from proctor.errors import DataError, TaskError
from proctor.scoring import extract
from proctor.scoring.base import Extraction, Metric, Scorer
from proctor.scoring.choice import GeneratedChoice, Normalise, largest, normalised
from proctor.scoring.extract import Extractor, compile_extract
from proctor.scoring.judges.base import JudgedScorer
from proctor.scoring.letters import as_letters, choice_label
from proctor.scoring.registry import make_scorer, read_entry, scorer_class, scorer_names
from proctor.scoring.stated_confidence import Stated
from proctor.scoring.text_signs import looks_refused, strip_thinking
from proctor.types import Item, Likelihood, Request, Response, Score, State, Step


class ScoringLike(Protocol):
    """What is needed of `proctor.tasks.spec.ScoringSpec` (a later room)."""

    @property
    def extract(self) -> Sequence[Any]: ...
    @property
    def metrics(self) -> Sequence[Any]: ...
    @property
    def thinking(self) -> str: ...
    @property
    def judges(self) -> Sequence[str]: ...


class ResponseLike(Protocol):
    """What is needed of `proctor.tasks.spec.ResponseSpec` (a later room)."""

    @property
    def kind(self) -> str: ...
    @property
    def by(self) -> str: ...
    @property
    def normalise(self) -> Normalise: ...


class _Part(Struct, frozen=True):
    scorer: Scorer
    extractor: Extractor


class TaskScoring:
    """How the responses of one task are scored; made by `compile_scoring`.

    Attributes:
        metrics: what is reported, the main metric first.
        protocol: scorers, versions, options and extraction as JSON values; part of the protocol hash.
        by_attempt: whether each attempt has a score of its own, and not all attempts at an item one together.
    """

    by_attempt = True

    def __init__(
        self,
        parts: list[_Part],
        protocol: dict[str, Any],
        kind: str,
        strip: bool,
        normalise: Normalise,
        letters: Sequence[str] = (),
        stated: Sequence[Stated] = (),
    ) -> None:
        self.metrics: tuple[Metric, ...] = tuple(metric for part in parts for metric in part.scorer.metrics)
        self.protocol = protocol
        self._parts = parts
        self._kind = kind
        self._strip = strip
        self._normalise: Normalise = normalise
        self._letters = tuple(letters)
        self._stated = tuple(stated)
        self.metrics += tuple(one.metric for one in self._stated)

    @property
    def in_threads(self) -> bool:
        """Whether several items should be scored at once, in threads."""
        return bool(self._parts) and all(part.scorer.in_threads for part in self._parts)

    def ready(self) -> None:
        """Raise a `ProctorError` where a scorer cannot work on this machine."""
        for part in self._parts:
            part.scorer.ready()

    def check(self, items: Iterable[Item]) -> None:
        """Raise `DataError` for the first item whose target a scorer cannot read."""
        for item in items:
            for part in self._parts:
                complaint = part.scorer.check(item)
                if complaint:
                    raise DataError(f"item '{item.id}': {part.scorer.name}: {complaint}")

    def score(self, item: Item, request: Request, response: Response) -> Score:
        """Score one response, with the confidence that the model stated of it, where it was asked.

        The state is found by the first scorer's extraction:

        - `failed`: the response is an error, or that to a later turn, a second question or a judge is;
        - `refused`: the provider refused, or nothing was extracted and the text opens like a refusal;
        - `truncated`: cut off by the token limit with nothing extracted, or an answer that could have gone on. What is there is scored;
        - `unparsed`: nothing was extracted;
        - `scored`: anything else.

        Of a conversation the last turn's answer is scored; scorers see all of them.

        Attempts without an answer get each scorer's `unanswered` values. A choice by likelihood has the letter of the most likely choice as
        answer, a perplexity none, a ranking its first document.
        """
        score = self._scored(item, request, response)
        stated = {one.name: value for one in self._stated if (value := one.value(response)) is not None}
        return replace(score, values={**score.values, **stated}) if stated else score

    def answer(self, item: Item, request: Request, response: Response) -> str | None:
        """The answer in a response: the letter of a choice, or what the first scorer's extraction finds; None where there is none."""
        if response.turns[-1].finish in ("error", "refused"):
            return None
        if isinstance(request, Likelihood):
            if response.loglikelihoods is None or self._kind != "choice":
                return None
            compared = normalised(response.loglikelihoods, request.continuations, response.token_counts, self._normalise)
            return choice_label(largest(compared))
        text = self._lettered(self._said(response), item)
        return None if text is None else self._parts[0].extractor(text, item).answer

    def _lettered(self, text: str | None, item: Item) -> str | None:
        """A text in which choices that go by other names are called by their letters."""
        return as_letters(text, self._letters[: len(item.choices)]) if self._letters and text is not None and item.choices else text

    def _scored(self, item: Item, request: Request, response: Response) -> Score:
        if response.finish == "error":
            return Score("failed", self._unanswered(item), None, response.error or "no answer")
        for one in response.exchanges:
            if one.response.finish == "error":
                return Score("failed", self._unanswered(item), None, f"{one.name}: {one.response.error or 'no answer'}")
        last = response.turns[-1]
        if last.finish == "refused":
            return Score("refused", self._refused(item, response), None, last.error or "refused by the provider")
        if self._kind in ("choice", "perplexity"):
            return self._score_likelihood(item, request, response)
        if self._kind == "rank":
            return self._score_ranking(item, response)
        return self._score_text(item, response)

    @property
    def has_steps(self) -> bool:
        """Whether judges are asked."""
        return any(part.scorer.judged for part in self._parts)

    def steps(self, item: Item, request: Request, response: Response) -> Sequence[Step]:
        """What judges are asked next about an answer; nothing where none was found, or all is said."""
        if not self.has_steps or response.turns[-1].finish in ("error", "refused"):
            return ()
        asked = {one.name for one in response.exchanges}
        text = self._said(response)
        new: list[Step] = []
        for part in self._parts:
            if part.scorer.judged and text is not None:
                answer = part.extractor(text, item).answer
                if answer is not None:
                    new += [step for step in part.scorer.steps(answer, item, request, response) if step.name not in asked]
        return new

    def _said(self, response: Response) -> str | None:
        """What answers are looked for in; None where the thinking never ended."""
        whole = response.turns[-1].text or ""
        return strip_thinking(whole) if self._strip else whole

    def score_item(self, item: Item, asked: Sequence[tuple[Request, Response]]) -> list[Score]:
        """The scores of all attempts at an item, one for each request and response, epochs in order."""
        return [self.score(item, request, response) for request, response in asked]

    def _score_likelihood(self, item: Item, request: Request, response: Response) -> Score:
        if not isinstance(request, Likelihood) or response.loglikelihoods is None:
            return Score("failed", self._unanswered(item), None, "the response has no log-likelihoods")
        answer: str | None = None
        if self._kind == "choice":
            compared = normalised(response.loglikelihoods, request.continuations, response.token_counts, self._normalise)
            answer = choice_label(largest(compared))
            response = replace(response, loglikelihoods=(tuple(compared),))
        values: dict[str, float] = {}
        reasons: list[str] = []
        for part in self._parts:
            measured = part.scorer.measure(answer or "", item, response)
            values.update(measured.values)
            reasons.append(measured.reason)
        return Score("scored", values, answer, "; ".join(filter(None, reasons)))

    def _score_ranking(self, item: Item, response: Response) -> Score:
        if response.ranking is None:
            return Score("failed", self._unanswered(item), None, "the response has no ranking")
        best = response.ranking[0].id if response.ranking else None
        values: dict[str, float] = {}
        reasons: list[str] = []
        for part in self._parts:
            measured = part.scorer.measure(best or "", item, response)
            values.update(measured.values)
            reasons.append(measured.reason)
        return Score("scored", values, best, "; ".join(filter(None, reasons)))

    def _score_text(self, item: Item, response: Response) -> Score:
        last = response.turns[-1]
        text = self._lettered(self._said(response), item)
        values: dict[str, float] = {}
        reasons: list[str] = []
        found: list[Extraction] = []
        for part in self._parts:
            extraction = part.extractor(text, item) if text is not None else extract.NOTHING
            found.append(extraction)
            if extraction.answer is None and not part.scorer.conversation:
                values.update(part.scorer.unanswered(item))
                continue
            measured = part.scorer.measure(extraction.answer or "", item, response)
            values.update(measured.values)
            reasons.append(measured.reason)
        first = found[0]
        if first.answer is None:
            why = f"no answer found by: {self._parts[0].extractor}" if text is not None else "the thinking never ended"
            reasons.insert(0, why if (last.text or "").strip() else "the response is empty")
        return Score(state_of(first, text or "", last), values, first.answer, "; ".join(filter(None, reasons)))

    def _refused(self, item: Item, response: Response) -> dict[str, float]:
        """Values where the provider refused the last turn: of the conversation before it where a scorer looks at that."""
        values: dict[str, float] = {}
        for part in self._parts:
            looks = part.scorer.conversation
            values.update(part.scorer.measure("", item, response).values if looks else part.scorer.unanswered(item))
        return values

    def _unanswered(self, item: Item) -> dict[str, float]:
        values: dict[str, float] = {}
        for part in self._parts:
            values.update(part.scorer.unanswered(item))
        return values


def state_of(found: Extraction, text: str, response: Response) -> State:
    if found.answer is None and looks_refused(text):
        return "refused"
    if response.finish == "length" and (found.answer is None or found.needs_end):
        return "truncated"
    return "unparsed" if found.answer is None else "scored"


def compile_scoring(
    spec: ScoringLike, response: ResponseLike, where: str, letters: Sequence[str] = (), stated: Sequence[Stated] = ()
) -> TaskScoring:
    """Check a task's scoring and make it ready.

    Args:
        spec: the `scoring` part of a task file. Without metrics a choice is scored by `choice`, a perplexity by `perplexity`, a ranking by
            `retrieval`; free text has no default.
        response: its `response` part.
        where: the task file's name, for messages.
        letters: what the choices are named by, where it is not A, B, C, …; an answer that names one is read as the letter of its place.
        stated: the second questions about confidence that are asked; their metrics come last.

    Raises:
        TaskError: an unknown scorer, option or way to extract; two scorers with a metric of the same name; no metrics for generated text.
        MissingExtra: a scorer's packages are not installed.
    """
    unread = response.kind == "rank"  # nothing is extracted
    likelihood = response.kind == "perplexity" or (response.kind == "choice" and response.by != "generate")
    entries = list(spec.metrics)
    if not entries:
        if response.kind == "generate":
            raise TaskError(f"{where}: scoring.metrics: generated text needs a scorer; there are: {', '.join(scorer_names())}")
        entries = ["retrieval" if response.kind == "rank" else response.kind]
    parts: list[_Part] = []
    described: list[dict[str, Any]] = []
    taken: dict[str, str] = {}
    for position, entry in enumerate(entries):
        at = f"{where}: scoring.metrics[{position}]"
        name, argument = read_entry(entry, at)
        # The same word for both ways to answer a multiple-choice question.
        cls = GeneratedChoice if name == "choice" and not likelihood else scorer_class(name, at)
        if (name == "perplexity") != (response.kind == "perplexity"):
            raise TaskError(f"{at}: '{name}' cannot score the response kind '{response.kind}'")
        if (name == "retrieval") != (response.kind == "rank"):
            raise TaskError(f"{at}: '{name}' cannot score the response kind '{response.kind}'")
        if name == "choice" and response.kind != "choice":
            raise TaskError(f"{at}: 'choice' needs the response kind 'choice', not '{response.kind}'")
        scorer, options = make_scorer(cls, argument, at)
        for metric in scorer.metrics:
            if metric.name in taken:
                raise TaskError(f"{at}: '{taken[metric.name]}' and '{name}' both report the metric '{metric.name}'")
            taken[metric.name] = name
        default = ("letter",) if response.kind == "choice" else scorer.default_extract
        extractor = compile_extract(spec.extract, default, f"{where}: scoring.extract")
        if isinstance(scorer, JudgedScorer):
            scorer.judges = tuple(spec.judges)
        parts.append(_Part(scorer, extractor))
        description: dict[str, Any] = {"scorer": name, "version": scorer.version, "options": options}
        identity = getattr(scorer, "identity", None)  # of code outside Proctor that the scorer runs
        if identity is not None:
            description["identity"] = identity
        if not likelihood and not unread:
            description["extract"] = extractor.spec
        described.append(description)
    protocol: dict[str, Any] = {"scorers": described}
    if any(part.scorer.judged for part in parts):
        protocol["judges"] = list(spec.judges)
    elif spec.judges:
        raise TaskError(
            f"{where}: scoring.judges: none of the scorers asks judges; name one of them (judge_points, …) or leave the key out"
        )
    if likelihood:
        if response.kind == "choice":
            protocol["normalise"] = response.normalise
    elif not unread:
        protocol |= {"thinking": spec.thinking, "extract_version": extract.VERSION}
    kind = response.kind if likelihood or unread else "generate"
    return TaskScoring(parts, protocol, kind, spec.thinking == "strip", response.normalise, letters, stated)
