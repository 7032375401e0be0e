"""Where data sets of the hub lie on this machine: the map that `--data` names.

A YAML file: what a task calls its data set, and for each split a file or glob, relative to the map. Where a data set has
configurations, they come between; or one pattern serves all of them. A mapping with `files` also says how the files are read and what
the data set's columns are made of.

    cais/mmlu:
      files: mmlu/{split}/{name}_{split}.csv
      columns: [question, A, B, C, D, answer]
      rows: {question: question, choices: [A, B, C, D], answer: "{{ 'ABCD'.index(answer) }}"}
    allenai/ai2_arc:
      ARC-Easy: {train: arc/easy-train.jsonl, test: arc/easy-test.jsonl}
    gsm8k: {train: gsm8k/train.jsonl, test: gsm8k/test.jsonl}
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from proctor.errors import DataError, TaskError, UsageError, nearest
from proctor.tasks.sources import Table
from proctor.tasks.sources.files import read_files
from proctor.tasks.spec import DataSpec
from proctor.tasks.strict_yaml import YamlError, plain, read_nodes
from proctor.template import Value, is_template

_KEYS = ("files", "columns", "delimiter", "rows")


class MappedFiles(Struct, frozen=True):
    """The files of one split.

    Attributes:
        patterns: paths or globs, relative to the map.
        columns, delimiter: see `read_files`.
        rows: column of the data set to what it is made of: a column, a template, or a list of these; empty where the files have the
            data set's columns.
        names: `name` (the configuration) and `split`, which the templates of `rows` see.
    """

    patterns: list[str]
    columns: list[str] | None = None
    delimiter: str | None = None
    rows: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The files in a word."""
        return Path(self.patterns[0]).name

    def made_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the files with the data set's columns."""
        return {name: _made(value, {**self.names, **row}) for name, value in self.rows.items()} if self.rows else dict(row)


@functools.lru_cache(maxsize=8)
def read_map(path: str) -> dict[str, Any]:
    """A map of data sets. Raises `UsageError` where there is none, or it is no map."""
    try:
        value = plain(read_nodes(Path(path)))
    except OSError as error:
        raise UsageError(f"--data {path}: cannot be read: {error.strerror}") from None
    except YamlError as error:
        raise UsageError(f"--data {path}:{error.line}: {error.message}") from None
    if not isinstance(value, dict):
        raise UsageError(f"--data {path}: expected a mapping from data sets to files")
    for name, entry in value.items():
        if isinstance(entry, dict) and "files" in entry:
            _check_entry(path, str(name), entry)
        elif not _fits(entry):
            raise UsageError(
                f"--data {path}: '{name}': expected a pattern such as '{{name}}/{{split}}.jsonl', files by split, files by "
                f"configuration and split, or a mapping with 'files', got {entry!r:.80}"
            )
    return {str(name): entry for name, entry in value.items()}


def mapped_files(known: Mapping[str, Any], path: str, name: str | None, split: str | None, file: str | None = None) -> MappedFiles | None:
    """The files of a split.

    Args:
        known: the map.
        path: the data set.
        name: its configuration; None where the task names none.
        split: None where the task names none: the only one.
        file: of a task that names a file of the repository.

    Returns:
        None where the map does not know the data set.

    Raises:
        DataError: it knows no such configuration or split.
    """
    entry = known.get(path)
    if entry is None:
        return None
    reading: dict[str, Any] = {}
    if isinstance(entry, dict) and "files" in entry:
        reading, entry = {key: entry[key] for key in _KEYS[1:] if key in entry}, entry["files"]
    where = f"the map of data sets: {path}"
    if isinstance(entry, dict):
        nested = [key for key, value in entry.items() if isinstance(value, dict)]
        if name in entry and (nested or split not in entry):
            entry, where = entry[name], f"{where}: {name}"
        elif nested:
            raise DataError(f"{where}: no configuration '{name}'{nearest(str(name), map(str, entry))}")
        if isinstance(entry, dict):
            split = next(iter(entry)) if split is None and len(entry) == 1 else split
            if split not in entry:
                raise DataError(
                    f"{where}: no split '{split}'{nearest(str(split), map(str, entry)) or ';'} splits: {', '.join(map(str, entry))}"
                )
            entry = entry[split]
    names = {"name": name or "default", "split": split or "train", **({} if file is None else {"file": file})}
    try:
        patterns = [one.format(**names) for one in ([entry] if isinstance(entry, str) else entry)]
    except (KeyError, IndexError, ValueError):
        more = ", or {file} where the task names a file" if file is None else " or {file}"
        raise DataError(f"{where}: a pattern may name {{name}} and {{split}}{more}, got {entry!r:.80}") from None
    return MappedFiles(patterns, names=names, **reading)


def read_mapped(spec: DataSpec, data: str) -> tuple[list[Table], list[dict[str, Any]] | None, str] | None:
    """Tables, examples and origin of a data set of the hub that the map `data` knows; None where it does not. Raises `DataError`."""
    files = mapped_files(read_map(data), str(spec.hub), spec.config, spec.split, spec.file)
    if files is None:
        return None
    shots = None
    if spec.shots is not None:
        splits = [spec.shots] if isinstance(spec.shots, str) else spec.shots
        examples = [
            mapped_files(read_map(data), str(spec.hub), spec.config, *((None, name) if spec.file else (name, None))) for name in splits
        ]
        shots = [row for one in examples if one for table in _tables(one, data, spec) for row in table.rows]
    at = "/".join(part for part in (spec.config, spec.split, spec.file) if part)
    return _tables(files, data, spec), shots, f"{spec.hub}{f' {at}' if at else ''}, from {files.shown}"


def _tables(files: MappedFiles, data: str, spec: DataSpec) -> list[Table]:
    tables = read_files(files.patterns, Path(data).parent, f"--data: {spec.hub}", files.columns, files.delimiter)
    if files.rows:
        for table in tables:
            table.rows = [files.made_of(row) for row in table.rows]
    return tables


def _made(value: Any, row: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_made(one, row) for one in value]
    template = _value(value) if is_template(value) else None
    for name in sorted((template.template.names if template else {value}) - row.keys()):
        raise DataError(
            f"the map of data sets: rows: the files have no column '{name}'{nearest(name, row) or ';'} columns: {', '.join(row)}"
        )
    try:
        return template.of(row) if template else row[value]
    except TaskError as error:
        raise DataError(str(error)) from None


@functools.lru_cache(maxsize=256)
def _value(source: str) -> Value:
    return Value(source, "the map of data sets: rows")


def _check_entry(path: str, name: str, entry: Mapping[str, Any]) -> None:
    where = f"--data {path}: '{name}'"
    for key in entry:
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown key '{key}'{nearest(str(key), _KEYS) or ';'} keys: {', '.join(_KEYS)}")
    if not _fits(entry["files"]):
        raise UsageError(
            f"{where}: files: expected a pattern, files by split, or files by configuration and split, got {entry['files']!r:.80}"
        )
    columns, delimiter, rows = entry.get("columns", ["x"]), entry.get("delimiter", ","), entry.get("rows", {})
    if not isinstance(columns, list) or not columns or not all(isinstance(one, str) for one in columns):
        raise UsageError(f"{where}: columns: expected a list of names, got {columns!r:.80}")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise UsageError(f"{where}: delimiter: expected one character, got {delimiter!r:.80}")
    if not isinstance(rows, dict) or not all(_is_recipe(one) for one in rows.values()):
        raise UsageError(f"{where}: rows: expected column: column, template or list of these, got {rows!r:.80}")


def _is_recipe(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _fits(entry: Any, depth: int = 0) -> bool:
    if isinstance(entry, str) or (isinstance(entry, list) and entry and all(isinstance(one, str) for one in entry)):
        return True
    return isinstance(entry, dict) and depth < 2 and all(_fits(one, depth + 1) for one in entry.values())
