"""A model along the dimensions that its tasks declare (`item.dimensions`): what is shown, what is asked for, which skill it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from proctor.analysis.composite import guessing_and_room
from proctor.analysis.dimensions import DimensionMean, dimension_means
from proctor.reports.leaderboard import Row
from proctor.reports.profile_field import difference_text, p_text, signed
from proctor.reports.render import Table
from proctor.results.attempts import reading_attempts
from proctor.results.manifest import TaskResult
from proctor.results.store import Run

if TYPE_CHECKING:
    import polars as pl


class Dimension(Struct, frozen=True):
    """One dimension over all tasks of a board that declare it.

    Attributes:
        name: the column.
        tasks: that declare it, and whose main metric each item has a value of.
        items: that have a score.
        means: one for each value, the best first.
    """

    name: str
    tasks: tuple[str, ...]
    items: int
    means: tuple[DimensionMean, ...]


def dimensions(row: Row, runs: Mapping[str, Run]) -> list[Dimension]:
    """The dimensions of a row's tasks; scores are chance-corrected, items of several epochs count by their mean.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    found: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for name, result in row.tasks.items():
        line = guessing_and_room(result.chance, result.main.bounds, result.main.higher_is_better)
        if not result.dimensions or result.source == "group" or line is None:
            continue
        items = _items(runs[row.runs[name]].attempts_path, result, line)
        for dimension in result.dimensions if items else ():
            found.setdefault(dimension, []).append((name, items))
    return [_dimension(name, parts) for name, parts in found.items()]


def _items(path: Path, result: TaskResult, line: tuple[float, float]) -> list[dict[str, Any]]:
    """Of each item `score` (chance-corrected), `group` and `metadata`."""
    import polars as pl

    if not path.exists():
        return []
    guessing, room = line
    with reading_attempts(path):
        rows: pl.DataFrame = (
            pl.scan_parquet(path, glob=False)
            .filter(pl.col("task") == result.task, pl.col("protocol") == result.protocol_hash, pl.col("score").is_not_null())
            .group_by("item", maintain_order=True)
            .agg(((pl.col("score").mean() - guessing) / room).alias("score"), pl.col("group").first(), pl.col("metadata").first())
            .collect()
        )
    return [{**one, "metadata": json.loads(one["metadata"] or "{}")} for one in rows.to_dicts()]


def _dimension(name: str, parts: list[tuple[str, list[dict[str, Any]]]]) -> Dimension:
    scores, labels, clusters, least = [], [], [], 0.0
    for task, items in parts:
        for item in items:
            value = item["metadata"].get(name)
            scores.append(item["score"])
            labels.append([_text(one) for one in value] if isinstance(value, list) else [] if value in (None, "") else [_text(value)])
            clusters.append(f"{task}\n{item['group']}" if item["group"] else "")
            least = min(least, item["score"])
    means = dimension_means(scores, labels, clusters, bounds=(least, 1.0))
    ordered = sorted(means, key=lambda one: (-(one.mean.value if one.mean.value is not None else -1.0), one.name))
    return Dimension(name, tuple(task for task, _ in parts), len(scores), tuple(ordered))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def dimension_tables(label: str, of: tuple[Dimension, ...]) -> list[Table]:
    """One table for each dimension."""
    return [_table(label, one) for one in of]


def _table(label: str, of: Dimension) -> Table:
    marks = {"strength": "▲", "weakness": "▼", "": ""}
    rows = []
    for one in of.means:
        score = difference_text(one.mean.value, one.mean.low, one.mean.high).lstrip("+")
        rows.append([f"{one.name} {marks[one.verdict]}".strip(), str(one.mean.n), score, signed(one.difference), p_text(one.p_value)])
    tasks = f"{len(of.tasks)} task{'s' * (len(of.tasks) != 1)}"
    note = (
        f"{of.items} items of {tasks}, each counting alike; scores above chance in percent. ▲ ▼: differs from the mean of all other items "
        f"(two-sided 5 %, Holm over the {len(of.means)} values)."
    )
    return Table(f"{label} by {of.name}", [of.name, "items", "score [95 %]", "against the rest", "p"], rows, [note], frozenset({0}))


def dimensions_json(of: tuple[Dimension, ...]) -> list[dict[str, Any]]:
    """The same as JSON types."""
    return [{"name": one.name, "tasks": list(one.tasks), "items": one.items, "values": [_json(mean) for mean in one.means]} for one in of]


def _json(of: DimensionMean) -> dict[str, Any]:
    told = dict(msgspec.to_builtins(of))
    mean = told.pop("mean")
    return {**told, **mean, "verdict": of.verdict or None}


def dimension_records(of: tuple[Dimension, ...]) -> list[dict[str, Any]]:
    """Long format: a record for each value, of the kind `dimension NAME`."""
    records = []
    for one in of:
        for told in (_json(mean) for mean in one.means):
            told["chance_corrected"], told["chance_corrected_stderr"] = told.pop("value"), told.pop("stderr")
            told["items"] = told.pop("n")
            told.pop("groups")
            records.append({"kind": f"dimension {one.name}", **told})
    return records
