"""One task file, many tasks: the key `each` names values, and the file makes a task of every combination.

    task: mmlu
    each:
      - {group: stem, subject: [abstract_algebra, astronomy]}
      - {group: other, subject: [anatomy]}
    groups: group

makes `mmlu/abstract_algebra`, `mmlu/astronomy`, `mmlu/anatomy` and the groups `mmlu`, `mmlu/stem`, `mmlu/other`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from proctor.errors import TaskError, nearest
from proctor.tasks.rules import KeyProblemError
from proctor.tasks.spec import TaskSpec
from proctor.template import Value, is_template

_LEFT = ("each", "groups", "aggregate", "prompt", "item")  # templates of prompts and items see the values as columns
_NO_TEMPLATES = ("style", "delimiter", "separator", "shots", "choose", "ids", "seed", "shots_as")  # of the prompt
_PLAIN = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


def file_name(task: str) -> str:
    """What a file with `each` is called as a whole: its `task` up to the first part that is a template."""
    return task.partition("{{")[0].rpartition("/")[0] if "{{" in task else task


def as_name(value: Any) -> str:
    """A value as a part of a name."""
    return _ODD.sub("_", str(value)).strip("_.-") or "_"


def check_many(task: str, specs: Sequence[TaskSpec]) -> None:
    """Raises `KeyProblemError` where the tasks that a file makes cannot stand beside each other."""
    if not file_name(task):
        raise KeyProblemError(("task",), f"expected a name before the part that is a template, such as exam/{task}, got '{task}'")
    known = list(dict.fromkeys(name for spec in specs for name in spec.each or ()))
    for index, key in enumerate(specs[0].groups):
        if key not in known:
            raise KeyProblemError(
                ("groups", index),
                f"'{key}' is not a value of each{nearest(key, map(str, known)) or ';'} values: {', '.join(map(str, known))}",
            )
    names: set[str] = set()
    for spec in specs:
        if spec.task in names:
            wish = task if is_template(task) else f"{task}/{{{{ … }}}}"
            raise KeyProblemError(("each",), f"two tasks are named '{spec.task}'; tell them apart by the name: task: {wish}")
        names.add(spec.task)
    for name in by_group(specs, file_name(task)):
        if name in names:
            raise KeyProblemError(("groups",), f"'{name}' would be the name of a group and of a task")


def by_group(specs: Sequence[TaskSpec], name: str) -> dict[str, list[str]]:
    """The tasks of each group of a file: those of one value of a key of its `groups`, and, last, all of them."""
    found: dict[str, list[str]] = {}
    for spec in specs:
        for key in spec.groups:
            if isinstance(spec.each, dict) and key in spec.each:
                found.setdefault(f"{name}/{as_name(spec.each[key])}", []).append(spec.task)
    found = {group: tasks for group, tasks in found.items() if tasks != [group]}  # a task alone, of the same name
    return {**found, name: [spec.task for spec in specs]}


def combinations(each: Any) -> list[dict[str, Any]]:
    """The values of each task: of every mapping, one combination of its lists after another.

    Raises:
        KeyProblemError: `each` is no mapping or list of mappings of values.
    """
    found: list[dict[str, Any]] = []
    for path, mapping in [(("each",), each)] if isinstance(each, Mapping) else _indexed(each):
        if not isinstance(mapping, Mapping) or not mapping:
            raise KeyProblemError(path, "expected a mapping of names to values")
        for name, value in mapping.items():
            if not _NAME.fullmatch(str(name)):
                raise KeyProblemError((*path, str(name)), f"expected a name that a template can use, got '{name}'", at_key=True)
            if value in (None, "", []):
                raise KeyProblemError((*path, str(name)), "expected a value or a list of them, got nothing")
        lists = [value if isinstance(value, list) else [value] for value in mapping.values()]
        found += [dict(zip(mapping, values, strict=True)) for values in itertools.product(*lists)]
    return found


def with_values(keys: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of one task of a file: with its name, and its values in every template but those of the prompt and the item.

    Raises:
        KeyProblemError: a template names something else.
    """
    task = str(keys.get("task", ""))
    named = dict(keys)
    if not is_template(task):
        groups = keys.get("groups") or []
        groups = [groups] if isinstance(groups, str) else groups
        telling = [name for name in values if name not in groups] or list(values)
        named["task"] = f"{task}/{as_name(values[telling[0]])}"
    texts = {name: as_name(value) for name, value in values.items()}
    made: dict[str, Any] = {}
    for key, value in named.items():
        if key == "prompt" and isinstance(value, Mapping):
            made[key] = {name: _put(one, values, (key, name)) if name in _NO_TEMPLATES else one for name, one in value.items()}
        elif key in _LEFT:
            made[key] = value
        elif key == "task":
            made[key] = str(_put(value, texts, (key,)))
        elif key == "data" and isinstance(value, Mapping):
            rows = ("items", "where") if isinstance(value.get("where"), str) else ("items",)  # a condition is over each row
            made[key] = {name: one if name in rows else _put(one, values, (key, name)) for name, one in value.items()}
        elif key == "data" and isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            made[key] = value  # the rows themselves
        else:
            made[key] = _put(value, values, (key,), lenient=key == "scoring")
    made["each"] = dict(values)
    return made


def _indexed(each: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if not isinstance(each, Sequence) or isinstance(each, str) or not each:
        raise KeyProblemError(("each",), "expected a mapping of names to lists of values, or a list of such mappings")
    for index, mapping in enumerate(each):
        yield ("each", index), mapping


@lru_cache(maxsize=512)
def _compiled(source: str) -> Value:
    """Compiled once for all tasks of a file."""
    return Value(source, "template")


def _filled_in(text: str, values: Mapping[str, Any]) -> Any:
    """What Jinja makes of a template that holds nothing but names, without Jinja, which takes as long to import as listing all tasks."""
    alone = _PLAIN.fullmatch(text)
    if alone:
        return values[alone[1]]
    return _PLAIN.sub(lambda match: str(values[match[1]]), text.removesuffix("\n"))


def _put(value: Any, values: Mapping[str, Any], path: tuple[str | int, ...], *, lenient: bool = False) -> Any:
    """A value with the templates in it filled in; `lenient` leaves those that name other things, which see them later."""
    if isinstance(value, Mapping):
        return {key: _put(one, values, (*path, str(key)), lenient=lenient) for key, one in value.items()}
    if isinstance(value, list):
        return [_put(one, values, (*path, index), lenient=lenient) for index, one in enumerate(value)]
    if not isinstance(value, str) or not is_template(value):
        return value
    if _PLAIN.sub("", value).find("{") < 0 and all(name in values for name in _PLAIN.findall(value)):
        return _filled_in(value, values)
    try:
        template = _compiled(value)
        if lenient and not template.template.names <= values.keys():
            return value
        for name in sorted(template.template.names - values.keys()):
            raise KeyProblemError(path, f"'{name}' is not a value of each; its values: {', '.join(values)}")
        return template.of(values)
    except TaskError as error:
        raise KeyProblemError(path, str(error)) from None
