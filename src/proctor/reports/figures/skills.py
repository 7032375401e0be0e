"""Models task by task, as a radar chart or as dots with intervals: chance-corrected scores, 0 is guessing and 100 perfect."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from msgspec import Struct

from proctor.analysis.intervals import interval_of_mean
from proctor.errors import UsageError
from proctor.reports.board_data import corrected_interval
from proctor.reports.figures.picture import Picture, drawn, key, legend, picture
from proctor.reports.figures.style import (
    COLORS,
    GREY,
    INK,
    MARKERS,
    MOST_MODELS,
    SIZE,
    cells,
    labels,
    legend_width,
    name_width,
    plain_numbers,
)
from proctor.reports.leaderboard import Board, Row
from proctor.reports.profile import part
from proctor.reports.tables import heading, task_label

By = Literal["task", "domain", "capability"]


class Skill(Struct, frozen=True):
    """A score above chance, in percent, with its 95 % interval. `value` is None where there is none."""

    value: float | None
    low: float | None
    high: float | None


def skills(board: Board, row: Row, by: By) -> dict[str, Skill]:
    """The chance-corrected scores of a row by task, domain or capability, in the suite's order; those of the profile's table."""
    found = part(board, row).standings
    tasks = {}
    for standing in found.standings:
        ends = corrected_interval(row.tasks[standing.task])
        tasks[standing.task] = _skill(standing.score, ends)
    if by == "task":
        return {task: tasks.get(task, _skill(None, None)) for task in board.tasks}
    made = {}
    for mean in found.domains if by == "domain" else found.capabilities:
        parts = [(one.value, one.low, one.high) for one in (tasks[task] for task in mean.tasks)]
        whole = [(value, low, high) for value, low, high in parts if value is not None and low is not None and high is not None]
        over = interval_of_mean([(v / 100, low / 100, high / 100) for v, low, high in whole]) if len(whole) == len(mean.tasks) else None
        made[mean.name] = _skill(mean.value, over)
    return made


def _skill(value: float | None, ends: tuple[float, float] | None) -> Skill:
    low, high = (None, None) if ends is None else (100 * ends[0], 100 * ends[1])
    return Skill(None if value is None else 100 * value, low, high)


@drawn
def radar_picture(board: Board, rows: Sequence[Row], width: float, by: By = "task") -> Picture:
    """One axis for each task, domain or capability, in the suite's order, the first on top and the others clockwise.

    Raises:
        UsageError: fewer than three axes, or more models than can be told apart.
    """
    found = _of_models(board, rows, by)
    names = list(found[0])
    if len(names) < 3:
        raise UsageError(f"a radar needs three axes or more, and {board.title} has {len(names)} by {by}: proctor plot bars shows them")
    beside = width > 5
    shown = [_in_lines(name) for name in labels(names, 24)]
    size = SIZE - (1 if len(names) <= 20 else 2.5)
    margin = max(cells(line) for name in shown for line in name.split("\n")) * size * 0.62 / 72 + 0.12
    key_width, key_height = (2.1, 0.0) if beside else (0.0, 0.19 * len(rows) + 0.1)
    side = width - key_width - 2 * margin
    edge = 0.14 + size / 72 * max(name.count("\n") + 1 for name in shown)
    notes = ["Score above chance in percent: 0 (dashed) is guessing, 100 perfect. Bars: 95 % intervals."]
    made = picture(width, side + 2 * edge + key_height + 0.1, heading(board), notes)
    made.set_layout_engine("none")
    height = made.get_figheight()
    axes = made.add_axes((margin / width, (key_height + edge) / height, side / width, side / height), projection="polar")
    values = [one.value for skill in found for one in skill.values() if one.value is not None]
    floor = 20 * math.floor(min([0.0, *values]) / 20)
    angles = [2 * math.pi * place / len(names) for place in range(len(names))]
    for place, skill in enumerate(found):
        _line(axes, angles, list(skill.values()), place, len(rows), floor)
    axes.set_theta_zero_location("N")  # type: ignore[attr-defined]
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]
    axes.set_ylim(floor, 100)
    axes.set_yticks(
        [level for level in (0, 25, 50, 75, 100) if level > floor], labels=[""] * sum(level > floor for level in (0, 25, 50, 75, 100))
    )
    axes.plot(np.linspace(0, 2 * math.pi, 181), [0] * 181, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), gid="chance")
    for level in (0, 50, 100):
        axes.annotate(f"{level}", (angles[1] / 2, level), fontsize=SIZE - 2, color=GREY, ha="center", va="center", bbox=_PAPER)
    axes.spines["polar"].set_color(GREY)
    axes.set_xticks(angles, [""] * len(angles))
    for name, angle in zip(shown, angles, strict=True):
        across, up = math.sin(angle), math.cos(angle)
        axes.annotate(
            name, (angle, 100), (4 * across, 4 * up), textcoords="offset points", fontsize=size, gid="axis",
            ha="center" if abs(across) < 0.1 else "left" if across > 0 else "right",
            va="center" if abs(up) < 0.35 else "bottom" if up > 0 else "top",
        )  # fmt: skip
    _legend(made, rows, found, beside, width, line=True)
    return made


_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


def _line(axes: Axes, angles: list[float], skill: list[Skill], place: int, models: int, floor: float) -> None:
    """A closed line, with gaps where a score is missing; intervals stand along the axes, those of several models side by side."""
    color, marker = COLORS[place], MARKERS[place]
    values = [math.nan if one.value is None else one.value for one in skill]
    axes.plot([*angles, angles[0]], [*values, values[0]], color=color, marker=marker, markersize=3, linewidth=1.1, gid=f"model-{place}")
    if models == 1:
        axes.fill(angles, values, color=color, alpha=0.08, linewidth=0)
    shift = (place - (models - 1) / 2) * 0.035
    for angle, one in zip(angles, skill, strict=True):
        if one.low is not None and one.high is not None:
            axes.plot([angle + shift] * 2, [max(floor, one.low), min(100.0, one.high)], color=color, linewidth=0.9, alpha=0.7)


@drawn
def bars_picture(board: Board, rows: Sequence[Row], width: float, by: By = "task") -> Picture:
    """Dots with intervals, a line for each task, domain or capability. Raises `UsageError` for too many models."""
    found = _of_models(board, rows, by)
    names = list(found[0])
    beside = width > 5 and len(rows) > 1
    step = 0.2 + 0.07 * (len(rows) - 1)
    high = step * len(names) + 0.6 + (0 if beside or len(rows) == 1 else 0.17 * len(rows))
    notes = ["Score above chance in percent, with 95 % intervals: 0 (dashed) is guessing, 100 perfect."]
    made = picture(width, high, heading(board) if len(rows) > 1 else f"{rows[0].label} on {heading(board, models=False)}", notes)
    axes = made.add_subplot()
    for place, skill in enumerate(found):
        shift = (place - (len(rows) - 1) / 2) * 0.6 / len(rows)
        for height, one in enumerate(skill.values()):
            _dot(axes, one, height + shift, place)
    for height, name in enumerate(names):
        if all(skill[name].value is None for skill in found):
            axes.annotate(
                "no score above chance", (0, height), (4, 0), textcoords="offset points", va="center", color=GREY, fontsize=SIZE - 1
            )
    shown = [task_label(board, name) if by == "task" else name for name in names]
    axes.set_yticks(range(len(names)), labels(shown, name_width(width)))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    ends = [end for skill in found for one in skill.values() for end in (one.low, one.value) if end is not None]
    axes.set_xlim(min(-3.0, min(ends, default=0.0) - 3), 103)
    axes.grid(axis="x")
    axes.set_xlabel("above chance, %")
    plain_numbers(axes.xaxis)
    if len(rows) > 1:
        _legend(made, rows, found, beside, width, line=False)
    return made


def _dot(axes: Axes, one: Skill, height: float, place: int) -> None:
    if one.value is None:
        return
    axes.plot(one.value, height, color=COLORS[place], marker=MARKERS[place], markersize=4, linestyle="none", gid=f"dot-{place}")
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [height] * 2, color=COLORS[place], linewidth=1.1)


def _of_models(board: Board, rows: Sequence[Row], by: By) -> list[dict[str, Skill]]:
    """The scores of every model, each with the same names."""
    if len(rows) > MOST_MODELS:
        raise UsageError(f"{len(rows)} models are too many to tell apart here: name at most {MOST_MODELS} of them")
    found = [skills(board, row, by) for row in rows]
    names = list(dict.fromkeys(name for one in found for name in one))
    return [{name: one.get(name, _skill(None, None)) for name in names} for one in found]


def _legend(made: Picture, rows: Sequence[Row], found: Sequence[dict[str, Skill]], beside: bool, width: float, *, line: bool) -> None:
    """Names with how many scores are missing."""
    lacking = [sum(one.value is None for one in skill.values()) for skill in found]
    shown = labels([row.label for row in rows], legend_width(width, beside=beside) - 12 * any(lacking))
    texts = [f"{name} ({count} missing)" if count else name for name, count in zip(shown, lacking, strict=True)]
    legend(made, [key(COLORS[place], MARKERS[place], line) for place in range(len(rows))], texts, beside=beside)


def _in_lines(name: str, width: int = 14) -> str:
    """A name in lines of at most so many letters, broken after what joins its words where it can be."""
    joined = re.split(r"(?<=[_/:. -])", name)
    lines = [""]
    for piece in joined:
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(textwrap.fill(line.strip(), width) for line in lines)
