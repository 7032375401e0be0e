"""The documents of a task: from the hub, from files that the task names, or from where `--data` says (`sources/data_map.py`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from proctor.errors import DataError, nearest
from proctor.tasks.lm_eval.config import Config
from proctor.tasks.lm_eval.table import Documents, unified
from proctor.tasks.lm_eval.yaml_files import FunctionRef
from proctor.tasks.sources import Table
from proctor.tasks.sources.data_map import mapped_files, read_map
from proctor.tasks.sources.files import format_of, read_files

_LOCAL = ("json", "csv", "parquet", "text")
_PASSED_OVER = ("trust_remote_code", "streaming", "verification_mode", "features", "download_mode", "keep_in_memory")
_MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN"}
_MISSING |= {"None", "n/a", "nan", "null"}  # what pandas, and so `datasets`, takes for a missing value


class Splits:
    """The splits of a task's data set, each read when it is asked for.

    Args:
        config: the task.
        data: the map of data sets, a file; None: there is none.
        resolve: the function behind a reference, for a `custom_dataset`.
    """

    def __init__(self, config: Config, data: str | None, resolve: Callable[[FunctionRef], Callable[..., Any]]) -> None:
        self._config, self._data, self._resolve = config, data, resolve
        self._read: dict[str, tuple[Documents, str]] = {}
        self._custom: Mapping[str, Any] | None = None

    def split(self, name: str) -> Documents:
        """The documents of a split. Raises `DataError` where it cannot be read."""
        return self._both(name)[0]

    def origin(self, name: str) -> str:
        """Where they came from, in a line."""
        return self._both(name)[1]

    def _both(self, name: str) -> tuple[Documents, str]:
        if name not in self._read:
            try:
                self._read[name] = self._found(name)
            except DataError as error:
                raise DataError(f"{self._config.where}: {error}") from None
        return self._read[name]

    def _found(self, name: str) -> tuple[Documents, str]:
        config = self._config
        if config.custom_dataset is not None:
            return self._of_function(name), f"made by {config.custom_dataset.name}"
        path = config.dataset_path or ""
        mapped = mapped_files(read_map(self._data), path, config.dataset_name, name) if self._data else None
        if mapped is not None:
            reading = {"column_names": mapped.columns, "delimiter": mapped.delimiter}
            tables = _tables(mapped.patterns, Path(self._data or "").parent, reading, key=f"--data: {path}")
            for table in tables:
                table.rows = [mapped.made_of(row) for row in table.rows]
            return _documents(tables), f"{path} {name}, from {mapped.shown}"
        kwargs = {key: value for key, value in config.dataset_kwargs.items() if key not in _PASSED_OVER}
        if path in _LOCAL or Path(path).is_dir():
            return self._of_files(path, name, kwargs)
        return self._of_hub(path, name, kwargs)

    def _of_function(self, name: str) -> Documents:
        assert self._config.custom_dataset is not None
        if self._custom is None:
            try:
                self._custom = self._resolve(self._config.custom_dataset)(**self._config.metadata, **self._config.dataset_kwargs)
            except DataError:
                raise
            except Exception as error:
                raise DataError(f"custom_dataset: {self._config.custom_dataset.name} failed: {type(error).__name__}: {error}") from error
        if name not in self._custom:
            raise DataError(f"custom_dataset: no split '{name}'{nearest(name, self._custom)}")
        return Documents(self._custom[name])

    def _of_files(self, path: str, name: str, kwargs: dict[str, Any]) -> tuple[Documents, str]:
        files = kwargs.pop("data_files", None)
        if files is None and Path(path).is_dir():
            files = {name: str(Path(path) / f"*{name}*")}
        if isinstance(files, str | list):
            files = {"train": files}  # what `datasets` calls files without a name
        if not isinstance(files, dict):
            raise DataError(f"dataset_kwargs.data_files: expected files by split, got {files!r:.80}")
        if name not in files:
            raise DataError(f"dataset_kwargs.data_files has no split '{name}'{nearest(name, files) or ';'} splits: {', '.join(files)}")
        return _documents(_tables(files[name], Path(), kwargs, path if path in _LOCAL else "")), f"{_named(files[name])}"

    def _of_hub(self, path: str, name: str, kwargs: dict[str, Any]) -> tuple[Documents, str]:
        from proctor.tasks.sources.hub import read_hub
        from proctor.tasks.spec import DataSpec

        revision = kwargs.pop("revision", None)
        kwargs.pop("name", None)
        if kwargs:
            raise DataError(
                f"dataset_kwargs: '{next(iter(kwargs))}' of a data set on the hub is not followed; "
                f"fetch the data and say where it lies with --data"
            )
        tables, _, origin = read_hub(DataSpec(hub=path, config=self._config.dataset_name, split=name, revision=revision))
        return _documents(tables), origin


def _documents(tables: Sequence[Table]) -> Documents:
    return Documents(unified([row for table in tables for row in table.rows]))


def _named(files: Any) -> str:
    return Path(files[0] if isinstance(files, list) and files else str(files)).name


def _tables(files: Any, base: Path, kwargs: Mapping[str, Any], kind: str = "", key: str = "dataset_kwargs.data_files") -> list[Table]:
    """The tables of files; delimited values are given types as pandas does, which `datasets` reads them with."""
    patterns = files if isinstance(files, list) else [files]
    if not all(isinstance(one, str) for one in patterns):
        raise DataError(f"expected a path or a list of paths, got {files!r:.80}")
    for option in kwargs:
        if option not in ("column_names", "header", "names", "sep", "delimiter"):
            raise DataError(f"dataset_kwargs: '{option}' is not followed")
    if kind == "text":
        return [_lines(base / one) for one in patterns]
    names = kwargs.get("column_names") or kwargs.get("names")
    tables = read_files(patterns, base, key, names, kwargs.get("sep") or kwargs.get("delimiter"))
    for table in tables:
        found = format_of(table.name)
        if found and found[0] in (".csv", ".tsv"):
            table.rows = _typed(table.rows)
    return tables


def _lines(path: Path) -> Table:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return Table(path.name, [{"text": line} for line in text.splitlines()])


def _typed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns of text as columns of whole numbers, numbers or truth values, where every value is one."""
    kinds: dict[str, Callable[[str], Any]] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows if row[name] not in _MISSING]
        complete = len(values) == len(rows)
        kinds[name] = next((kind for kind, fits in _KINDS if values and (complete or kind is float) and all(map(fits, values))), str)
    return [{name: None if value in _MISSING else kinds[name](value) for name, value in row.items()} for row in rows]


def _is(kind: type, value: str) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return "_" not in value


_KINDS: tuple[tuple[Callable[[str], Any], Callable[[str], bool]], ...] = (
    (lambda value: value in ("True", "TRUE", "true"), lambda value: value in ("True", "TRUE", "true", "False", "FALSE", "false")),
    (int, functools.partial(_is, int)),
    (float, functools.partial(_is, float)),
)
