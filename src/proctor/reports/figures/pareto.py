"""Quality against cost, time or tokens, with the front of what nothing beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from proctor.analysis.pareto import pareto_front
from proctor.errors import UsageError
from proctor.reports.figures.picture import Picture, drawn, picture
from proctor.reports.figures.style import COLORS, GREY, SIZE, labels, plain_numbers, wrapped
from proctor.reports.leaderboard import Board, Row
from proctor.reports.tables import composite_is_share, heading

_THREAD = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4}
Point = tuple[float, float]
Against = Literal["cost", "time", "tokens"]
AXES = {"cost": "cost of the run, US dollars", "time": "time of the run, seconds", "tokens": "tokens written in the run"}


def spent(row: Row, against: Against) -> float | None:
    """What a row took, as the table has it; None where unknown."""
    return {"cost": row.cost, "time": row.seconds, "tokens": row.output_tokens}[against]


@drawn
def pareto_picture(board: Board, rows: Sequence[Row], width: float, against: Against | None = None) -> Picture:
    """The composite against what the run took.

    Args:
        against: None: cost where two models have one, else time.

    Raises:
        UsageError: no model has both numbers.
    """
    if against is None:
        against = "cost" if sum(row.cost is not None and row.composite.value is not None for row in rows) > 1 else "time"
    scale = 100.0 if composite_is_share(board) else 1.0
    points = [(row, spent(row, against), row.composite) for row in rows]
    there = [(row, x, scale * total.value, total) for row, x, total in points if x is not None and total.value is not None]
    if not there:
        raise UsageError(f"no model of {board.title} has both a composite and a known {against}: --against cost, time or tokens")
    absent = [row.label for row, x, total in points if x is None or total.value is None]
    notes = ["Line: the models that none beats on both. Bars: 95 % intervals."]
    if absent:
        some = ", ".join(labels(absent[:4], 24)) + (f" and {len(absent) - 4} more" if len(absent) > 4 else "")
        notes.append(f"Not shown, for want of a composite or of {against}: {some}.")
    made = picture(width, min(width * 0.72, 4.6) + 0.02 * max(0, len(there) - 20) + 0.2, heading(board), notes)
    axes = made.add_subplot()
    xs, ys = [x for _, x, _, _ in there], [y for _, _, y, _ in there]
    front = pareto_front(np.array([ys, xs]).T, [True, False])
    for place, (_, x, y, total) in enumerate(there):
        color = COLORS[1] if front[place] else COLORS[0]
        if total.low is not None and total.high is not None:
            axes.plot([x, x], [scale * total.low, scale * total.high], color=color, linewidth=0.8, alpha=0.6)
        axes.plot(x, y, color=color, marker="D" if front[place] else "o", markersize=4.5, linestyle="none", gid=f"point-{place}")
    _scale(axes, xs)
    best = sorted((x, y) for x, y, kept in zip(xs, ys, front, strict=True) if kept)
    axes.step([x for x, _ in best], [y for _, y in best], where="post", color=COLORS[1], linewidth=0.9, alpha=0.7, gid="front")
    axes.set_xlabel(f"{AXES[against]} (less is better)")
    axes.set_ylabel(f"{board.composite} composite" + (", %" if composite_is_share(board) else ""))
    axes.grid()
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.margins(0.1)
    lines = [(one, (other[0], one[1])) for one, other in pairwise(best)] + [((other[0], one[1]), other) for one, other in pairwise(best)]
    bars = [((x, scale * t.low), (x, scale * t.high)) for _, x, _, t in there if t.low is not None and t.high is not None]
    names = labels([row.label for row, *_ in there], 20 if width < 5 else 26)
    front_first = sorted(range(len(there)), key=lambda place: not front[place])  # who is on the front has the first choice of room
    _name(made, axes, [names[one] for one in front_first], [(xs[one], ys[one]) for one in front_first], [*lines, *bars])
    return made


def _scale(axes: Axes, xs: Sequence[float]) -> None:
    """Powers of ten where what was spent differs that much; 0 has its place on a scale that is straight near it."""
    positive = [x for x in xs if x > 0]
    if positive and max(positive) > 20 * min(positive):
        if len(positive) == len(xs):
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=min(positive))


def _name(made: Picture, axes: Axes, names: Sequence[str], points: Sequence[Point], lines: Sequence[tuple[Point, Point]]) -> None:
    """Each name beside its point where nothing stands yet, with a thin line where that is not near; those for which nothing is free
    are named below."""
    made.draw_without_rendering()
    renderer = made.canvas.get_renderer()  # type: ignore[attr-defined]
    size = SIZE - (1 if len(names) <= 12 else 2.5)
    inside = axes.get_window_extent(renderer)
    unit = made.dpi / 72
    places = [tuple(axes.transData.transform(point)) for point in points]
    taken = [Bbox.from_extents(x - 4 * unit, y - 4 * unit, x + 4 * unit, y + 4 * unit) for x, y in places]
    for line in lines:
        (x0, y0), (x1, y1) = (axes.transData.transform(end) for end in line)
        taken.append(Bbox.from_extents(min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
    unnamed = []
    for name, point, (x, y) in zip(names, points, places, strict=True):
        text = axes.annotate(name, point, (0, 0), textcoords="offset points", fontsize=size, va="center", ha="center")
        box = text.get_window_extent(renderer)
        wide, high = box.width / 2 / unit + 1, box.height / 2 / unit + 1
        for far in (5, 10, 16, 24, 34, 46, 60):
            tried = [_beside(turn, far, wide, high) for turn in (0, 8, 4, 12, 2, 14, 6, 10, 1, 3, 5, 7, 9, 11, 13, 15)]
            boxes = [Bbox.from_bounds(x + (dx - wide) * unit, y + (dy - high) * unit, 2 * wide * unit, 2 * high * unit) for dx, dy in tried]
            free = [
                (offset, one)
                for offset, one in zip(tried, boxes, strict=True)
                if inside.x0 <= one.x0 and one.x1 <= inside.x1 and inside.y0 <= one.y0 and one.y1 <= inside.y1
                and not any(one.overlaps(other) for other in taken)
            ]  # fmt: skip
            if free:
                (dx, dy), kept = free[0]
                text.set_position((dx, dy))
                taken.append(kept)
                if far > 10:
                    near = (dx - math.copysign(min(abs(dx), wide), dx), dy - math.copysign(min(abs(dy), high), dy))
                    axes.annotate("", point, near, textcoords="offset points", arrowprops=_THREAD)
                break
        else:
            text.remove()
            unnamed.append(name)
    if unnamed:
        told = wrapped(["No room for the names of: " + ", ".join(unnamed)], made.get_figwidth() - 1)
        axes.set_xlabel(f"{axes.get_xlabel()}\n{told}")
        # So much higher, the chart itself keeps its size, and every name its place.
        made.set_figheight(made.get_figheight() + (told.count("\n") + 1) * SIZE * 1.25 / 72)


def _beside(turn: int, far: float, wide: float, high: float) -> tuple[float, float]:
    """Where the middle of a text stands, in points from its dot, in one of 16 directions."""
    angle = turn * math.pi / 8
    across, up = math.cos(angle), math.sin(angle)
    return across * far + (wide * round(across, 3) if abs(across) > 0.1 else 0.0), up * (far + high)
