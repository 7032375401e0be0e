"""Which tasks have numbers together: those of one file, and the groups that a suite file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from proctor.errors import TaskError, nearest
from proctor.tasks.each import by_group
from proctor.tasks.suite import Aggregate, Group, Weighted
from proctor.tasks.task import Task

if TYPE_CHECKING:
    from proctor.tasks.yaml_file import TaskFile

BY_WEIGHT = (Aggregate("", weight_by_size=False, by_weight=True),)


def weighted(tasks: Sequence[Task], aggregate: str | None = None) -> list[Weighted]:
    """The tasks of a file with weights that sum to 1, so that in a larger suite it counts as one task; `aggregate`: instead of its own."""
    spec = tasks[0].spec
    aggregate = aggregate or spec.aggregate
    if aggregate == "items":
        sizes = [len(task.items) for task in tasks]
    elif aggregate == "groups" and spec.groups:
        homes = [task.spec.each.get(spec.groups[0], task.name) if isinstance(task.spec.each, dict) else task.name for task in tasks]
        shares = {home: homes.count(home) for home in homes}
        return [Weighted(task, 1 / (len(shares) * shares[home])) for task, home in zip(tasks, homes, strict=True)]
    else:
        sizes = [1] * len(tasks)
    return [Weighted(task, size / sum(sizes)) for task, size in zip(tasks, sizes, strict=True)]


def groups_of_file(file: TaskFile) -> list[Group]:
    """The groups of a file with `each`, the whole of it last."""
    found = by_group(file.specs, file.name)
    return [Group(name, file.title if name == file.name else "", tuple(tasks), tuple(tasks), BY_WEIGHT) for name, tasks in found.items()]


def groups_of_suite(named: Mapping[str, Sequence[str]], tasks: Mapping[str, Sequence[str]], where: str) -> list[Group]:
    """The groups that a suite file names.

    Args:
        named: its `groups`.
        tasks: what may stand in one, to the tasks it is: tasks, groups of these, whatever `tasks` lists.
        where: the file, for messages.

    Raises:
        TaskError: a group of the name of a task; a member that is not in the suite.
    """
    known = {name: list(leaves) for name, leaves in tasks.items()}
    made = []
    for name, members in named.items():
        if known.get(name) == [name]:
            raise TaskError(f"{where}: groups.{name}: is the name of a task, too")
        leaves: list[str] = []
        for member in members:
            if member not in known:
                raise TaskError(f"{where}: groups.{name}: '{member}' is not in the suite{nearest(member, known)}")
            leaves += [leaf for leaf in known[member] if leaf not in leaves]
        known[name] = leaves
        made.append(Group(name, "", tuple(leaves), tuple(members), BY_WEIGHT))
    return made
