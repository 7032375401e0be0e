"""`proctor heatmap`: a task's scores over two properties of its items, for the terminal, for files and for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proctor.analysis.heat_map import HeatMap, Label, heat_map
from proctor.errors import UsageError, nearest
from proctor.reports.find_model import find_model
from proctor.reports.render import Table
from proctor.results.attempts import reading_attempts
from proctor.results.manifest import TaskResult
from proctor.results.store import Run

SHADES = " ░▒▓█"  # from worst to best
ABSENT = "—"
STEPS = 10  # shades of a page
MOST = 40  # rows or columns that a page still draws


class Laid(Struct, frozen=True):
    """A heat map of a model's attempts at a task.

    Attributes:
        model, task: whose.
        metric: what is averaged.
        bounds: its worst and best value; those that occur where it has none.
        axes: names of the properties of rows and columns.
        map: the scores.
        tokens: mean tokens of the prompts of each row, as the model counted them; None where unknown.
        part: value of a third property, where there is one map for each; None for all items together.
    """

    model: str
    task: str
    metric: str
    bounds: tuple[float, float]
    axes: tuple[str, str]
    map: HeatMap
    tokens: tuple[float | None, ...]
    part: tuple[str, Label] | None = None


def heat_maps(runs: Sequence[Run], model: str, task: str | None = None, axes: Sequence[str] = (), by: str | None = None) -> list[Laid]:
    """The heat maps of a model: of the newest complete run of each task.

    Args:
        runs: of a store.
        model: its name, a part of it that no other has, or the beginning of its fingerprint.
        task: only this one; default: every task with two dimensions (`item.dimensions`).
        axes: properties of rows and columns, names of the items' metadata; default: the task's first two dimensions.
        by: a third property, with a map for each of its values after the map of all items.

    Raises:
        UsageError: no such model, task or property.
        StoreError: a file of attempts is damaged.
    """
    fingerprint = find_model([run.manifest for run in runs], model)
    own = [run for run in runs if run.manifest.fingerprint == fingerprint and run.manifest.state == "complete"]
    newest: dict[str, tuple[Run, TaskResult]] = {}
    for run in sorted(own, key=lambda one: one.manifest.finished_at or one.manifest.started_at):
        newest |= {result.task: (run, result) for result in run.manifest.tasks if result.source != "group"}
    if task is not None and task not in newest:
        raise UsageError(f"{model} has no complete run of a task '{task}'{nearest(task, newest) or ';'} there are: {', '.join(newest)}")
    chosen = [newest[task]] if task is not None else [pair for pair in newest.values() if len(pair[1].dimensions) > 1]
    if not chosen:
        raise UsageError(f"no task of {model} says by which two properties to lay it out; name it and them with --task and --axes")
    return [laid for run, result in chosen for laid in of_task(run, result, axes, by)]


def of_task(run: Run, result: TaskResult, axes: Sequence[str] = (), by: str | None = None) -> list[Laid]:
    """The heat maps of one task of a run. Raises as `heat_maps`."""
    rows = _rows(run, result)
    names = list(axes) or result.dimensions[:2]
    if len(names) != 2:
        raise UsageError(f"--axes: expected the names of two properties, rows and columns, got {', '.join(names) or 'none'}")
    known = list(dict.fromkeys(name for row in rows for name in row["metadata"]))
    for name in [*names, *([by] if by else [])]:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "its items have none; see item.metadata"
            raise UsageError(f"the items of '{result.task}' have no property '{name}'{nearest(name, known) or ';'} {there}")
    parts: list[tuple[tuple[str, Label] | None, list[dict[str, Any]]]] = [(None, rows)]
    if by:
        values = dict.fromkeys(_label(row["metadata"].get(by)) for row in rows)
        parts += [((by, value), [row for row in rows if _label(row["metadata"].get(by)) == value]) for value in values]
    scores = [row["score"] for row in rows if row["score"] is not None]
    bounds = result.main.bounds or (min(scores, default=0.0), max(scores, default=1.0))
    return [_laid(run.manifest.model, result, bounds, (names[0], names[1]), part, some) for part, some in parts]


def _laid(
    model: str,
    result: TaskResult,
    bounds: tuple[float, float],
    axes: tuple[str, str],
    part: tuple[str, Label] | None,
    rows: list[dict[str, Any]],
) -> Laid:
    down, across = ([_label(row["metadata"].get(name)) for row in rows] for name in axes)
    found = heat_map(down, across, [math.nan if row["score"] is None else row["score"] for row in rows])
    tokens: list[float | None] = []
    for name in found.rows:
        counts = [row["input_tokens"] for row, at in zip(rows, down, strict=True) if at == name and row["input_tokens"] is not None]
        tokens.append(sum(counts) / len(counts) if counts else None)
    return Laid(model, result.task, result.main.name, bounds, axes, found, tuple(tokens), part)


def _rows(run: Run, result: TaskResult) -> list[dict[str, Any]]:
    """Of each attempt `metadata`, `score` and `input_tokens`."""
    import polars as pl

    path = run.attempts_path
    if not path.exists():
        raise UsageError(f"the attempts of run '{run.manifest.run}' are not kept; a heat map needs them")
    with reading_attempts(path):
        frame = (
            pl.scan_parquet(path, glob=False)
            .filter(pl.col("task") == result.task, pl.col("protocol") == result.protocol_hash)
            .select("metadata", "score", "input_tokens")
            .collect()
        )
    rows = [{**row, "metadata": msgspec.json.decode(row["metadata"] or "{}")} for row in frame.to_dicts()]
    return [row for row in rows if isinstance(row["metadata"], dict)]


def _label(value: Any) -> Label:
    """A property as a label; a number in text, as tables of other tools have it, is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = ABSENT if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
    try:
        number = float(text)
    except ValueError:
        return text
    return (int(number) if number == int(number) else number) if math.isfinite(number) else text


def heat_tables(laid: Sequence[Laid]) -> list[Table]:
    """A table for each map, shaded; CSV has one record for each cell."""
    return [_table(one) for one in laid]


def _table(of: Laid) -> Table:
    share = of.bounds == (0.0, 1.0)
    down, across = of.axes
    counted = any(count is not None for count in of.tokens)
    rows = []
    for i, name in enumerate(of.map.rows):
        cells = [_cell(float(of.map.means[i, j]), of.bounds, share) for j in range(len(of.map.columns))]
        tokens = [ABSENT if of.tokens[i] is None else f"{of.tokens[i]:,.0f}"] if counted else []
        rows.append([shown_label(name), *tokens, *cells, shown_number(float(of.map.row_means[i]), share)])
    means = [shown_number(float(one), share) for one in of.map.column_means]
    rows.append(["all", *([""] if counted else []), *means, shown_number(of.map.mean, share)])
    title = f"{of.model} on {of.task}: {of.metric} by {down} (down) and {across} (across)"
    if of.part is not None:
        title += f", {of.part[0]} {shown_label(of.part[1])}"
    attempts = int(of.map.counts.sum())
    notes = [f"Means{' in percent' if share else ''} of {attempts} attempts, one cell {_per_cell(of.map)}; ░ ▒ ▓ █: better."]
    if counted:
        notes.append("tokens: of the whole prompt, as the model counts them, on average.")
    columns = [down, *(["tokens"] if counted else []), *map(shown_label, of.map.columns), "all"]
    return Table(title, columns, rows, notes, rules=frozenset({len(of.map.rows)}), data=heat_json(of), records=_records(of))


def _per_cell(of: HeatMap) -> str:
    few, many = int(of.counts.min()), int(of.counts.max())
    return f"of {few}" if few == many else f"of {few} to {many}"


def _cell(value: float, bounds: tuple[float, float], share: bool) -> str:
    if math.isnan(value):
        return ABSENT
    return f"{shown_number(value, share)} {SHADES[round(_place(value, bounds) * (len(SHADES) - 1))]}"


def _place(value: float, bounds: tuple[float, float]) -> float:
    """Where a value lies between worst and best, from 0 to 1."""
    low, high = bounds
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 1.0


def shown_number(value: float, share: bool) -> str:
    """A mean as it is printed: in whole percent where it is a share."""
    return ABSENT if math.isnan(value) else f"{100 * value:.0f}" if share else f"{value:.3g}"


def shown_label(name: Label) -> str:
    """A value of a property as it is printed."""
    return f"{name:g}" if isinstance(name, float) else str(name)


def heat_json(of: Laid) -> dict[str, Any]:
    """A map as JSON types, numbers in full precision."""

    def plain(values: Any) -> Any:
        return [plain(one) for one in values] if getattr(values, "ndim", 0) else None if math.isnan(values) else float(values)

    return {
        "model": of.model,
        "task": of.task,
        "metric": of.metric,
        "part": {of.part[0]: of.part[1]} if of.part else None,
        of.axes[0]: list(of.map.rows),
        of.axes[1]: list(of.map.columns),
        "tokens": list(of.tokens),
        "means": plain(of.map.means),
        "counts": of.map.counts.tolist(),
        "mean": plain(of.map.mean),
    }


def _records(of: Laid) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {"model": of.model, "task": of.task, "metric": of.metric}
    if of.part is not None:
        shared[of.part[0]] = of.part[1]
    return [
        shared
        | {of.axes[0]: row, of.axes[1]: column, "mean": None if math.isnan(of.map.means[i, j]) else float(of.map.means[i, j])}
        | {"count": int(of.map.counts[i, j])}
        for i, row in enumerate(of.map.rows)
        for j, column in enumerate(of.map.columns)
    ]


def page_maps(run: Run | None, result: TaskResult) -> list[dict[str, Any]]:
    """What the page draws of a task whose first two dimensions are numbers: rows of (text, shade from 0 to `STEPS`). Else nothing."""
    if run is None or len(result.dimensions) < 2 or not run.attempts_path.exists():
        return []
    rows = _rows(run, result)
    for name in result.dimensions[:2]:
        values = {_label(row["metadata"].get(name)) for row in rows}
        if not rows or len(values) > MOST or not all(isinstance(value, int | float) for value in values):
            return []
    [of] = of_task(run, result)
    share = of.bounds == (0.0, 1.0)

    def cell(value: float) -> tuple[str, int | None]:
        return shown_number(value, share), None if math.isnan(value) else round(STEPS * _place(value, of.bounds))

    return [
        {
            "task": of.task,
            "metric": of.metric,
            "share": share,
            "axes": of.axes,
            "columns": [shown_label(name) for name in of.map.columns],
            "rows": [(shown_label(name), [cell(float(one)) for one in of.map.means[i]]) for i, name in enumerate(of.map.rows)],
        }
    ]
