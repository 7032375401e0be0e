"""A suite: tasks under one protocol, with weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from proctor.canonical import content_hash
from proctor.errors import TaskError
from proctor.tasks.task import Task


class Weighted(Struct, frozen=True):
    """A task and its weight in the suite's composite; 0 leaves it out."""

    task: Task
    weight: float = 1.0


class Aggregate(Struct, frozen=True):
    """A number of a group: the mean of a metric over its leaf tasks.

    Attributes:
        metric: its name, without a filter; empty: the main metric, and after it every other that all tasks have.
        filters: under which filters; None: under each that occurs.
        weight_by_size: whether a task counts by its number of items.
        by_weight: whether it counts by its weight in the suite instead.
    """

    metric: str
    filters: tuple[str, ...] | None = None
    weight_by_size: bool = True
    by_weight: bool = False


class Group(Struct, frozen=True):
    """Tasks of a suite that have numbers together, beside its composite.

    Attributes:
        name: as printed; no task has it.
        title: one line.
        tasks: names of the leaf tasks.
        members: names of the tasks and groups directly below.
        aggregates: its numbers; empty where it only lists tasks.
        version: as declared.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    members: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    version: Any = None


class Suite:
    """Tasks under one protocol.

    Args:
        name: as printed.
        entries: the tasks and their weights.
        title: one line.
        source: what to load it from again: built-in names and paths, one a line, or `python`.
        groups: tasks that have numbers together; they change nothing else.
        composite: how leaderboards make one number of the tasks unless asked for another; empty: the chance-corrected mean.

    Raises:
        TaskError: no tasks, or two of one name.
    """

    def __init__(
        self,
        name: str,
        entries: list[Weighted],
        *,
        title: str = "",
        source: str = "python",
        groups: Sequence[Group] = (),
        composite: str = "",
    ) -> None:
        if not entries:
            raise TaskError(f"suite '{name}' has no tasks")
        seen: set[str] = set()
        for entry in entries:
            if entry.task.name in seen:
                raise TaskError(f"suite '{name}': two tasks are named '{entry.task.name}'; rename one with the key 'task' of its file")
            seen.add(entry.task.name)
        self.name = name
        self.entries = entries
        self.title = title
        self.source = source
        self.groups = tuple(groups)
        self.composite = composite

    def __repr__(self) -> str:
        return f"Suite({self.name!r}, {len(self.entries)} tasks, {sum(len(task.items) for task in self.tasks)} items)"

    @property
    def tasks(self) -> list[Task]:
        return [entry.task for entry in self.entries]

    @cached_property
    def hash(self) -> str:
        """Over the tasks' protocols, weights and chance levels; composites compare only where it is equal."""
        parts = [(entry.task.name, entry.task.protocol_hash, entry.weight, entry.task.chance) for entry in self.entries]
        return content_hash(sorted(parts), 12)

    def with_tasks(self, tasks: list[Task]) -> Suite:
        """The same suite with its tasks replaced one by one."""
        entries = [Weighted(task, entry.weight) for task, entry in zip(tasks, self.entries, strict=True)]
        return Suite(self.name, entries, title=self.title, source=self.source, groups=self.groups, composite=self.composite)
