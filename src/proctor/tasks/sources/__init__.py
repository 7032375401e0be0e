"""Where rows come from: files, the Hugging Face hub, installed packages, generators, Python functions.

Every source gives the same: rows as plain JSON values, a line that says what was read, and the place of each row for messages.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from proctor.errors import DataError, nearest
from proctor.tasks.spec import DataSpec
from proctor.template import Template


class Table(Struct):
    """The rows of one file or generator.

    Attributes:
        name: what the rows came from, as messages name it.
        rows: one mapping per row.
        lines: the line each row begins on (from 1); None where the source has no lines.
        folder: of the file here that the rows came from; None where there is none, or it is only a copy kept of another place's.
        fetch: gives where another file of the same data set is, fetched if need be (None where it has none of that name); None where there
            are no others.
    """

    name: str
    rows: list[dict[str, Any]]
    lines: Sequence[int] | None = None
    folder: Path | None = None
    fetch: Callable[[str], Path | None] | None = None


class Rows(Struct):
    """The rows of a task.

    Attributes:
        rows: one mapping per row, of JSON values.
        shots: rows that few-shot examples are taken from; None where `data.shots` is not given.
        origin: what was read, in one line: hub commit, package version or seed included.
        tables: the same rows by what they came from.
    """

    rows: list[dict[str, Any]]
    shots: list[dict[str, Any]] | None
    origin: str
    tables: list[Table] = field(default_factory=list)

    @property
    def folders(self) -> list[Path]:
        """Of the files here that they came from."""
        return list(dict.fromkeys(table.folder for table in self.tables if table.folder is not None))

    @property
    def fetch(self) -> Callable[[str], Path | None] | None:
        """See `Table`."""
        return next((table.fetch for table in self.tables if table.fetch is not None), None)

    def where(self, index: int) -> str:
        """The place of `rows[index]`, such as `questions.csv line 12`."""
        starts = [0]
        for table in self.tables:
            starts.append(starts[-1] + len(table.rows))
        part = bisect_right(starts, index) - 1
        if not 0 <= part < len(self.tables):
            raise IndexError(index)
        table, at = self.tables[part], index - starts[part]
        return f"{table.name} line {table.lines[at]}" if table.lines is not None else f"{table.name} row {at + 1}"


def read_rows(spec: DataSpec, base: Path, where: str, data: str | None = None, values: Mapping[str, Any] | None = None) -> Rows:
    """The rows that a task's `data` names.

    Args:
        spec: `data` of the task file.
        base: folder that relative paths start from.
        where: the task file (or task) as messages name it.
        data: the file that says where data sets of the hub lie on this machine (`data_map.py`); None: there is none.
        values: of the task file's `each`; a condition sees them, after the row's columns.

    Raises:
        DataError: what is named does not exist or cannot be read.
        MissingExtra: an optional package is needed for the source.
    """
    try:
        tables, shots, origin = _read(spec, base, data)
        if spec.where:
            tables = [_those(table, spec.where, values or {}) for table in tables]
            shots = _those(Table("data.shots", shots), spec.where, values or {}).rows if shots is not None else None
            origin = f"{origin}, where {_condition(spec.where)}"
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    rows = [row for table in tables for row in table.rows]
    if not rows:
        raise DataError(f"{where}: data: {origin}: no rows; expected at least one")
    return Rows(rows, shots, origin, tables)


def _read(spec: DataSpec, base: Path, data: str | None) -> tuple[list[Table], list[dict[str, Any]] | None, str]:
    from proctor.tasks.sources import data_map, files, hub, packages, python_source

    if spec.hub is not None:
        return (data_map.read_mapped(spec, data) if data else None) or hub.read_hub(spec)
    shots = None
    if spec.shots is not None:
        shots = [row for table in files.read_files(spec.shots, base, "data.shots", spec.columns, spec.delimiter) for row in table.rows]
    if spec.files is not None:
        tables = files.read_files(spec.files, base, "data.files", spec.columns, spec.delimiter)
        more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
        return tables, shots, f"{tables[0].name}{more}"
    if spec.package is not None:
        table, origin = packages.read_package(spec.package, spec.file or "")
    elif spec.gym is not None:
        table, origin = packages.read_gym(spec.gym, spec.size, spec.seed, spec.args)
    elif spec.python is not None:
        table, origin = python_source.read_python(spec, base)
    else:
        table, origin = Table("data.items", plain_rows(spec.items or [], "data.items")), "rows in the task file"
    return [table], shots, origin


def _condition(where: Mapping[str, Any] | str) -> str:
    if isinstance(where, str):
        return " ".join(where.split())
    return " and ".join(f"{column} is {_listed(value)}" for column, value in where.items())


def _those(table: Table, where: Mapping[str, Any] | str, values: Mapping[str, Any]) -> Table:
    """The rows of a table that fulfil a condition."""
    kept = _true_for(table, where, values) if isinstance(where, str) else _with_values(table, where)
    lines = None if table.lines is None else [table.lines[index] for index in kept]
    return Table(table.name, [table.rows[index] for index in kept], lines, table.folder, table.fetch)


def _true_for(table: Table, condition: str, values: Mapping[str, Any]) -> list[int]:
    """The places of the rows for which a template says `True`; anything but that and `False` is an error, for it is no answer."""
    template = Template(condition, "data.where")
    kept = []
    for index, row in enumerate(table.rows):
        seen = {**values, **row} if values else row
        template.check(seen)
        said = template.render(seen).strip()
        if said not in ("True", "False"):
            raise DataError(f"data.where: {table.name} row {index + 1}: expected True or False, the template gives {said!r:.60}")
        if said == "True":
            kept.append(index)
    return kept


def _with_values(table: Table, where: Mapping[str, Any]) -> list[int]:
    """The places of the rows whose columns hold the values asked for; `1` and `"1"` are one value."""
    wanted = {column: {str(one) for one in (value if isinstance(value, list) else [value])} for column, value in where.items()}
    kept = []
    for index, row in enumerate(table.rows):
        for column in wanted:
            if column not in row:
                name = f"{table.name} row {index + 1}"
                raise DataError(f"data.where: {name} has no column '{column}'{nearest(column, row) or ';'} columns: {', '.join(row)}")
        if all(str(row[column]) in values for column, values in wanted.items()):
            kept.append(index)
    return kept


def _listed(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def plain_rows(rows: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows as JSON values. Raises `DataError` that names row and column for what JSON cannot hold."""
    result = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"{name} row {index + 1}: expected a mapping of columns to values, got {type(row).__name__}")
        try:
            result.append({_key(key): plain(value) for key, value in row.items()})
        except _NotPlainError as problem:
            column = next((key for key, value in row.items() if not _is_plain(key, value)), "?")
            raise DataError(f"{name} row {index + 1}, column '{column}': {problem}") from None
    return result


class _NotPlainError(Exception):
    """A value JSON cannot hold."""


def _is_plain(key: Any, value: Any) -> bool:
    try:
        _key(key), plain(value)
    except _NotPlainError:
        return False
    return True


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int | float) and not isinstance(key, bool):
        return str(key)
    raise _NotPlainError(f"the key {key!r} is not text")


def plain(value: Any) -> Any:
    """`value` as JSON holds it.

    Tuples become lists, sets sorted lists, number keys text, dates and times ISO 8601 text, durations seconds, decimals text, bytes base64
    text, enums their values, numpy and other array values lists and numbers.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NotPlainError(f"{value} is not a number JSON can hold; use null")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(
            (plain(one) for one in value), key=lambda one: (type(one).__name__, one if isinstance(one, str | int | float) else repr(one))
        )
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors, polars series
        return plain(value.tolist())
    raise _NotPlainError(f"a value of type {type(value).__name__}; expected text, a number, true or false, a list or a mapping")
