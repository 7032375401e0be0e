"""Models × tasks, and a model's scores over two properties of the items, as grids of colours with their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

from proctor.reports.figures.picture import Picture, drawn, picture
from proctor.reports.figures.style import GREY, SIZE, labels, name_width
from proctor.reports.heat_maps import Laid, shown_label, shown_number
from proctor.reports.leaderboard import Board, Row, task_score
from proctor.reports.tables import heading, task_label
from proctor.reports.text import ABSENT, is_share, metric_label, number_text

COLORS = "cividis"  # even in lightness, and read alike by people who confuse red and green
LEAST_SIZE = 3.5  # points; smaller numbers are left out, as the colours say them


@drawn
def heatmap_picture(board: Board, rows: Sequence[Row], width: float) -> Picture:
    """A cell for each model and task: its colour the score above chance, its number the score of the table."""
    colors = np.full((len(rows), len(board.tasks)), math.nan)
    texts = [[""] * len(board.tasks) for _ in rows]
    for down, row in enumerate(rows):
        for across, task in enumerate(board.tasks):
            result = row.tasks.get(task)
            corrected = None if result is None else task_score(result).corrected
            colors[down, across] = math.nan if corrected is None else corrected
            texts[down][across] = ABSENT if result is None else number_text(result.main.value, share=is_share(result.main))
    names = [task_label(board, task) for task in board.tasks]
    metrics = {metric_label(board.any_result[task].main) for task in board.tasks}
    alike = metrics.pop() if len(metrics) == 1 else ""
    if alike:
        names = board.tasks
    notes = [f"Numbers: {alike or 'scores'}. Colours: score above chance, 0 is guessing (and worse), 100 perfect. Hatched: no result."]
    return _grid(
        colors, texts, [row.label for row in rows], names, (heading(board), notes),
        ("", ""), width, "above chance, %",
    )  # fmt: skip


@drawn
def grid_picture(of: Laid, width: float) -> Picture:
    """Scores over two properties of the items, as `proctor heatmap` prints them."""
    low, high = of.bounds
    share = of.bounds == (0.0, 1.0)
    colors = (of.map.means - low) / (high - low) if high > low else np.where(np.isnan(of.map.means), np.nan, 1.0)
    texts = [[shown_number(float(one), share) for one in row] for row in of.map.means]
    title = f"{of.model} on {of.task}: {of.metric}" + (" in percent" if share else "")
    if of.part is not None:
        title += f", {of.part[0]} {shown_label(of.part[1])}"
    down, across = ([shown_label(one) for one in names] for names in (of.map.rows, of.map.columns))
    notes = [f"Means of {int(of.map.counts.sum()):,} attempts. Hatched: none."]
    return _grid(colors, texts, down, across, (title, notes), of.axes, width, f"from worst ({low:g}) to best ({high:g}), %")


def _grid(
    colors: np.ndarray,
    texts: Sequence[Sequence[str]],
    down: Sequence[str],
    across: Sequence[str],
    said: tuple[str, list[str]],
    axes_names: tuple[str, str],
    width: float,
    scale: str,
) -> Picture:
    rows, columns = colors.shape
    names = labels(down, name_width(width))
    taken = max(map(len, names), default=0) * SIZE * 0.55 / 72 + 0.35
    cell = max(0.04, (width - taken) / max(1, columns))
    tall = min(0.36, max(0.1, 14.0 / max(1, rows)))
    longest = max((len(text) for line in texts for text in line), default=1)
    size = min(SIZE - 1, cell * 72 / (0.66 * max(2, longest)), tall * 72 * 0.7)
    tops = labels(across, 22)
    turned = max(map(len, tops), default=0) * SIZE * 0.6 / 72 > cell
    high = tall * rows + (min(22, max(map(len, tops), default=0)) * 0.065 if turned else 0.25) + 0.75
    made = picture(width, high, said[0], said[1])
    axes = made.add_subplot()
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    shown = axes.pcolormesh(*edges, np.ma.masked_invalid(colors), cmap=COLORS, vmin=0, vmax=1, edgecolors="white", linewidth=0.4)
    _missing(axes, colors, texts)
    if size >= LEAST_SIZE:
        _numbers(axes, colors, texts, size)
    label_size = min(SIZE - 0.5, max(3.5, cell * 72 * 0.75)) if turned else SIZE - 0.5
    axes.set_xticks(range(columns), tops, rotation=90 if turned else 0, fontsize=label_size)
    axes.xaxis.tick_top()
    axes.set_yticks(range(rows), names, fontsize=min(SIZE, tall * 72 * 0.75))
    axes.tick_params(length=0)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    axes.set_ylabel(axes_names[0])
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(axes_names[1])
    _bar(made, axes, shown, scale, high)
    return made


def _missing(axes: Axes, colors: np.ndarray, texts: Sequence[Sequence[str]]) -> None:
    """What has no colour: pale where there is a number on another scale, hatched where there is nothing."""
    for down, across in np.argwhere(np.isnan(colors)).tolist():
        nothing = texts[down][across] == ABSENT
        axes.add_patch(
            Rectangle(
                (across - 0.5, down - 0.5), 1, 1, facecolor="white" if nothing else "#F2F2F2", edgecolor="#B5B5B5", linewidth=0.4,
                hatch="//////" if nothing else None, gid="missing" if nothing else "other-scale",
            )
        )  # fmt: skip


def _numbers(axes: Axes, colors: np.ndarray, texts: Sequence[Sequence[str]], size: float) -> None:
    palette = colormaps[COLORS]
    for down, line in enumerate(texts):
        for across, text in enumerate(line):
            value = colors[down, across]
            ink = GREY
            if not math.isnan(value):
                red, green, blue = (part**2.2 for part in palette(min(1.0, max(0.0, float(value))))[:3])
                ink = "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"  # of the two the better contrast
            if text != ABSENT:
                axes.text(across, down, text, ha="center", va="center", fontsize=size, color=ink, gid=f"cell-{down}-{across}")


def _bar(made: Picture, axes: Axes, shown: QuadMesh, label: str, high: float) -> None:
    bar = made.colorbar(shown, ax=axes, location="bottom", fraction=0.12 / high, pad=0.02, aspect=30, shrink=0.6)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=SIZE - 1.5)
    bar.set_label(label, fontsize=SIZE - 1)
