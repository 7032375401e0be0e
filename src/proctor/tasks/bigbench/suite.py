"""Tasks of BIG-bench as suites: a task, one of subtasks, or a folder of tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from proctor.errors import TaskError, UsageError
from proctor.scoring.bigbench import NORMALISED, kind_of, reported
from proctor.tasks.bigbench.file import TaskFile, read_json, read_task
from proctor.tasks.bigbench.ref import read_ref, write_ref
from proctor.tasks.bigbench.task import BigBenchTask
from proctor.tasks.suite import Aggregate, Group, Suite, Weighted
from proctor.tasks.task import Task

FILE = "task.json"


def load_suite(ref: str, base: Path | None = None) -> Suite:
    """The suite that `bigbench:PATH` names.

    A task with subtasks counts as one task, each subtask as its part of it, as in BIG-bench, whose number for such a task is the mean of
    its subtasks' normalised scores. Numbers that are had by asking in another way than the preferred one are a task of weight 0 beside it.

    Raises:
        UsageError: there is no such file or folder, or none with tasks.
        TaskError: a file that is wrong.
    """
    path, compat = read_ref(ref, base)
    found = list(_tasks(path, compat, ref))
    groups = [_group(name, title, entries) for name, title, entries in found if sum(one.weight > 0 for one in entries) > 1]
    name = _named(path)
    title = found[0][1] if len(found) == 1 else ""
    return Suite(name, [one for _, _, entries in found for one in entries], title=title, source=write_ref(path, compat), groups=groups)


def load_task(ref: str) -> Task:
    """The one task that `bigbench:PATH` names: of one asked in several ways, that of the preferred score. Raises as `load_suite`."""
    every = load_suite(ref).entries
    entries = [entry for entry in every if entry.weight > 0] or every[:1]
    if len(entries) > 1:
        raise UsageError(f"{ref}: has {len(entries)} tasks; name one, such as {entries[0].task.source}")
    return entries[0].task


def _tasks(path: Path, compat: bool, ref: str) -> Iterator[tuple[str, str, list[Weighted]]]:
    """(name, title, its tasks) of every task of BIG-bench under a path."""
    if not path.exists():
        raise UsageError(f"{ref}: no such file or folder: {path}")
    if path.is_dir() and not (path / FILE).exists():
        below = sorted(one for one in path.iterdir() if (one / FILE).is_file())
        if not below:
            raise UsageError(f"{ref}: {path} holds no {FILE}, and no folder in it does")
        for one in below:
            yield _task(one / FILE, compat)
        return
    yield _task(path / FILE if path.is_dir() else path, compat)


def _task(path: Path, compat: bool) -> tuple[str, str, list[Weighted]]:
    data = read_json(path)
    name = _named(path.parent if path.name == FILE else path)
    source = path.parent if path.name == FILE else path
    if "examples" in data:
        return name, str(data["name"]), _entries(read_task(data, str(path)), name, source, compat, 1.0)
    subtasks = sorted(one for one in path.parent.iterdir() if (one / FILE).is_file())
    if not subtasks:
        raise TaskError(f"{path}: has neither examples nor, in the folders beside it, subtasks")
    entries: list[Weighted] = []
    for one in subtasks:
        file = read_task(read_json(one / FILE), str(one / FILE))
        entries += _entries(file, f"{name}/{_part(one.name)}", one, compat, 1 / len(subtasks))
    return name, str(data["name"]), entries


def _entries(file: TaskFile, name: str, source: Path, compat: bool, weight: float) -> list[Weighted]:
    """The tasks of a file: that of the preferred score, then those of numbers that are asked in another way."""
    ref = write_ref(source, compat)
    names = reported(file.metrics, file.examples)
    if not names:
        raise TaskError(f"{file.where}: metrics: {', '.join(file.metrics)} is not computed here: it needs a neural model of its own")
    first = file.preferred if file.preferred in names else names[0]
    if first != file.preferred:  # a score that is not computed here is not stood in for by another
        weight = 0.0
    kinds = sorted({kind_of(one) for one in names}, key=lambda kind: (kind != kind_of(first), kind))
    entries: list[Weighted] = []
    for kind in kinds:
        asked = sorted((one for one in names if kind_of(one) == kind), key=lambda one: one != first)
        own = (name, weight) if kind == kind_of(first) else (f"{name}/{kind}", 0.0)
        entries.append(Weighted(BigBenchTask(file, kind, tuple(asked), own[0], ref, compat=compat), own[1]))
    return entries


def _group(name: str, title: str, entries: list[Weighted]) -> Group:
    """A task of BIG-bench that is several of ours, with the mean of its parts' normalised scores."""
    counted = tuple(entry.task.name for entry in entries if entry.weight > 0)
    return Group(name, title, counted, counted, (Aggregate(NORMALISED, None, weight_by_size=False),))


def _named(path: Path) -> str:
    return f"bigbench/{_part(path.resolve().name.removesuffix('.json'))}"


def _part(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "task"
