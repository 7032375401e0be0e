"""Documents as the functions of task files know them: rows with the methods of a `datasets.Dataset` that such functions use.

So that a task's code runs without the library `datasets`, and alike where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from proctor.errors import DataError


class Documents(Sequence[Any]):
    """Rows in order.

    Args:
        rows: mappings; columns that a row lacks are None.
        columns: names in order; default: as they are met.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        given = [dict(row) for row in rows]
        names = dict.fromkeys(columns or ())
        for row in given:
            names.update(dict.fromkeys(row))
        self.column_names = list(names)
        self._rows = [{name: row.get(name) for name in names} for row in given]

    @classmethod
    def from_list(cls, rows: Iterable[Mapping[str, Any]], **_: Any) -> Documents:
        return cls(rows)

    @classmethod
    def from_dict(cls, columns: Mapping[str, Sequence[Any]], **_: Any) -> Documents:
        return cls(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))

    @classmethod
    def from_generator(
        cls, generator: Callable[..., Iterable[Mapping[str, Any]]], gen_kwargs: Mapping[str, Any] | None = None, **_: Any
    ) -> Documents:
        return cls(generator(**(gen_kwargs or {})))

    @classmethod
    def from_pandas(cls, frame: Any, **_: Any) -> Documents:
        return cls(frame.to_dict("records"))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(row) for row in self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return [row[key] for row in self._rows]
        if isinstance(key, slice):
            part = self._rows[key]
            return {name: [row[name] for row in part] for name in self.column_names}
        if isinstance(key, Sequence):
            return {name: [self._rows[index][name] for index in key] for name in self.column_names}
        return dict(self._rows[key])

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"datasets.Dataset.{name} is not among what Proctor offers the code of tasks")

    @property
    def features(self) -> dict[str, Any]:
        return dict.fromkeys(self.column_names)

    @property
    def num_rows(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), len(self.column_names)

    def map(
        self,
        function: Callable[..., Any] | None = None,
        with_indices: bool = False,
        batched: bool = False,
        batch_size: int | None = 1000,
        remove_columns: str | Sequence[str] | None = None,
        input_columns: str | Sequence[str] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Documents:
        """Each row, or batch of rows as columns, with what the function gives in place of or beside its columns."""
        if function is None:
            return self
        more = dict(fn_kwargs or {})
        removed = {remove_columns} if isinstance(remove_columns, str) else set(remove_columns or ())
        names = [input_columns] if isinstance(input_columns, str) else input_columns

        def called(row: Mapping[str, Any], index: Any) -> Mapping[str, Any]:
            arguments: list[Any] = [row[name] for name in names] if names else [row]
            result = function(*arguments, *([index] if with_indices else []), **more)
            return result if isinstance(result, Mapping) else {}

        found: list[dict[str, Any]] = []
        if batched:
            size = batch_size or max(1, len(self))
            for start in range(0, len(self), size):
                columns = self[start : start + size]
                made = called(columns, list(range(start, min(start + size, len(self)))))
                both = {**{name: values for name, values in columns.items() if name not in removed}, **made}
                if made:
                    count = len(next(iter(made.values())))
                    both = {name: values for name, values in both.items() if len(values) == count}
                found += [dict(zip(both, row, strict=True)) for row in zip(*both.values(), strict=True)]
            return Documents(found)
        for index, row in enumerate(self):
            made = called(row, index)  # a function may change the row itself, which here is a copy
            found.append({**{name: value for name, value in row.items() if name not in removed or name in made}, **made})
        return Documents(found)

    def filter(
        self,
        function: Callable[..., Any] | None = None,
        with_indices: bool = False,
        input_columns: str | Sequence[str] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Documents:
        """The rows for which the function is true."""
        if function is None:
            return self
        names = [input_columns] if isinstance(input_columns, str) else input_columns
        more = dict(fn_kwargs or {})

        def keeps(index: int, row: dict[str, Any]) -> bool:
            arguments: list[Any] = [row[name] for name in names] if names else [row]
            return bool(function(*arguments, *([index] if with_indices else []), **more))

        return Documents([row for index, row in enumerate(self._rows) if keeps(index, dict(row))], self.column_names)

    def select(self, indices: Iterable[int], **_: Any) -> Documents:
        return Documents([self._rows[index] for index in indices], self.column_names)

    def select_columns(self, column_names: str | Sequence[str], **_: Any) -> Documents:
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        return Documents([{name: row[name] for name in names} for row in self._rows], names)

    def remove_columns(self, column_names: str | Sequence[str], **_: Any) -> Documents:
        gone = {column_names} if isinstance(column_names, str) else set(column_names)
        return self.select_columns([name for name in self.column_names if name not in gone])

    def rename_column(self, original_column_name: str, new_column_name: str, **_: Any) -> Documents:
        return self.rename_columns({original_column_name: new_column_name})

    def rename_columns(self, column_mapping: Mapping[str, str], **_: Any) -> Documents:
        names = {name: column_mapping.get(name, name) for name in self.column_names}
        return Documents([{names[name]: value for name, value in row.items()} for row in self._rows], list(names.values()))

    def add_column(self, name: str, column: Sequence[Any], **_: Any) -> Documents:
        return Documents([{**row, name: value} for row, value in zip(self._rows, column, strict=True)], [*self.column_names, name])

    def unique(self, column: str) -> list[Any]:
        return list(dict.fromkeys(self[column]))

    def sort(self, column_names: str | Sequence[str], reverse: bool = False, **_: Any) -> Documents:
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        return Documents(sorted(self._rows, key=lambda row: tuple(row[name] for name in names), reverse=reverse), self.column_names)

    def shuffle(self, seed: int | None = None, generator: Any = None, **_: Any) -> Documents:
        """In the order that `datasets` shuffles to with the same seed; without one the code would say something else each time."""
        import numpy as np

        if seed is None and generator is None:
            raise DataError("the code of the task shuffles its documents without a seed, so that they are others each time")
        rng = generator if generator is not None else np.random.default_rng(seed)
        return self.select(rng.permutation(len(self)).tolist())

    def flatten_indices(self, **_: Any) -> Documents:
        return self

    def with_format(self, *_: Any, **__: Any) -> Documents:
        return self

    set_format = with_format

    def cast_column(self, *_: Any, **__: Any) -> Documents:
        return self

    def take(self, count: int) -> Documents:
        return self.select(range(min(count, len(self))))

    def skip(self, count: int) -> Documents:
        return self.select(range(count, len(self)))

    def shard(self, num_shards: int, index: int, **_: Any) -> Documents:
        return self.select(range(index, len(self), num_shards))

    def to_list(self) -> list[dict[str, Any]]:
        return list(self)

    def to_dict(self, **_: Any) -> dict[str, list[Any]]:
        return {name: self[name] for name in self.column_names}

    def to_pandas(self, **_: Any) -> Any:
        try:
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise DataError("the code of the task needs the library pandas: pip install pandas") from None
        return pd.DataFrame(self._rows, columns=self.column_names)

    def train_test_split(
        self, test_size: float | int = 0.25, seed: int | None = None, shuffle: bool = True, **_: Any
    ) -> dict[str, Documents]:
        count = test_size if isinstance(test_size, int) else -(-len(self) * test_size // 1)
        order = self.shuffle(seed) if shuffle else self
        count = int(count)
        if shuffle:
            return {"test": order.select(range(count)), "train": order.select(range(count, len(self)))}
        return {"train": order.select(range(len(self) - count)), "test": order.select(range(len(self) - count, len(self)))}


def concatenate_datasets(parts: Iterable[Iterable[Mapping[str, Any]]], **_: Any) -> Documents:
    """As the function of that name in `datasets`."""
    return Documents(row for part in parts for row in part)


def unified(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a typed table has them: every row has every key, with None where it had none, inside mappings and lists of them as well."""
    shape: dict[str, Any] = {}
    for row in rows:
        _learn(shape, row)
    return [_filled(shape, row) for row in rows]


def _learn(shape: dict[str, Any], row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        inside = shape.setdefault(key, {})
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, Mapping):
                _learn(inside, one)


def _filled(shape: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, inside in shape.items():
        value = row.get(key)
        if inside and isinstance(value, list):
            value = [_filled(inside, one) if isinstance(one, Mapping) else one for one in value]
        elif inside and isinstance(value, Mapping):
            value = _filled(inside, value)
        found[key] = value
    return found
