"""Paired differences against a baseline as a forest plot: the numbers of `proctor compare`."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from proctor.analysis.comparison import OverallDifference, TaskDifference
from proctor.errors import UsageError
from proctor.reports.compare import Comparison
from proctor.reports.compare_words import difference_text
from proctor.reports.figures.picture import Picture, drawn, key, legend, picture
from proctor.reports.figures.style import (
    COLORS,
    GREY,
    INK,
    MARKERS,
    MOST_MODELS,
    SIZE,
    column,
    labels,
    legend_width,
    name_width,
    plain_numbers,
)
from proctor.reports.tables import heading, task_label
from proctor.reports.text import is_share

Difference = OverallDifference | TaskDifference


@drawn
def forest_picture(pairs: Sequence[Comparison], width: float) -> Picture:
    """Comparisons of one board with one baseline: a line for each task, overall first, right of 0 what is better.

    Raises:
        UsageError: more models than can be told apart.
    """
    if len(pairs) > MOST_MODELS:
        raise UsageError(f"{len(pairs)} models are too many to tell apart here: name at most {MOST_MODELS} beside the baseline")
    board, base = pairs[0].board, pairs[0].baseline.label
    tasks = [task for task in board.tasks if any(one.task == task for pair in pairs for one in pair.difference.tasks)]
    names = [*(["overall"] if any(pair.difference.overall for pair in pairs) else []), *tasks]
    step = 0.2 + 0.07 * (len(pairs) - 1)
    beside = width > 5 and len(pairs) > 1
    told = f"{pairs[0].model.label} against {base}" if len(pairs) == 1 else f"Against {base}"
    notes = ["Paired differences with 95 % intervals; filled: real after correction for all tests (Holm, 5 %)."]
    if any(not board.any_result[task].main.higher_is_better for task in tasks):
        notes.append("↓: lower is better; drawn with its sign turned.")
    low = 0.65 + (0 if beside or len(pairs) == 1 else 0.17 * len(pairs))
    made = picture(width, step * len(names) + low, f"{told} on {heading(board, models=False)}", notes)
    axes = made.add_subplot()
    for place, pair in enumerate(pairs):
        by_name = _by_name(pair)
        shift = (place - (len(pairs) - 1) / 2) * 0.6 / len(pairs)
        for height, name in enumerate(names):
            if name in by_name and _share(pair, name):
                _effect(axes, by_name[name], height + shift, place)
    axes.axvline(0, color=INK, linewidth=0.8)
    if names[0] == "overall" and len(names) > 1:
        axes.axhline(0.5, color=GREY, linewidth=0.5)
    _frame(axes, [name if name == "overall" else task_label(board, name) for name in names], width)
    for height, name in enumerate(names):
        if not any(name in _by_name(pair) and _share(pair, name) for pair in pairs):
            axes.annotate("another scale", (0, height), (4, 0), textcoords="offset points", va="center", color=GREY, fontsize=SIZE - 1)
    if len(pairs) == 1 and width > 4:
        found = _by_name(pairs[0])
        texts = [difference_text(found[name], share=_share(pairs[0], name)) if name in found else "" for name in names]
        column(axes, texts, range(len(names)), "difference [95 %]", 6.0)
    if len(pairs) > 1:
        shown = labels([pair.model.label for pair in pairs], legend_width(width, beside=beside))
        legend(made, [key(COLORS[place], MARKERS[place]) for place in range(len(pairs))], shown, beside=beside)
    return made


def _by_name(pair: Comparison) -> dict[str, Difference]:
    found: dict[str, Difference] = {} if pair.difference.overall is None else {"overall": pair.difference.overall}
    return found | {one.task: one for one in pair.difference.tasks}


def _share(pair: Comparison, name: str) -> bool:
    """Whether it stands in percentage points: only shares can share an axis."""
    return name == "overall" or is_share(pair.board.any_result[name].main)


def _effect(axes: Axes, one: Difference, height: float, place: int) -> None:
    sign = -100.0 if isinstance(one, TaskDifference) and not one.higher_is_better else 100.0
    color = COLORS[place]
    face = color if one.verdict() else "white"
    if one.low is not None and one.high is not None:
        axes.plot([sign * one.low, sign * one.high], [height] * 2, color=color, linewidth=1.1, zorder=2)
    axes.plot(sign * one.difference, height, color=color, marker=MARKERS[place], markersize=4.5, markerfacecolor=face,
              linestyle="none", zorder=3, gid=f"difference-{place}")  # fmt: skip


def _frame(axes: Axes, names: Sequence[str], width: float) -> None:
    axes.set_yticks(range(len(names)), labels(names, name_width(width)))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.margins(x=0.05)
    axes.set_xlabel("← worse    difference, percentage points    better →" if width > 4 else "← worse   points   better →")
    plain_numbers(axes.xaxis)
