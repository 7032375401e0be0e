"""The scoring of a task of lm-evaluation-harness: its filters, then its metrics, document by document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from proctor.errors import DataError
from proctor.scoring.base import Metric
from proctor.scoring.letters import choice_label
from proctor.scoring.lm_eval.aggregations import MEANS, make_metric, own_number
from proctor.scoring.lm_eval.filters import INVALID, Step, run
from proctor.scoring.lm_eval.metrics import Gold, choice_values, default_direction, exact_match, loglikelihood_values, rolling_values
from proctor.scoring.task_scoring import TaskScoring
from proctor.scoring.text_signs import strip_thinking
from proctor.types import Item, Request, Response, Score, State

VERSION = 1  # raised when the same answer would get another number
_SHARE = re.compile(r"acc|exact_match|^em$|^f1$|^mc[12]$|^pass@|^contains$|^extractive_match$|^math_verify$", re.IGNORECASE)


class Document(Struct, frozen=True):
    """What scoring needs to know of an item.

    Attributes:
        row: the document, as the task's own functions take it.
        choices: texts of the choices.
        gold: of multiple choice.
        target: what counts as right otherwise: a text, or several.
        several: whether any of several targets is right.
    """

    row: dict[str, Any]
    choices: tuple[str, ...] = ()
    gold: Gold | None = None
    target: Any = None
    several: bool = False


class Wanted(Struct, frozen=True):
    """A metric of a task.

    Attributes:
        name: without a filter.
        function: of the task's own, instead of the harness's metric of that name.
        aggregation: a name, or a function of the task's own.
        options: handed to the metric.
    """

    name: str
    function: Callable[..., Any] | None
    aggregation: Any
    higher_is_better: bool
    options: dict[str, Any]


class Pipeline(Struct, frozen=True):
    """A filter: its name, and its steps in order."""

    name: str
    steps: tuple[Step, ...]


class LmEvalScoring(TaskScoring):
    """Scores documents as the harness does; made by `proctor.tasks.lm_eval`.

    Each filter gives each metric once: `exact_match` of the filter `none`, `exact_match,strict-match` of the filter `strict-match`. The
    first metric that is a mean is the main one, under the first filter.

    Args:
        output_type: of the task.
        wanted: the metrics it names.
        pipelines: its filters, in order.
        process_results: the task's own scoring, in place of all metrics: (document, filtered answers) -> name to value.
        document: what is known of an item.
        compat: keep to the harness where it is wrong, too.
        described: what the protocol says of all this.
    """

    by_attempt = False

    def __init__(
        self,
        output_type: str,
        wanted: Sequence[Wanted],
        pipelines: Sequence[Pipeline],
        process_results: Callable[..., Any] | None,
        document: Callable[[Item], Document],
        *,
        compat: bool,
        described: Mapping[str, Any],
    ) -> None:
        way = {"extract": [["text", None]]} if output_type == "generate_until" and not process_results else {}
        super().__init__([], {"scorers": [{"scorer": "lm-eval", "version": VERSION, **described, **way}]}, output_type, not compat, "none")
        self._output = output_type
        self._wanted = {one.name: one for one in wanted}
        self._pipelines = tuple(pipelines)
        self._own = process_results
        self._document = document
        self._compat = compat
        found = [(one, pipeline.name) for pipeline in pipelines for one in wanted]
        main = next((pair for pair in found if pair[0].aggregation in MEANS), found[0] if found else None)
        self._metrics: dict[str, tuple[Metric, Any]] = {}
        self._came_from: dict[str, str] = {}  # metrics that came in a dict, and the metric whose function gave it
        for one, filter_name in sorted(found, key=lambda pair: pair != main):
            self._add(one.name, filter_name, one.aggregation, one.higher_is_better)

    def _add(self, name: str, filter_name: str, aggregation: Any, higher_is_better: bool) -> None:
        full = metric_name(name, filter_name)
        share = (0.0, 1.0) if _SHARE.search(name) else None
        metric = make_metric(full, aggregation, higher_is_better=higher_is_better, bounds=share, compat=self._compat)
        self._metrics[full] = (metric, aggregation)
        self.metrics = tuple(metric for metric, _ in self._metrics.values())

    def check(self, items: Any) -> None:
        """Nothing: the harness, too, finds out what a document is worth only when it scores it."""

    def score(self, item: Item, request: Request, response: Response) -> Score:
        return self.score_item(item, [(request, response)])[0]

    def score_item(self, item: Item, asked: Sequence[tuple[Request, Response]]) -> list[Score]:
        """The scores of all attempts at a document. What is asked several times is scored once, by what the filters make of all answers."""
        broken = {index: _broken(response) for index, (_, response) in enumerate(asked)}
        if any(broken.values()):
            worst = self._worst()
            return [
                Score(
                    broken[index] or "scored",
                    worst,
                    None,
                    response.error or ("no answer" if broken[index] else "another answer to it failed"),
                )
                for index, (_, response) in enumerate(asked)
            ]
        document = self._document(item)
        answers = self._answers(asked)
        values: dict[str, float] = {}
        raw: dict[str, Any] = {}
        first: Any = None
        for number, pipeline in enumerate(self._pipelines):
            filtered = run(pipeline.steps, answers, document.row)
            first = filtered if number == 0 else first
            for name, value in self._values(item, document, filtered).items():
                full = metric_name(name, pipeline.name)
                if full not in self._metrics:
                    self._add(name, pipeline.name, *self._inherited(name))
                    self._put_in_place(name, pipeline.name)
                raw[full] = value
                own = self._own_number(full, value, item)
                if own is not None:
                    values[full] = own
        answer, state = self._answer(document, first)
        reason = self._reason(document, values)
        # With several answers the document's worth is that of each; sums must hold it once.
        return [
            Score("truncated" if response.finish == "length" else state, values, answer, reason, {} if index else raw)
            for index, (_, response) in enumerate(asked)
        ]

    def _worst(self) -> dict[str, float]:
        means = [metric for metric, _ in self._metrics.values() if metric.is_mean and metric.bounds is not None]
        return {metric.name: metric.bounds[0 if metric.higher_is_better else 1] for metric in means if metric.bounds}

    def _answers(self, asked: Sequence[tuple[Request, Response]]) -> list[list[Any]]:
        """For each of the harness's requests its answers, one for each time it was asked."""
        if self._output == "generate_until":
            return [[self._text(response.text or "") for _, response in asked]]
        flat = []
        for _, response in asked:
            if response.loglikelihoods is None:
                raise DataError("the response has no log-likelihoods")
            numbers = [one for row in response.loglikelihoods for one in row]
            greedy = [one for row in response.greedy or () for one in row] or [False] * len(numbers)
            flat.append(list(zip(numbers, greedy, strict=True)) if self._output != "loglikelihood_rolling" else numbers)
        return [[one[index] for one in flat] for index in range(len(flat[0]))]

    def _text(self, text: str) -> str:
        stripped = strip_thinking(text) if self._strip else text
        return "" if stripped is None else stripped

    def _values(self, item: Item, document: Document, filtered: list[Any]) -> dict[str, Any]:
        if self._own is not None:
            try:
                found = self._own(document.row, filtered)
            except Exception as error:
                raise DataError(f"item '{item.id}': process_results failed: {type(error).__name__}: {error}") from error
            if not isinstance(found, dict):
                raise DataError(f"item '{item.id}': process_results must return a dict, not {type(found).__name__}")
            return found
        if self._output == "loglikelihood":
            return loglikelihood_values(list(self._wanted), *filtered[0])
        if self._output == "loglikelihood_rolling":
            return rolling_values(list(self._wanted), filtered[0], document.target)
        if self._output == "multiple_choice":
            if document.gold is None:
                raise DataError(f"item '{item.id}': nothing counts as right")
            return choice_values(list(self._wanted), document.choices, document.gold, filtered)
        return self._generated(item, document, filtered[0])

    def _generated(self, item: Item, document: Document, result: Any) -> dict[str, Any]:
        gold = document.target
        several = document.several
        if not several and type(gold) is not type(result) and not ("bypass" in self._wanted or isinstance(result, list)):
            gold = str(gold) if isinstance(result, str) else gold
        found: dict[str, Any] = {}
        for name, one in self._wanted.items():
            try:
                if several:
                    options = gold if isinstance(gold, list) else [gold]
                    if name == "exact_match" and one.function is None:
                        found[name] = float(exact_match([result] * len(options), options, **_options(one)) > 0)
                        if self._compat:
                            result = [result] * len(options)  # what the harness hands to the metrics after this one
                    else:
                        found[name] = float(any(_truthy(_called(one, option, result)) for option in options))
                    continue
                value = _called(one, gold, result)
            except DataError:
                raise
            except Exception as error:
                raise DataError(f"item '{item.id}': the metric {name} failed: {type(error).__name__}: {error}") from error
            if isinstance(value, dict):
                self._came_from |= {part: name for part in value if part != name}
                found |= value
            else:
                found[name] = value
        return found

    def _put_in_place(self, part: str, filter_name: str) -> None:
        """Let a metric that a function gives several of stand where the function's own name stood, which has no number."""
        whole = metric_name(self._came_from.get(part, part), filter_name)
        parts = [metric_name(one, filter_name) for one, of in self._came_from.items() if of == self._came_from.get(part)]
        if whole not in self._metrics or part not in self._came_from or not all(one in self._metrics for one in parts):
            return
        order: list[str] = []
        for name in self._metrics:
            order += parts if name == whole else [] if name in parts else [name]
        self._metrics = {name: self._metrics[name] for name in order}
        self.metrics = tuple(metric for metric, _ in self._metrics.values())

    def _inherited(self, name: str) -> tuple[Any, bool]:
        """How a metric is brought together that the task does not name: as the one it came with, or by the mean."""
        source = self._wanted.get(self._came_from.get(name, ""))
        if source is not None:
            return source.aggregation, source.higher_is_better
        return "mean", default_direction(name)

    def _own_number(self, name: str, value: Any, item: Item) -> float | None:
        metric, aggregation = self._metrics[name]
        number = own_number(aggregation, value)
        if number is None and metric.is_mean and not _is_nan(value):
            raise DataError(f"item '{item.id}': {name} is {value!r:.80}, which is no number, and the task wants the mean of it")
        return number

    def _answer(self, document: Document, filtered: Any) -> tuple[str | None, State]:
        if self._output == "generate_until":
            said = filtered[0]
            said = said[0] if isinstance(said, list) and len(said) == 1 else said
            if said == INVALID or said is None:
                return None, "unparsed"
            return said if isinstance(said, str) else str(said), "scored"
        if self._output == "multiple_choice" and document.choices:
            lls = [one[0] for one in filtered[: len(document.choices)]]
            return choice_label(max(range(len(lls)), key=lambda index: (lls[index], -index))), "scored"
        return None, "scored"

    def _reason(self, document: Document, values: Mapping[str, float]) -> str:
        if not self._metrics or values.get(next(iter(self._metrics)), 1.0) >= 1.0 or self._own is not None:
            return ""
        if document.gold is not None:
            right = [choice_label(index) for index in document.gold.indices if index >= 0]
            return f"expected {' or '.join(right)}" if right else "no choice is right"
        return f"expected {document.target!r:.80}" if self._output == "generate_until" else ""


def metric_name(metric: str, filter_name: str) -> str:
    """How a metric is called: `exact_match`, or with its filter `exact_match,strict-match`."""
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _broken(response: Response) -> State | None:
    return "failed" if response.finish == "error" else "refused" if response.finish == "refused" else None


def _options(one: Wanted) -> dict[str, Any]:
    return {key: value for key, value in one.options.items() if key != "weight_by_size"}


def _called(one: Wanted, gold: Any, result: Any) -> Any:
    """A metric of one right text and one answer."""
    if one.function is None:
        if one.name == "exact_match":
            return exact_match([result], [gold], **_options(one))
        return None if one.name == "bypass" else [gold, result]
    try:
        return one.function(references=[gold], predictions=[result], **one.options)
    except TypeError:  # the harness knows functions of two shapes, and finds out so
        return one.function([gold, result])


def _truthy(value: Any) -> bool:
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
