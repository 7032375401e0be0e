"""Writing attempts to Parquet in bounded memory, and in one step."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import StoreError
from proctor.results.columns import schema

if TYPE_CHECKING:
    import polars as pl

# A block is made of as many rows as are in memory at once: fewer where prompts are long.
ROWS_AT_ONCE = 20_000
CHARACTERS_AT_ONCE = 1 << 25
_RANKED = 100  # what a document of a ranking takes, as a row, in characters


def write_attempts(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows (see `columns.row`) to the Parquet file `path`, which appears complete or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    import polars as pl

    parts = path.with_name(path.name + ".parts")
    partial = path.with_name(path.name + ".partial")
    columns = schema()
    try:
        shutil.rmtree(parts, ignore_errors=True)
        block: list[Mapping[str, Any]] = []
        total = count = characters = 0
        for total, one in enumerate(rows, 1):  # noqa: B007 - counted for the size of row groups
            block.append(one)
            characters += len(one["request"]) + len(one["text"] or "") + _RANKED * len(one["ranking"] or ())
            if len(block) >= ROWS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
                parts.mkdir(exist_ok=True)
                _frame(block, columns).write_parquet(parts / f"{count:06}.parquet", compression="lz4")
                block, count, characters = [], count + 1, 0
        last = _frame(block, columns)
        if count == 0:
            last.write_parquet(partial, compression="zstd")
        else:
            last.write_parquet(parts / f"{count:06}.parquet", compression="lz4")
            # Row groups of a block's size, not of Polars' own: several are in memory at once, which for a million attempts took 300 MB.
            together = pl.scan_parquet(sorted(parts.glob("*.parquet")), glob=False)
            together.sink_parquet(partial, compression="zstd", maintain_order=True, row_group_size=max(1, total // count))
        partial.replace(path)
    except (OSError, pl.exceptions.ComputeError) as error:
        raise StoreError(
            f"{path}: cannot be written: {error}; nothing answered is lost: make room and run the same command again"
        ) from None
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        partial.unlink(missing_ok=True)


def _frame(block: list[Mapping[str, Any]], columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    import polars as pl

    series = []
    for name, kind in columns.items():
        values = [row[name] for row in block]
        if isinstance(kind, pl.List) and not isinstance(kind.inner, pl.Struct):
            series.append(_lists(name, values, kind))
        else:
            series.append(pl.Series(name, values, kind))
    return pl.DataFrame(series)


def _lists(name: str, values: Sequence[Any], kind: pl.List) -> pl.Series:
    """A column of lists, or of lists of lists, by way of numpy: Polars alone takes 10 to 20 µs for each.

    Rows of one shape become one array, and are put back into their order.
    """
    import numpy as np
    import polars as pl

    deep = isinstance(kind.inner, pl.List)
    places: defaultdict[tuple[int, ...] | None, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        places[_shape(value, deep)].append(place)
    if not places:
        return pl.Series(name, [], kind)
    pieces = []
    for shape, rows in places.items():
        taken = [values[row] for row in rows]
        pieces.append(pl.Series(name, np.array(taken)).cast(kind) if shape else pl.Series(name, taken, kind))
    order = np.argsort(np.concatenate([np.array(rows) for rows in places.values()]))
    return pl.concat(pieces).gather(order)


def _shape(value: Any, deep: bool) -> tuple[int, ...] | None:
    """Of a list, or of a list of equally long lists; None where there is none, or nothing in it."""
    if not value:
        return None
    if not deep:
        return (len(value),)
    width = len(value[0])
    return (len(value), width) if width and all(len(row) == width for row in value) else None


@contextmanager
def reading_attempts(path: Path) -> Iterator[None]:
    """Raises `StoreError` where what is done inside finds the Parquet file `path` damaged."""
    import polars as pl

    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read: {reason}; delete this file and run the same command again: it is made anew") from None
