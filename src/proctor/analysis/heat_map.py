"""Scores laid out over two properties of the items, such as the length of a text and where in it a fact stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

Label = str | int | float


class HeatMap(Struct, frozen=True):
    """Mean scores by two properties.

    Attributes:
        rows, columns: the values of each property that occur, in order.
        means: of the scores in each cell, shape (rows, columns); NaN where there are none.
        counts: how many, same shape.
        row_means, column_means: over all scores of a row and of a column, not over cells.
        mean: over all.
    """

    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    row_means: NDArray[np.float64]
    column_means: NDArray[np.float64]
    mean: float


def heat_map(rows: Sequence[Label], columns: Sequence[Label], scores: Sequence[float]) -> HeatMap:
    """Mean scores over two properties of items.

    Numbers are put into their order; where a property has other values, those keep the order in which they come first.

    Args:
        rows, columns: the two properties of each item.
        scores: of each; NaN counts as none.

    Raises:
        ValueError: unequal lengths, or nothing in them.
    """
    if not len(rows) == len(columns) == len(scores):
        raise ValueError("rows, columns and scores differ in length")
    if not len(rows):
        raise ValueError("nothing to lay out")
    values = np.asarray(scores, dtype=float)
    row_names, row_of = _ordered(rows)
    column_names, column_of = _ordered(columns)
    shape = len(row_names), len(column_names)
    known = ~np.isnan(values)
    cells = (row_of[known], column_of[known])
    counts, sums = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    np.add.at(counts, cells, 1)
    np.add.at(sums, cells, values[known])

    def mean(total: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))

    whole = float(sums.sum() / counts.sum()) if counts.sum() else float("nan")
    return HeatMap(
        row_names, column_names, mean(sums, counts), counts, mean(sums.sum(1), counts.sum(1)), mean(sums.sum(0), counts.sum(0)), whole
    )


def _ordered(values: Sequence[Label]) -> tuple[tuple[Label, ...], NDArray[np.int64]]:
    """The values that occur, in order, and which of them each is."""
    names = list(dict.fromkeys(values))
    if all(isinstance(name, int | float) and not isinstance(name, bool) for name in names):
        names.sort(key=float)
    places = {name: place for place, name in enumerate(names)}
    return tuple(names), np.array([places[value] for value in values], dtype=np.int64)
