"""From scored attempts to a task's numbers."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from proctor.analysis.uncertainty import Estimate, item_means, mean_with_stderr, metric_estimate
from proctor.results.epoch_metrics import epoch_metrics
from proctor.results.manifest import MetricResult, TaskResult
from proctor.scoring.base import Columns, Metric
from proctor.tasks.task import Task
from proctor.types import STATES, Item, Response, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Summary:
    """Collects the attempts of one task, in any order, and computes its result. Of each it keeps numbers, and no more than is used.

    Args:
        task: the task.
        weight: its weight in the suite.
    """

    def __init__(self, task: Task, weight: float) -> None:
        self.task = task
        self.weight = weight
        self.states: Counter[str] = Counter(dict.fromkeys(STATES, 0))
        self.items: dict[str, int] = {}
        self.groups: list[str] = []
        self.item_of = array("q")
        self.values: dict[str, array[float]] = {}  # by name, one for each attempt; NaN where it has none
        self.raw: list[dict[str, Any]] = []  # of tasks whose attempts have no score of their own
        self._answers_used = any(metric.statistics for metric in task.scoring.metrics) or (task.epochs > 1 and _votes(task))
        self.answers: list[str | None] = []
        self.targets: list[Any] = []
        self.seconds = 0.0
        self.cut_prompts = 0
        self.tokens: dict[str, int | None] = {"input_tokens": None, "output_tokens": None}
        self.cost: float | None = None

    def add(self, item: Item, response: Response, score: Score) -> None:
        """One attempt."""
        index = self.items.get(item.id)
        if index is None:
            index = self.items[item.id] = len(self.items)
            self.groups.append(item.group)
        before = len(self.item_of)
        self.item_of.append(index)
        self.states[score.state] += 1
        for name in score.values:
            if name not in self.values:
                self.values[name] = array("d", [math.nan]) * before
        for name, column in self.values.items():
            column.append(score.values.get(name, math.nan))
        if not self.task.scoring.by_attempt:
            self.raw.append(score.raw)
        if self._answers_used:
            self.answers.append(score.answer)
            self.targets.append(item.target)
        for one in (response, *(exchange.response for exchange in response.exchanges if not exchange.by)):
            self._spend(one)

    def _spend(self, response: Response) -> None:
        """What one of the model's own answers took."""
        self.seconds += response.latency
        self.cut_prompts += bool(response.cut_tokens)
        for name in self.tokens:
            count = getattr(response, name)
            if count is not None:
                self.tokens[name] = (self.tokens[name] or 0) + count
        if response.cost is not None:
            self.cost = (self.cost or 0.0) + response.cost

    def result(self) -> TaskResult:
        """The task's result over what was added."""
        spec = self.task.spec
        return TaskResult(
            task=spec.task,
            protocol_hash=self.task.protocol_hash,
            metrics=[*(_result(metric, self._estimate(metric)) for metric in self.task.scoring.metrics), *self._over_epochs()],
            items=len(self.items),
            attempts=len(self.item_of),
            states=dict(self.states),
            version=spec.version,
            title=spec.title,
            description=spec.description,
            domain=spec.domain,
            capabilities=spec.capabilities,
            languages=spec.languages,
            modality=spec.modality,
            licence=spec.licence,
            citation=spec.citation,
            human=spec.human,
            source=self.task.source,
            origin=self.task.origin,
            weight=self.weight,
            chance=self.task.chance,
            groups=len(set(filter(None, self.groups))) + self.groups.count(""),
            epochs=spec.response.epochs,
            cut_prompts=self.cut_prompts,
            seconds=self.seconds,
            input_tokens=self.tokens["input_tokens"],
            output_tokens=self.tokens["output_tokens"],
            cost=self.cost,
            protocol=self.task.protocol,
            variant_of=spec.variant_of,
        )

    def _estimate(self, metric: Metric) -> Estimate:
        import numpy as np

        if metric.is_mean:
            estimate = mean_with_stderr(item_means(self._values(metric.name), self.item_of, len(self.items)), self.groups)
            return estimate if metric.stderr else replace(estimate, stderr=None)
        numbers = {name: np.array(self.values[name]) for name in sorted(self.values)}
        columns = Columns(self.answers, self.targets, numbers, self.raw)
        if metric.whole is not None:
            value, stderr = metric.whole(columns)
            value = value if value is not None and math.isfinite(value) else None
            return Estimate(value, stderr, len(self.items), len(self.items))
        if metric.statistics is None or metric.value is None:
            raise TypeError(f"metric '{metric.name}' has statistics but no value of them")
        statistics = metric.statistics(columns)
        # Attempts of one item, and items of one group, are drawn together.
        clusters = [self.groups[index] or f"\0{index}" for index in self.item_of]
        return metric_estimate(statistics, metric.value, clusters)

    def _values(self, name: str) -> NDArray[np.float64]:
        import numpy as np

        return np.array(self.values[name]) if name in self.values else np.full(len(self.item_of), math.nan)

    def _over_epochs(self) -> list[MetricResult]:
        main = self.task.scoring.metrics[0]
        if not main.is_mean or not self.task.scoring.by_attempt:
            return []
        return epoch_metrics(
            MetricResult(main.name, None, None, main.higher_is_better, main.bounds),
            self._values(main.name),
            self.item_of,
            self.groups,
            self.task.epochs,
            answers=self.answers if _votes(self.task) else None,
            taken={metric.name for metric in self.task.scoring.metrics},
        )


def _votes(task: Task) -> bool:
    """Whether answers can be counted against each other: a label, a number, a short text, and not a whole response or program."""
    first = task.scoring.protocol["scorers"][0]
    ways = {way for way, _ in first.get("extract", [])}
    return first["scorer"] in ("exact_match", "quasi_exact") or not ways <= {"text", "code"} or "extract" not in first


def _result(metric: Metric, estimate: Estimate) -> MetricResult:
    return MetricResult(metric.name, estimate.value, estimate.stderr, metric.higher_is_better, metric.bounds)
