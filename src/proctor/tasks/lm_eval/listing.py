"""Tables of the harness's tasks, from the index alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proctor.tasks.lm_eval.index import Entry, Index

Table = tuple[list[str], list[list[Any]]]


def listed(index: Index, names: Sequence[str] = ()) -> Table:
    """Tasks, groups and tags by name, with the code of their own that they run."""
    rows: list[list[Any]] = []
    for name in _chosen(index, names):
        if name in index.tasks:
            entry = index.tasks[name]
            rows.append([name, "task", _output(entry), ", ".join(entry.tags), "; ".join(entry.code)])
        elif name in index.groups:
            rows.append([name, "group", "", "", ""])
        else:
            rows.append([name, "tag", f"{len(index.tags[name])} tasks", "", ""])
    return ["name", "kind", "output", "tags", "code of its own"], rows


def problems(index: Index, names: Sequence[str] = ()) -> Table:
    """What cannot be run, and why; files that are no task file go without a name, unless names are given."""
    rows = [[name, index.tasks[name].problem] for name in _chosen(index, names) if name in index.tasks and index.tasks[name].problem]
    if not names:
        rows += [["", f"{entry.path}: {entry.problem.removeprefix(f'{entry.path}: ')}"] for entry in index.broken]
    return ["name", "reason"], rows


def _output(entry: Entry) -> str:
    return "python" if entry.kind == "class" else entry.output


def _chosen(index: Index, names: Sequence[str]) -> list[str]:
    if not names:
        return sorted({*index.tasks, *index.groups, *index.tags})
    return list(dict.fromkeys(one for name in names for one in index.find(name)))
