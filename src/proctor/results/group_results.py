"""The numbers of a suite's groups, from those of their tasks: as lm-evaluation-harness brings them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from proctor.canonical import content_hash
from proctor.results.manifest import MetricResult, TaskResult
from proctor.tasks.suite import Aggregate, Group
from proctor.types import STATES


def group_results(groups: Iterable[Group], results: Sequence[TaskResult]) -> list[TaskResult]:
    """A result for each group that has a number: of weight 0, as it is derived from others, and without attempts.

    Over leaf tasks, never over subgroups: by size Σ mᵢnᵢ / Σ nᵢ with the standard error √(Σ (nᵢ−1) nᵢ seᵢ² / (N−k) / N), or the plain mean
    with √(Σ seᵢ²) / k. A task that lacks the metric is left out; a group has no standard error where some task has none.
    """
    by_name = {result.task: result for result in results}
    found = []
    for group in groups:
        leaves = [by_name[name] for name in group.tasks if name in by_name]
        metrics = [metric for aggregate in group.aggregates for metric in _metrics(aggregate, leaves)]
        if not metrics:
            continue
        protocol: dict[str, Any] = {
            "group": group.name,
            "members": list(group.members),
            "tasks": {leaf.task: leaf.protocol_hash for leaf in leaves},
            "aggregates": [[one.metric, one.filters, one.weight_by_size] for one in group.aggregates],
            **({} if group.version is None else {"version": group.version}),
        }
        found.append(
            TaskResult(
                task=group.name,
                protocol_hash=content_hash(protocol, 12),
                protocol=protocol,
                metrics=metrics,
                items=sum(leaf.items for leaf in leaves),
                attempts=0,
                states=dict.fromkeys(STATES, 0),
                title=group.title,
                source="group",
                origin=f"derived from {len(leaves)} tasks",
                weight=0.0,
            )
        )
    return found


def _metrics(aggregate: Aggregate, leaves: Sequence[TaskResult]) -> list[MetricResult]:
    tables = [{_split(metric.name): metric for metric in leaf.metrics} for leaf in leaves]
    filters = aggregate.filters or sorted({name for table in tables for metric, name in table if metric == aggregate.metric})
    found = []
    for name in filters:
        pairs = [
            (table[aggregate.metric, name], leaf.items)
            for table, leaf in zip(tables, leaves, strict=True)
            if (aggregate.metric, name) in table
        ]
        pairs = [(metric, size) for metric, size in pairs if metric.value is not None]
        if pairs:
            found.append(_mean(aggregate, name, pairs))
    return found


def _split(name: str) -> tuple[str, str]:
    metric, _, filter_name = name.partition(",")
    return metric, filter_name or "none"


def _mean(aggregate: Aggregate, filter_name: str, pairs: Sequence[tuple[MetricResult, int]]) -> MetricResult:
    weights = [size if aggregate.weight_by_size else 1 for _, size in pairs]
    value = sum((metric.value or 0.0) * weight for (metric, _), weight in zip(pairs, weights, strict=True)) / sum(weights)
    bounds = {metric.bounds for metric, _ in pairs}
    directions: Mapping[bool, None] = dict.fromkeys(metric.higher_is_better for metric, _ in pairs)
    return MetricResult(
        aggregate.metric if filter_name == "none" else f"{aggregate.metric},{filter_name}",
        value,
        _stderr(aggregate, pairs),
        next(iter(directions)),
        next(iter(bounds)) if len(bounds) == 1 else None,
    )


def _stderr(aggregate: Aggregate, pairs: Sequence[tuple[MetricResult, int]]) -> float | None:
    errors = [metric.stderr for metric, _ in pairs if metric.stderr is not None]
    if len(errors) < len(pairs):
        return None
    if not aggregate.weight_by_size:
        return math.sqrt(sum(error**2 for error in errors)) / len(errors)
    sizes = [size for _, size in pairs]
    total = sum(sizes)
    if total <= len(sizes):
        return None
    pooled = sum((size - 1) * error**2 * size for error, size in zip(errors, sizes, strict=True)) / (total - len(sizes))
    return math.sqrt(pooled / total)
