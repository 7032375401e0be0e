"""From scored attempts to a task's numbers."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from proctor.analysis.uncertainty import Estimate, item_means, mean_with_stderr, metric_estimates
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
        over_all = any(metric.statistics or (metric.whole and task.scoring.by_attempt) for metric in task.scoring.metrics)
        self._answers_used = over_all or (task.epochs > 1 and _votes(task))
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
        estimates = zip(self.task.scoring.metrics, self._estimates(), strict=True)
        return TaskResult(
            task=spec.task,
            protocol_hash=self.task.protocol_hash,
            metrics=[*(_result(metric, estimate) for metric, estimate in estimates), *self._over_epochs()],
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
            dimensions=spec.item.dimensions,
        )

    def _estimates(self) -> list[Estimate]:
        """Of each metric of the task, in order. Metrics of the same statistics share their resamples."""
        metrics = self.task.scoring.metrics
        columns = self._columns() if any(not metric.is_mean for metric in metrics) else None
        summed: dict[Any, list[int]] = {}
        found: list[Estimate | None] = []
        for place, metric in enumerate(metrics):
            if metric.statistics is not None and metric.value is not None:
                summed.setdefault(metric.statistics, []).append(place)
                found.append(None)
            else:
                found.append(self._mean(metric) if columns is None or metric.is_mean else self._whole(metric, columns))
        for statistics, places in summed.items():
            assert columns is not None
            values = [metrics[place].value for place in places]
            estimates = metric_estimates(statistics(columns), [value for value in values if value is not None], columns.clusters)
            for place, estimate in zip(places, estimates, strict=True):
                found[place] = estimate
        return [one for one in found if one is not None]

    def _columns(self) -> Columns:
        import numpy as np

        numbers = {name: np.array(self.values[name]) for name in sorted(self.values)}
        # Attempts of one item, and items of one group, are drawn together.
        clusters = [self.groups[index] or f"\0{index}" for index in self.item_of]
        return Columns(self.answers, self.targets, numbers, self.raw, clusters)

    def _mean(self, metric: Metric) -> Estimate:
        estimate = mean_with_stderr(item_means(self._values(metric.name), self.item_of, len(self.items)), self.groups)
        return estimate if metric.stderr else replace(estimate, stderr=None)

    def _whole(self, metric: Metric, columns: Columns) -> Estimate:
        if metric.whole is None:
            raise TypeError(f"metric '{metric.name}' has statistics but no value of them")
        value, stderr = metric.whole(columns)
        value = value if value is not None and math.isfinite(value) else None
        return Estimate(value, stderr, len(self.items), len(self.items))

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
    return first["scorer"] in ("exact_match", "quasi_exact") or not ways <= {"text", "whole", "code"} or "extract" not in first


def _result(metric: Metric, estimate: Estimate) -> MetricResult:
    return MetricResult(metric.name, estimate.value, estimate.stderr, metric.higher_is_better, metric.bounds)
