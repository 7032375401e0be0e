"""The leaderboard as bars: what the table says of every model, with intervals, ranks, and the lines of chance and of people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from matplotlib.axes import Axes
from msgspec import Struct

from proctor.analysis.composite import composite
from proctor.reports.board_data import metric_interval
from proctor.reports.figures.picture import Picture, drawn, picture
from proctor.reports.figures.style import COLORS, GREY, INK, SIZE, column, labels, name_width, plain_numbers
from proctor.reports.leaderboard import DEFAULT_COMPOSITE, Board, Row, task_score
from proctor.reports.tables import composite_is_share, composite_text, heading, rank_text
from proctor.reports.text import ABSENT, is_share, score_text

TALLEST = 16.0  # inches; more models stand closer


class Bar(Struct, frozen=True):
    """A model's bar, on the scale of the axis. `text`: as in the table; `why`: what stands in place of a bar."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    rank: str = ""
    why: str = ""


@drawn
def leaderboard_picture(board: Board, rows: Sequence[Row], width: float, task: str | None = None) -> Picture:
    """Horizontal bars of the composite, or of one task's main metric, the best on top.

    Args:
        board: ranked. rows: of it, those to draw.
        width: in inches.
        task: a column of the board.
    """
    bars = [_composite_bar(board, row) for row in rows] if task is None else _task_bars(rows, task)
    lines = _composite_lines(board) if task is None else _task_lines(board, task)
    size, step = SIZE, 0.21
    if step * len(bars) > TALLEST:
        step = TALLEST / len(bars)
        size = max(3.0, min(SIZE, step * 72 * 0.75))
    ranked = any(bar.rank for bar in bars)
    notes = ["Bars with 95 % intervals" + ("; ranks that each model can have, together with 95 % confidence." if ranked else ".")]
    made = picture(width, step * (len(bars) + 1) + 0.75, heading(board), notes)
    axes = made.add_subplot()
    _draw(axes, bars, size)
    _mark(axes, lines, -0.9)
    axes.set_ylim(len(bars) - 0.4, -1.4 if lines else -0.6)
    axes.set_yticks(range(len(bars)), labels([bar.name for bar in bars], name_width(width)), fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    plain_numbers(axes.xaxis)
    axes.set_xlabel(_axis_label(board, task))
    start = 6.0
    if width > 4:
        start = column(axes, [bar.text if not bar.why else "" for bar in bars], range(len(bars)), "± SE", start, size - 1)
    if ranked:
        column(axes, [bar.rank for bar in bars], range(len(bars)), "rank", start, size - 1)
    return made


def _draw(axes: Axes, bars: Sequence[Bar], size: float) -> None:
    there = [(place, bar, bar.value) for place, bar in enumerate(bars) if bar.value is not None]
    for place, bar, value in there:
        color = GREY if bar.name.startswith("baseline:") else COLORS[0]
        axes.barh(place, value, height=0.68, color=color, alpha=0.85, gid=f"bar-{place}")
        if bar.low is not None and bar.high is not None:
            error = [[max(0.0, value - bar.low)], [max(0.0, bar.high - value)]]
            axes.errorbar(value, place, xerr=error, color=INK, elinewidth=0.9, capsize=1.8, capthick=0.9, fmt="none")
    ends = [end for _, bar, value in there for end in (value, bar.low, bar.high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    axes.set_xlim(low - 0.03 * (high - low or 1) * (low < 0), high + 0.03 * (high - low or 1))
    axes.axvline(0, color=GREY, linewidth=0.6)
    for place, bar in enumerate(bars):
        if bar.value is None:
            axes.annotate(bar.why, (0, place), (4, 0), textcoords="offset points", va="center", color=GREY, fontsize=size - 1)


def _mark(axes: Axes, lines: Sequence[tuple[str, float]], height: float) -> None:
    """Dashed lines across the chart, each named on top."""
    low, high = axes.get_xlim()
    low, high = min([low, *(value for _, value in lines)]), max([high, *(value for _, value in lines)])
    axes.set_xlim(low, high + (0.02 * (high - low) if any(value == high for _, value in lines) else 0))
    for place, (name, value) in enumerate(lines):
        share = (value - low) / (high - low or 1)
        to_left = share > 0.5 if len(lines) == 1 else value == max(one for _, one in lines) and place == len(lines) - 1
        axes.axvline(value, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        axes.annotate(
            name, (value, height), (-3 if to_left else 3, 0), textcoords="offset points", ha="right" if to_left else "left", va="center",
            fontsize=SIZE - 1,
        )  # fmt: skip


def _composite_bar(board: Board, row: Row) -> Bar:
    scale = 100.0 if composite_is_share(board) else 1.0
    total = row.composite
    if total.value is None:
        lacking = f"no result on {', '.join(total.missing[:2])}{' …' if len(total.missing) > 2 else ''}"
        return Bar(row.label, None, None, None, ABSENT, why=lacking if row.state == "complete" else "incomplete")
    low, high = (None if end is None else scale * end for end in (total.low, total.high))
    return Bar(row.label, scale * total.value, low, high, composite_text(board, row), rank_text(row))


def _task_bars(rows: Sequence[Row], task: str) -> list[Bar]:
    bars = []
    for row in rows:
        result = row.tasks.get(task)
        if result is None or result.main.value is None:
            bars.append(Bar(row.label, None, None, None, ABSENT, why="no result" if result is None else "undefined"))
            continue
        scale = 100.0 if is_share(result.main) else 1.0
        found = metric_interval(result, result.main)
        low, high = (None, None) if found is None else (scale * found.low, scale * found.high)
        bars.append(Bar(row.label, scale * result.main.value, low, high, score_text(result.main)))
    sign = next((-1 if row.tasks[task].main.higher_is_better else 1 for row in rows if task in row.tasks), 1)
    return sorted(bars, key=lambda bar: math.inf if bar.value is None else sign * bar.value)


def _composite_lines(board: Board) -> list[tuple[str, float]]:
    """Chance is 0 where scores are corrected for it; people have a line where every task that counts says what they score."""
    if board.composite != DEFAULT_COMPOSITE:
        return []
    results = list(board.any_result.values())
    people = [
        msgspec.structs.replace(task_score(result), task=name, score=result.human, stderr=None)
        for name, result in board.any_result.items()
        if result.human is not None or result.weight > 0
    ]
    human = composite(people, [one.task for one in people]).value if any(result.human is not None for result in results) else None
    return [("chance", 0.0), *([("human", 100 * human)] if human is not None else [])]


def _task_lines(board: Board, task: str) -> list[tuple[str, float]]:
    result = board.any_result[task]
    scale = 100.0 if is_share(result.main) else 1.0
    lines = [("chance", scale * result.chance)] if result.main.bounds is not None and result.main.higher_is_better else []
    return lines + ([("human", scale * result.human)] if result.human is not None else [])


def _axis_label(board: Board, task: str | None) -> str:
    if task is None:
        return f"{board.composite} composite" + (", %" if composite_is_share(board) else "")
    main = board.any_result[task].main
    return f"{task}: {main.name}" + (", %" if is_share(main) else "") + ("" if main.higher_is_better else " ↓ (lower is better)")
