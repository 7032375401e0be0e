"""Task and suite files: strict YAML to the structs of `proctor.tasks.spec`, and one message for whatever is wrong.

Every message names the file, the line, the dotted key and what was expected.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from proctor.errors import TaskError, nearest
from proctor.tasks.each import check_many, combinations, file_name, with_values
from proctor.tasks.rules import KeyProblemError, check_suite, check_task
from proctor.tasks.spec import SuiteSpec, TaskSpec
from proctor.tasks.strict_yaml import Node, YamlError, describe, plain, read_nodes

T = TypeVar("T", bound=msgspec.Struct)

_LISTS = {
    "": ("capabilities", "languages", "groups", "variants"),
    "response": ("stop",),
    "scoring": ("extract", "metrics"),
    "item": ("metadata", "dimensions", "features"),
    "prompt": ("ids",),
}
_SHORT = {"prompt": "template", "response": "kind"}  # what a text stands for in place of the mapping


def read_yaml(path: Path, type: type[T], what: str) -> T:  # noqa: A002 - the field's word for it
    """The task or suite file at `path`.

    Args:
        path: the file.
        type: `TaskSpec` or `SuiteSpec`, or any struct made of the same kinds of fields.
        what: what the file is called in messages: `task`, `suite`.

    Raises:
        TaskError: the file cannot be read, is not strict YAML, or does not fit the format.
    """
    root, value = _read(path, what)
    try:
        return _convert(value, type)
    except KeyProblemError as problem:
        raise TaskError(f"{path}:{_line(root, problem)}: {problem}") from None


def _read(path: Path, what: str) -> tuple[Node, dict[str, Any]]:
    try:
        root = read_nodes(path)
        value = plain(root)
    except FileNotFoundError:
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise TaskError(f"{path}: no such {what} file{nearest(path.name, beside)}") from None
    except OSError as error:
        raise TaskError(f"{path}: the {what} file cannot be read: {error.strerror}") from None
    except YamlError as error:
        raise TaskError(f"{path}:{error.line}: {error.message}") from None
    if not isinstance(value, dict):
        raise TaskError(f"{path}:{root.line}: expected a mapping (`key: value` lines) that describes a {what}, got {describe(value)}")
    return root, value


class TaskFile(msgspec.Struct, frozen=True):
    """A task file.

    Attributes:
        name, title: of the whole.
        specs: its tasks, one unless it has `each`.
        many: whether it has `each`.
    """

    name: str
    title: str
    specs: list[TaskSpec]
    many: bool


def read_task_file(path: Path) -> TaskFile:
    """The task file at `path`. Raises `TaskError` as `read_yaml`, and where the tasks of `each` cannot be."""
    root, value = _read(path, "task")
    try:
        if "each" not in value:
            spec: TaskSpec = _convert(value, TaskSpec)
            return TaskFile(spec.task, spec.title, [spec], False)
        specs = [_convert(with_values(value, values), TaskSpec) for values in combinations(value["each"])]
        task = str(value.get("task", ""))
        check_many(task, specs)
        title = value.get("title", "")
        return TaskFile(file_name(task), title.partition("{{")[0].rstrip(" :,–-(") if isinstance(title, str) else "", specs, True)
    except KeyProblemError as problem:
        raise TaskError(f"{path}:{_line(root, problem)}: {problem}") from None


def task_spec_from_mapping(mapping: Mapping[str, Any], where: str) -> TaskSpec:
    """The same for a task built in Python. Raises `TaskError` whose message begins with `where`."""
    return _from_mapping(mapping, TaskSpec, where)


def suite_spec_from_mapping(mapping: Mapping[str, Any], where: str) -> SuiteSpec:
    """The same for a suite built in Python. Raises `TaskError` whose message begins with `where`."""
    return _from_mapping(mapping, SuiteSpec, where)


def expand_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task's keys with every shorthand written out. What is not a shorthand is left as it is, right or wrong."""
    keys = _expand_data(dict(task))
    for key, inner in _SHORT.items():
        if isinstance(keys.get(key), str):
            keys[key] = {inner: keys[key]}
    if isinstance(keys.get("scoring"), str | list):
        keys["scoring"] = {"metrics": keys["scoring"]}
    for section, names in _LISTS.items():
        inside = keys if not section else keys.get(section)
        if not isinstance(inside, Mapping):
            continue
        changed = {name: [inside[name]] for name in names if _is_single(section, inside.get(name))}
        if changed:
            inside = {**inside, **changed}
            keys = inside if not section else {**keys, section: inside}
    prompt = keys.get("prompt")
    if isinstance(prompt, Mapping) and prompt.get("choose") == "fixed" and isinstance(prompt.get("ids"), list):
        keys["prompt"] = {"shots": len(prompt["ids"]), **prompt}
    asked = keys.get("confidence")
    if asked is not None:
        listed = asked if isinstance(asked, list) else [asked]
        keys["confidence"] = [{"ask": one} if isinstance(one, str) else one for one in listed]
    if isinstance(keys.get("variants"), Mapping):
        keys["variants"] = [keys["variants"]]
    if isinstance(keys.get("variants"), list):
        keys["variants"] = [_expand_variant(one, keys.get("prompt")) for one in keys["variants"]]
    return keys


def _expand_variant(variant: Any, prompt: Any) -> Any:
    """A variant with its shorthands written out: a standard one's name, and of the prompt the keys that stay as they are."""
    if isinstance(variant, str):
        from proctor.tasks.variants.standard import standard_variant

        return {"name": variant, **(standard_variant(variant) or {})}
    if not isinstance(variant, Mapping):
        return variant
    keys = dict(variant)
    if isinstance(keys.get("prompt"), str):
        keys["prompt"] = {"template": keys["prompt"]}
    if isinstance(keys.get("prompt"), Mapping) and isinstance(prompt, Mapping):
        keys["prompt"] = {**prompt, **keys["prompt"]}
    if isinstance(keys.get("languages"), str):
        keys["languages"] = [keys["languages"]]
    return _expand_data(keys)


def _expand_data(keys: dict[str, Any]) -> dict[str, Any]:
    """With `data` as a mapping, where a path, a list of paths or the rows themselves stand for it."""
    data = keys.get("data")
    if isinstance(data, str) or (isinstance(data, list) and data and all(isinstance(one, str) for one in data)):
        return {**keys, "data": {"files": data}}
    if isinstance(data, list) and data and all(isinstance(one, Mapping) for one in data):
        return {**keys, "data": {"items": data}}
    return keys


def expand_suite(suite: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's keys with every shorthand written out."""
    keys = dict(suite)
    if isinstance(keys.get("tasks"), list):
        keys["tasks"] = [{"task": entry} if isinstance(entry, str) else entry for entry in keys["tasks"]]
    return keys


def _is_single(section: str, value: Any) -> bool:
    """Whether a value stands for the list of itself."""
    return isinstance(value, str) or (section == "scoring" and isinstance(value, Mapping) and len(value) == 1)


def _from_mapping(mapping: Mapping[str, Any], type_: type[T], where: str) -> T:
    try:
        return _convert(dict(mapping), type_)
    except KeyProblemError as problem:
        raise TaskError(f"{where}: {problem}") from None


def _line(root: Node, problem: KeyProblemError) -> int:
    return root.line_of(problem.path, key=problem.at_key)


def _convert(value: dict[str, Any], type_: type[T]) -> T:
    """Raises `KeyProblemError`."""
    rules: dict[Any, tuple[Any, Any]] = {TaskSpec: (expand_task, check_task), SuiteSpec: (expand_suite, check_suite)}
    expand, check = rules.get(type_, (dict, None))
    value = expand(value)
    fields = _fields(type_)
    _check(value, inspect.StructType(type_, tuple(fields.values())), ())
    try:
        spec = msgspec.convert(value, type_)
    except msgspec.ValidationError as error:  # what the messages above do not cover, such as a number beyond 64 bits
        raise KeyProblemError((), str(error)) from None
    if check is not None:
        check(spec)
    return spec


@functools.cache
def _fields(type_: Any) -> dict[str, inspect.Field]:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field for field in info.fields}


def _check(value: Any, type_: inspect.Type, path: tuple[str | int, ...]) -> None:
    """Raises `KeyProblemError` where `value` is not of a struct field's type."""
    if isinstance(type_, inspect.UnionType):
        fitting = [one for one in type_.types if _is(value, one)]
        if not fitting:
            raise KeyProblemError(path, f"expected {_expected(type_)}, got {_got(value, type_)}")
        type_ = fitting[0]
    elif not _is(value, type_):
        if isinstance(type_, inspect.LiteralType) and isinstance(value, str):
            raise KeyProblemError(path, f"expected {_expected(type_)}, got '{value}'{nearest(value, map(str, type_.values))}")
        raise KeyProblemError(path, f"expected {_expected(type_)}, got {_got(value, type_)}")
    if isinstance(type_, inspect.StructType):
        _check_struct(value, type_.cls, path)
    elif isinstance(type_, inspect.ListType):
        for index, one in enumerate(value):
            _check(one, type_.item_type, (*path, index))
    elif isinstance(type_, inspect.DictType):
        for key, one in value.items():
            if not isinstance(key, str):
                raise KeyProblemError(path, f"the key {key!r} is not text")
            _check(one, type_.value_type, (*path, key))


def _check_struct(value: Mapping[str, Any], type_: Any, path: tuple[str | int, ...]) -> None:
    fields = _fields(type_)
    for key in value:
        if key not in fields:
            raise _unknown_key(str(key), type_, path)
    for key, field in fields.items():
        if key in value:
            _check(value[key], field.type, (*path, key))
        elif field.required:
            raise KeyProblemError((*path, key), f"the key is missing; expected {_expected(field.type)}", at_key=True)


def _unknown_key(key: str, type_: Any, path: tuple[str | int, ...]) -> KeyProblemError:
    fields = _fields(type_)
    if not path and type_ is TaskSpec and key == "suite":
        return KeyProblemError((key,), "unknown key: this is a suite file, expected a task file", at_key=True)
    inside = [name for name, field in fields.items() if isinstance(field.type, inspect.StructType) and key in _fields(field.type.cls)]
    hint = f"; did you mean '{inside[0]}.{key}'?" if inside else nearest(key, fields)
    return KeyProblemError((*path, key), f"unknown key{hint}{'' if hint else ';'} valid keys: {', '.join(fields)}", at_key=True, quote=True)


_NAMES: dict[type[inspect.Type], tuple[str, type[Any] | tuple[type[Any], ...]]] = {
    inspect.StrType: ("text", str),
    inspect.BoolType: ("true or false", bool),
    inspect.IntType: ("a whole number", int),
    inspect.FloatType: ("a number", (int, float)),
    inspect.NoneType: ("nothing", type(None)),
    inspect.ListType: ("a list", (list, tuple)),
    inspect.DictType: ("a mapping", Mapping),
    inspect.StructType: ("a mapping", Mapping),
    inspect.AnyType: ("a value", object),
}


def _is(value: Any, type_: inspect.Type) -> bool:
    if isinstance(type_, inspect.LiteralType):
        return value in type_.values
    if isinstance(value, bool) and not isinstance(type_, inspect.BoolType | inspect.AnyType):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _NAMES[type(type_)][1])


def _expected(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.UnionType):
        return " or ".join(_expected(one) for one in type_.types if not isinstance(one, inspect.NoneType))
    if isinstance(type_, inspect.LiteralType):
        return "one of " + ", ".join(f"'{one}'" for one in type_.values)
    if isinstance(type_, inspect.ListType):
        inner = type_.item_type
        return f"a list of {'texts' if isinstance(inner, inspect.StrType) else 'mappings'}" if not _is_any(inner) else "a list"
    if isinstance(type_, inspect.StructType):
        required = [name for name, field in _fields(type_.cls).items() if field.required]
        return f"a mapping with '{required[0]}'" if required else "a mapping"
    return _NAMES[type(type_)][0]


def _is_any(type_: inspect.Type) -> bool:
    return isinstance(type_, inspect.AnyType)


def _got(value: Any, type_: inspect.Type) -> str:
    """The value, with the advice to quote it where text was expected."""
    types = type_.types if isinstance(type_, inspect.UnionType) else (type_,)
    quotable = isinstance(value, bool | int | float) and any(isinstance(one, inspect.StrType) for one in types)
    return f"{describe(value)}; write it in quotes" if quotable else describe(value)
