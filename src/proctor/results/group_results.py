"""The numbers of a suite's groups, from those of their tasks: by weight, or as lm-evaluation-harness brings them together."""

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
    with √(Σ seᵢ²) / k. A task that lacks the metric is left out; a group has no standard error where some task has none. By weight in the
    suite Σ wᵢmᵢ / Σ wᵢ with √(Σ wᵢ²seᵢ²) / Σ wᵢ, and nothing where a task of the group is missing or has no value.
    """
    by_name = {result.task: result for result in results}
    found = []
    for group in groups:
        leaves = [by_name[name] for name in group.tasks if name in by_name]
        metrics = []
        for aggregate in group.aggregates:
            if not aggregate.by_weight:
                metrics += _metrics(aggregate, leaves)
            elif leaves and len(leaves) == len(set(group.tasks)):
                metrics += _by_weight(leaves)
        if not metrics:
            continue
        protocol: dict[str, Any] = {
            "group": group.name,
            "members": list(group.members),
            "tasks": {leaf.task: leaf.protocol_hash for leaf in leaves},
            "aggregates": [[one.metric, one.filters, "weight" if one.by_weight else one.weight_by_size] for one in group.aggregates],
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
                chance=_chance(leaves) if any(one.by_weight for one in group.aggregates) else 0.0,
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


def _weights(leaves: Sequence[TaskResult]) -> list[float]:
    """Of each in the suite; where all are 0, the same of each."""
    return [leaf.weight for leaf in leaves] if any(leaf.weight for leaf in leaves) else [1.0] * len(leaves)


def _chance(leaves: Sequence[TaskResult]) -> float:
    """The expected score of guessing on the main metric of the whole."""
    weights = _weights(leaves)
    return math.fsum(leaf.chance * weight for leaf, weight in zip(leaves, weights, strict=True)) / sum(weights)


def _by_weight(leaves: Sequence[TaskResult]) -> list[MetricResult]:
    """The main metric, whatever each task calls its own, and every other that all tasks have."""
    weights = _weights(leaves)
    counted = [(leaf, weight) for leaf, weight in zip(leaves, weights, strict=True) if weight]
    total = sum(weights)
    mains = {leaf.main.name for leaf, _ in counted}
    columns = [(next(iter(mains)) if len(mains) == 1 else "score", [leaf.main for leaf, _ in counted])]
    tables = [{metric.name: metric for metric in leaf.metrics[1:]} for leaf, _ in counted]
    columns += [(name, [table[name] for table in tables]) for name in tables[0] if all(name in table for table in tables)]
    found = []
    for name, metrics in columns:
        if len({metric.higher_is_better for metric in metrics}) > 1 or any(metric.value is None for metric in metrics):
            continue
        pairs = [(metric, weight) for metric, (_, weight) in zip(metrics, counted, strict=True)]
        errors = [(metric.stderr, weight) for metric, weight in pairs if metric.stderr is not None]
        bounds = {metric.bounds for metric in metrics}
        found.append(
            MetricResult(
                name,
                math.fsum((metric.value or 0.0) * weight for metric, weight in pairs) / total,
                math.sqrt(math.fsum((error * weight) ** 2 for error, weight in errors)) / total if len(errors) == len(pairs) else None,
                metrics[0].higher_is_better,
                next(iter(bounds)) if len(bounds) == 1 else None,
            )
        )
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
