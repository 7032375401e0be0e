"""Tabular tasks: the columns that an estimator learns from, and those that an item of a wide table keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from proctor.errors import DataError, nearest
from proctor.tasks.spec import TaskSpec
from proctor.template import Template, is_template


def feature_columns(patterns: Sequence[str], columns: Sequence[str], where: str) -> tuple[str, ...]:
    """The columns that names and patterns (`f*`) name, in the order of the table.

    Raises:
        DataError: one of them names no column.
    """
    for pattern in patterns:
        if not any(fnmatchcase(column, pattern) for column in columns):
            raise DataError(f"{where}: item.features: no column is named '{pattern}'{nearest(pattern, columns)}")
    return tuple(column for column in columns if any(fnmatchcase(column, pattern) for pattern in patterns))


def narrowed(rows: list[dict[str, Any]], spec: TaskSpec, where: str) -> list[dict[str, Any]]:
    """Rows with the values of `each`, which are seen like columns; where features are named, without the columns that nothing names.

    One table of hundreds of targets is hundreds of tasks: each keeps its features, and what its templates and keys name.

    Raises:
        DataError: a feature that is no column, or that the target is read from.
    """
    each = spec.each if isinstance(spec.each, dict) else {}
    if not spec.item.features or not rows:
        return [{**row, **each} for row in rows] if each else rows
    features = feature_columns(spec.item.features, list(rows[0]), where)
    target = set(_names(spec.item.target, each, where))
    for column in features:
        if column in target:
            raise DataError(f"{where}: item.features: '{column}' holds the target; name the other columns")
    others = msgspec.to_builtins((msgspec.structs.replace(spec.item, features=[]), spec.prompt))
    wanted = {*features, "id", *_names(list(others), each, where)}
    return [{**{column: value for column, value in row.items() if column in wanted}, **each} for row in rows]


def _names(value: Any, each: Mapping[str, Any], where: str) -> Iterator[str]:
    """Whatever in a part of a task file may be the name of a column: the names in templates, and other texts."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _names(one, each, where)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one, each, where)
    elif isinstance(value, str) and is_template(value):
        names = Template(value, where).names
        yield from names
        yield from (str(each[name]) for name in names if name in each)  # `{{ name | column }}`
    elif isinstance(value, str):
        yield value
