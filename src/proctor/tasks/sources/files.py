"""Rows from files: .jsonl .ndjson .json .csv .tsv .parquet .arrow, each also .gz or .zst."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import math
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from proctor.errors import DataError, nearest
from proctor.tasks.sources import Table, plain_rows

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
COMPRESSIONS = (".gz", ".zst")
MAX_BYTES = 4 << 30  # decompressed; a small archive can hold far more than fits in memory
_KEPT: ContextVar[dict[tuple[Any, ...], Table] | None] = ContextVar("tables read", default=None)
_CHUNK = 1 << 20
_ZSTD_CHUNK = 1 << 12  # one block of 4 bytes can expand to 128 KiB, so that this bounds a step to 128 MiB


def format_of(name: str) -> tuple[str, str] | None:
    """The format and compression that a file's name says: `a.csv.gz` is (`.csv`, `.gz`). None for other files."""
    name = name.lower()
    compression = next((one for one in COMPRESSIONS if name.endswith(one)), "")
    name = name.removesuffix(compression)
    found = next((one for one in FORMATS if name.endswith(one)), None)
    return (found, compression) if found else None


def read_files(
    patterns: str | list[str], base: Path, key: str, columns: list[str] | None = None, delimiter: str | None = None
) -> list[Table]:
    """The rows of every file that paths or globs name: in the order given, those of one glob sorted; a file named twice is read once.

    Args:
        patterns: one or more, relative to `base`.
        base: a folder.
        key: the key of the task file, for messages.
        columns: names of the columns of delimited files whose first line is a row already; None where the first line is the header.
        delimiter: what stands between the values of .csv files; None is a comma.

    Raises:
        DataError: nothing matches, or a file cannot be read.
    """
    found: dict[Path, str] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for path, name in _matches(pattern, base, key):
            found.setdefault(path, name)
    kept = _KEPT.get()
    tables = []
    for path, name in found.items():
        how = (path, name, tuple(columns or ()), delimiter)
        table = kept.get(how) if kept is not None else None
        if table is None:
            table = read_file(path, name, columns, delimiter)
            table.folder = path.parent
            if kept is not None:
                kept[how] = table
        tables.append(table)
    return tables


@contextmanager
def read_once() -> Iterator[None]:
    """Within it each file is read once however often it is named: a task file that makes many tasks names the same files for each."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _matches(pattern: str, base: Path, key: str) -> list[tuple[Path, str]]:
    if "://" in pattern:
        raise DataError(f"{key}: expected a path, got the address '{pattern}'; download the file first")
    path = base / pattern
    if path.is_file():  # also where the name itself holds [ or *
        return [(path, pattern)]
    if path.is_dir():
        raise DataError(f"{key}: '{pattern}' is a folder; name its files with a glob such as '{pattern.rstrip('/')}/*.jsonl'")
    names = sorted(name for name in glob.glob(pattern, root_dir=base, recursive=True) if (base / name).is_file())  # noqa: PTH207 - absolute too
    if not names:
        folder = path.parent
        while any(sign in str(folder) for sign in "*?[") and folder != folder.parent:
            folder = folder.parent
        beside = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
        hint = nearest(path.name, beside)
        if not hint:
            listed = ", ".join([one for one in beside if format_of(one)][:8])
            hint = f"; in {folder}: {listed or 'no data files'}" if folder.is_dir() else f"; there is no folder {folder}"
        what = "no file matches" if glob.has_magic(pattern) else "no such file:"
        raise DataError(f"{key}: {what} '{pattern}'{hint}")
    return [(base / name, name) for name in names]


def read_file(path: Path, name: str, columns: list[str] | None = None, delimiter: str | None = None) -> Table:
    """The rows of one file.

    Delimited values are text. An empty line is skipped. JSON is a list of objects, an object of columns (equally long lists), an object of
    objects (whose names become the column `id` where they have none), or JSON Lines under the name .json, which is how many data sets on
    the hub are stored. Parquet and Arrow values become JSON values: dates ISO 8601 text, bytes base64 text, decimals text, NaN null.

    Args:
        path: the file.
        name: how messages call it.
        columns, delimiter: see `read_files`.

    Raises:
        DataError: the file cannot be read; the message names file and line.
    """
    formats = format_of(name) or format_of(path.name)
    if formats is None:
        kinds = " ".join(FORMATS)
        raise DataError(f"{name}: unknown kind of file; expected a name that ends in one of {kinds}, or these with .gz or .zst")
    try:
        if formats[0] in (".jsonl", ".ndjson"):  # a line at a time: the bytes of a large file are as much again as its rows
            with path.open("rb") as file:
                return _with_rows(_jsonl(_lines(_chunks(file, formats[1], name)), name))
        data = _read_bytes(path, formats[1], name)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{name}: cannot be read: {reason}") from None
    if not data:
        raise DataError(f"{name}: the file is empty")
    if formats[0] == ".json":
        table = _json(data, name)
    elif formats[0] in (".parquet", ".arrow"):
        table = _columns(data, name, formats[0])
    else:
        table = _delimited(data, name, (delimiter or ",") if formats[0] == ".csv" else "\t", columns)
    return _with_rows(table)


def _with_rows(table: Table) -> Table:
    if not table.rows:
        raise DataError(f"{table.name}: the file has no rows")
    return table


def _read_bytes(path: Path, compression: str, name: str) -> bytes:
    with path.open("rb") as file:
        return b"".join(_chunks(file, compression, name))


def _chunks(file: BinaryIO, compression: str, name: str) -> Iterator[bytes]:
    size = 0
    for chunk in {"": _raw, ".gz": _gunzip, ".zst": _unzstd}[compression](file, name):
        size += len(chunk)
        if size > MAX_BYTES:
            raise DataError(f"{name}: more than {MAX_BYTES:,} bytes{' decompressed' if compression else ''}; split the file")
        yield chunk


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, without their ends; the last one may be empty."""
    begun = [b""]
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = [others[-1]]
    yield b"".join(begun)


def _raw(file: BinaryIO, name: str) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzip(file: BinaryIO, name: str) -> Iterator[bytes]:
    with gzip.open(file) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _unzstd(file: BinaryIO, name: str) -> Iterator[bytes]:
    import zstandard

    frame = None
    data = file.read(_ZSTD_CHUNK)
    try:
        while data:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(data)
            data = b""
            if frame.eof:
                data, frame = frame.unused_data, None
            data = data or file.read(_ZSTD_CHUNK)
    except zstandard.ZstdError as error:
        raise DataError(f"{name}: not Zstandard: {error}") from None
    if frame is not None:
        raise DataError(f"{name}: the compressed file ends too early")


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(name, line, error.start, data[error.start]) from None


def _not_utf8(name: str, line: int, place: int, byte: int) -> DataError:
    return DataError(f"{name} line {line}: not UTF-8 at byte {place} (0x{byte:02x}); save the file as UTF-8")


def _jsonl(lines: Iterable[bytes], name: str) -> Table:
    decode = msgspec.json.Decoder().decode
    rows: list[dict[str, Any]] = []
    numbers = array("q")
    begins = next_begins = 0
    for number, line in enumerate(lines, 1):
        begins, next_begins = next_begins, next_begins + len(line) + 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line or line.isspace():
            continue
        try:
            row = decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise DataError(f"{name} line {number}: {_json_problem(error, line)}") from None
        except UnicodeDecodeError:
            place = _undecodable(line)
            raise _not_utf8(name, number, begins + place, line[place]) from None
        if not isinstance(row, dict):
            raise DataError(f"{name} line {number}: expected an object {{…}}, got {_json_kind(row)}")
        rows.append(row)
        numbers.append(number)
    if next_begins <= 1:
        raise DataError(f"{name}: the file is empty")
    return Table(name, rows, numbers)


def _undecodable(line: bytes) -> int:
    """Where it is not UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise AssertionError(line)


def _json(data: bytes, name: str) -> Table:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        first = data.lstrip().split(b"\n", 1)[0]
        if _is_object(first):
            return _jsonl(_lines([data]), name)
        _text(data, name)
        raise DataError(f"{name}: {_json_problem(error, data)}") from None
    if isinstance(value, list):
        for index, row in enumerate(value):
            if not isinstance(row, dict):
                raise DataError(f"{name} row {index + 1}: expected an object {{…}}, got {_json_kind(row)}")
        return Table(name, value)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        lengths = {len(column) for column in value.values()}
        if len(lengths) == 1:
            return Table(name, [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)])
        longest = ", ".join(f"'{key}' has {len(column)}" for key, column in list(value.items())[:4])
        raise DataError(f"{name}: columns of unequal length: {longest}")
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        return Table(name, [{"id": key, **row} for key, row in value.items()])
    if isinstance(value, dict):
        inside = next((key for key, column in value.items() if isinstance(column, list)), None)
        hint = f"; save the list under '{inside}' as a file of its own" if inside is not None else ""
        raise DataError(f"{name}: expected a list of objects [{{…}}, …] or an object of columns, got another object{hint}")
    raise DataError(f"{name}: expected a list of objects [{{…}}, …], got {_json_kind(value)}")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _json_problem(error: Exception, line: bytes) -> str:
    if any(word in line for word in (b"NaN", b"Infinity")) and "invalid character" in str(error):
        return f"not JSON: {error} (NaN and Infinity are not JSON; write null)"
    return f"not JSON: {error}"


def _json_kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _delimited(data: bytes, name: str, delimiter: str, columns: list[str] | None) -> Table:
    text = _text(data, name)
    csv.field_size_limit(sys.maxsize)  # the default of 128 KiB is less than a long document
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = columns
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    start = 1
    try:
        for values in reader:
            line, start = start, reader.line_num + 1
            if not values:
                continue
            if header is None:
                if not values[0] and len(values) > 1:  # the column of row numbers that pandas writes without a name
                    values = ["index" if "index" not in values else "", *values[1:]]
                _check_header(values, name, line)
                header = values
                continue
            if len(values) != len(header):
                expected = f"{len(header)} ({', '.join(header[:6])}{', …' if len(header) > 6 else ''})"
                other = next((one for one in ";\t," if len(header) == 1 and one != delimiter and one in header[0]), None)
                hint = f"; the header looks separated by {other!r}, not by {delimiter!r}: say so with data.delimiter" if other else ""
                raise DataError(f"{name} line {line}: {len(values)} values, expected {expected}{hint}")
            rows.append(dict(zip(header, values, strict=True)))
            lines.append(line)
    except csv.Error as error:
        raise DataError(f"{name} line {start}: not values separated by {delimiter!r}: {error}") from None
    return Table(name, rows, lines)


def _check_header(header: list[str], name: str, line: int) -> None:
    for index, column in enumerate(header):
        if not column.strip():
            raise DataError(f"{name} line {line}: the header of column {index + 1} is empty; expected a name for every column")
        if column in header[:index]:
            raise DataError(f"{name} line {line}: two columns are headed '{column}'; give every column a name of its own")


def _columns(data: bytes, name: str, kind: str) -> Table:
    """Parquet, or Arrow: a stream, as `datasets` saves its tables, or a file, which begins with a name of its own."""
    import polars as pl

    read = pl.read_parquet if kind == ".parquet" else pl.read_ipc if data.startswith(b"ARROW1") else pl.read_ipc_stream
    try:
        frame = read(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name}: not {kind[1:].capitalize()}: {reason}") from None
    simple = (pl.String, pl.Boolean, pl.Null)
    rows = frame.to_dicts()
    if any(kind not in simple and not kind.is_integer() for kind in frame.dtypes):
        rows = plain_rows([{key: _missing(value) for key, value in row.items()} for row in rows], name)
    return Table(name, rows)


def _missing(value: Any) -> Any:
    """NaN, which tables use for a missing number, as null; bytes as base64."""
    import base64

    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _missing(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_missing(one) for one in value]
    return value
