"""Tasks, groups, tags and globs of lm-evaluation-harness as suites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from proctor.errors import TaskError, UsageError
from proctor.tasks.lm_eval.config import Config, read_config
from proctor.tasks.lm_eval.index import Entry, Index, read_index
from proctor.tasks.lm_eval.settings import LmEvalSettings, read_ref, write_ref
from proctor.tasks.lm_eval.task import LmEvalTask
from proctor.tasks.lm_eval.yaml_files import load
from proctor.tasks.suite import Aggregate, Group, Suite, Weighted
from proctor.tasks.task import Task

MAX_DEPTH = 20
_GROUP_KEYS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag")


def load_suite(ref: str, given: LmEvalSettings | None = None, base: Path | None = None) -> Suite:
    """The suite that `lm-eval:NAME` names: a task, the tasks of a group or tag, or all that a glob matches.

    Raises:
        UsageError: nothing has that name.
        TaskError: a file that is wrong, or code that is not trusted.
    """
    name, settings = read_ref(ref, given, base)
    index = index_of(settings.paths)
    build = _Builder(index, settings)
    for one in index.find(name):
        build.add(one)
    entries = [Weighted(task) for task in build.tasks.values()]
    if not entries:
        raise UsageError(f"{ref}: '{name}' has no tasks")
    return Suite(f"lm-eval:{name}", entries, title=build.title(name), source=write_ref(name, settings), groups=build.groups)


def load_task(ref: str, given: LmEvalSettings | None = None) -> Task:
    """The one task that `lm-eval:NAME` names. Raises as `load_suite`, and `UsageError` where it names several."""
    name, settings = read_ref(ref, given)
    index = index_of(settings.paths)
    if name not in index.tasks:
        found = index.find(name)
        kind = "group" if name in index.groups else "tag" if name in index.tags else "pattern"
        among = _Builder(index, settings).first_leaf(found[0]) if kind == "group" else (index.tags[name] if kind == "tag" else found)[0]
        raise UsageError(f"{ref}: '{name}' is a {kind}, not a task; name one, such as lm-eval:{among}")
    return _Builder(index, settings).task(index.tasks[name], {})


@lru_cache(maxsize=4)
def index_of(paths: tuple[str, ...]) -> Index:
    """The index, read once in a process."""
    return read_index(paths)


class _Builder:
    """Collects the tasks of what is named, each once, and the groups above them."""

    def __init__(self, index: Index, settings: LmEvalSettings) -> None:
        self.index, self.settings = index, settings
        self.tasks: dict[str, Task] = {}
        self.groups: list[Group] = []
        self._files: dict[Path, dict[str, Any]] = {}

    def _keys(self, entry: Entry) -> dict[str, Any]:
        return load(Path(entry.path), self._files).config

    def title(self, name: str) -> str:
        return next((group.title for group in self.groups if group.name == name), "")

    def first_leaf(self, group: str, depth: int = 0) -> str:
        """A task of a group, to name as an example."""
        said = self._keys(self.index.groups[group]).get("task")
        member = said[0] if isinstance(said, list) and said else said
        name = member.get("task", member.get("group")) if isinstance(member, dict) else member
        if name in self.index.groups and depth < MAX_DEPTH:
            return self.first_leaf(name, depth + 1)
        return self.index.tags[name][0] if name in self.index.tags else str(name)

    def add(self, name: str) -> None:
        """A task, a group, or the tasks of a tag."""
        if name in self.index.groups:
            self._group(name, self._keys(self.index.groups[name]), {}, 0)
        else:
            for one in [name] if name in self.index.tasks else self.index.tags[name]:
                self._put(self.index.tasks[one], {})

    def _put(self, entry: Entry, overrides: Mapping[str, Any]) -> str:
        task = self.task(entry, overrides)
        self.tasks.setdefault(task.name, task)
        return task.name

    def task(self, entry: Entry, overrides: Mapping[str, Any]) -> Task:
        """The task of a file, with the keys that a group lays over its own."""
        keys = {**self._keys(entry), **overrides}
        if entry.kind == "class":
            from proctor.tasks.lm_eval.python_task import load_class_task

            return load_class_task(keys, entry.path, self.settings)
        return self._of_keys(keys, entry.path)

    def _of_keys(self, keys: Mapping[str, Any], where: str) -> Task:
        config: Config = read_config(keys, where)
        return LmEvalTask(config, self.settings)

    def _group(self, name: str, keys: Mapping[str, Any], overrides: Mapping[str, Any], depth: int) -> list[str]:
        """The leaf tasks of a group; it is noted with those of its subgroups, the lowest first."""
        if depth > MAX_DEPTH:
            raise TaskError(f"group '{name}': groups nested deeper than {MAX_DEPTH}, or in a circle")
        # What a group says beyond its own keys holds for its tasks.
        below = {**{key: value for key, value in keys.items() if key not in _GROUP_KEYS}, **overrides}
        leaves: list[str] = []
        members: list[str] = []
        said = keys.get("task")
        for member in said if isinstance(said, list) else [said] if said else []:
            for child, tasks in self._member(name, member, below, depth):
                if child in members:
                    continue
                members.append(child)
                # A task that stands in two subgroups counts twice in the harness, and once by our rules.
                leaves += tasks if self.settings.compat else [one for one in tasks if one not in leaves]
        aggregates = _aggregates(name, keys.get("aggregate_metric_list"))
        metadata = keys.get("metadata")
        version = metadata.get("version") if isinstance(metadata, dict) else None
        if all(group.name != name for group in self.groups):
            self.groups.append(Group(name, str(keys.get("group_alias") or ""), tuple(leaves), tuple(members), aggregates, version))
        return leaves

    def _member(self, group: str, member: Any, below: Mapping[str, Any], depth: int) -> Iterator[tuple[str, list[str]]]:
        """(name, its leaf tasks) of a member of a group; a tag is each of its tasks."""
        if isinstance(member, dict) and "group" in member:
            name = str(member["group"])
            if name in self.index.groups:
                over = {**below, **{key: value for key, value in member.items() if key != "group"}}
                yield name, self._group(name, self._keys(self.index.groups[name]), over, depth + 1)
            else:
                yield f"{group}::{name}", self._group(f"{group}::{name}", member, below, depth + 1)
            return
        if isinstance(member, dict) and "task" in member:
            name, over = member["task"], {**below, **member}
        elif isinstance(member, str):
            name, over = member, dict(below)
        else:
            raise TaskError(f"group '{group}': task: expected a name, or a mapping with 'task' or 'group', got {member!r:.80}")
        if isinstance(name, str) and name in self.index.tasks:
            one = self._put(self.index.tasks[name], {"task": name, **over})
            yield one, [one]
        elif isinstance(name, str) and name in self.index.groups:
            yield name, self._group(name, self._keys(self.index.groups[name]), over, depth + 1)
        elif isinstance(name, str) and name in self.index.tags:
            for one in self.index.tags[name]:
                put = self._put(self.index.tasks[one], {"task": one, **{key: value for key, value in over.items() if key != "task"}})
                yield put, [put]
        elif isinstance(member, dict) and len(member) > 1:
            task = self._of_keys({**over, "task": f"{group}::{name}"}, f"group '{group}'")
            self.tasks.setdefault(task.name, task)
            yield task.name, [task.name]
        else:
            raise TaskError(f"group '{group}': no task, group or tag is named '{name}'")


def _aggregates(group: str, said: Any) -> tuple[Aggregate, ...]:
    found = []
    for one in said if isinstance(said, list) else [said] if said else []:
        if not isinstance(one, dict) or not isinstance(one.get("metric"), str):
            raise TaskError(f"group '{group}': aggregate_metric_list: expected entries with the key 'metric', got {one!r:.80}")
        if one.get("aggregation", "mean") != "mean":
            raise TaskError(
                f"group '{group}': aggregate_metric_list: the one aggregation over tasks is 'mean', got {one['aggregation']!r:.80}"
            )
        filters = one.get("filter_list")
        names = None if filters is None else (filters,) if isinstance(filters, str) else tuple(map(str, filters))
        found.append(Aggregate(one["metric"], names, bool(one.get("weight_by_size", True))))
    return tuple(found)
