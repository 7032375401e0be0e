"""Whether a model's confidence means what it says: reliability diagrams with counts, and risk against coverage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from proctor.analysis.calibration import reliability_bins
from proctor.analysis.selective import risk_coverage
from proctor.errors import UsageError
from proctor.reports.figures.picture import Picture, drawn, picture
from proctor.reports.figures.style import COLORS, GREY, INK, PALE, SIZE, labels, plain_numbers
from proctor.reports.leaderboard import Board, Row
from proctor.reports.profile_confidence import SOURCES, Stated, measured
from proctor.reports.tables import heading

BINS = 10
TICKS = (0, 0.5, 1)
MOST_TASKS = 10  # lines of charts on a page


@drawn
def calibration_picture(board: Board, row: Row, stated: Sequence[Stated], width: float) -> Picture:
    """A line of charts for each task and kind of confidence: accuracy by confidence over how often it was stated; risk by coverage.

    Raises:
        UsageError: no task has confidences, or too many have.
    """
    if not stated:
        raise UsageError(f"{row.label} has no confidences on {board.title}: only choices by likelihood and tasks that ask have them")
    if len(stated) > MOST_TASKS:
        there = ", ".join(dict.fromkeys(one.task for one in stated))
        raise UsageError(
            f"{len(stated)} confidences are too many for a page: name at most {MOST_TASKS} tasks with --task; there are: {there}"
        )
    side = width / 2
    notes = [
        f"Left: accuracy of {BINS} bins of confidence, 95 % intervals, over the number of items.",
        "Right: share of wrong answers among those answered, the most confident first.",
    ]
    made = picture(width, len(stated) * min(max(side * 0.95, 1.9), 2.6) + 0.2, f"{row.label} on {heading(board, models=False)}", notes)
    parts = made.add_gridspec(2 * len(stated), 2, height_ratios=[3, 1] * len(stated))
    for place, one in enumerate(stated):
        upper, lower = made.add_subplot(parts[2 * place, 0]), made.add_subplot(parts[2 * place + 1, 0])
        right = made.add_subplot(parts[2 * place : 2 * place + 2, 1])
        name = labels([one.task if one.source == "choices" else f"{one.task}: {SOURCES[one.source]}"], 18 if width < 5 else 34)[0]
        _reliability(upper, lower, one, name)
        _risk(right, one)
    return made


def _reliability(upper: Axes, lower: Axes, one: Stated, name: str) -> None:
    bins = reliability_bins(one.confidence, one.right, one.groups, BINS)
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    for found in bins:
        if found.accuracy.low is not None and found.accuracy.high is not None:
            upper.plot([found.confidence] * 2, [found.accuracy.low, found.accuracy.high], color=COLORS[0], linewidth=0.9, alpha=0.8)
    values = [found.accuracy.value or 0.0 for found in bins]
    upper.plot([found.confidence for found in bins], values, color=COLORS[0], marker="o", markersize=3.5, linewidth=1, gid="reliability")
    centres, counts = [(found.low + found.high) / 2 for found in bins], [found.items for found in bins]
    lower.bar(centres, counts, width=0.92 / BINS, color=PALE, edgecolor=GREY, linewidth=0.4, gid="counts")
    for found in bins:
        lower.annotate(f"{found.items}", ((found.low + found.high) / 2, found.items), (0, 1), textcoords="offset points", ha="center",
                       fontsize=SIZE - 3)  # fmt: skip
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02), yticks=[0, 0.5, 1], xticks=TICKS)
    upper.tick_params(labelbottom=False)
    lower.set(xlim=(0, 1), ylim=(0, 1.35 * max(found.items for found in bins)), xticks=TICKS, yticks=[])
    lower.set_xlabel("confidence")
    lower.set_ylabel("items", fontsize=SIZE - 1)
    upper.set_ylabel("accuracy")
    upper.set_title(name, loc="left")
    for axis in (upper.xaxis, upper.yaxis, lower.xaxis):
        plain_numbers(axis)


def _risk(axes: Axes, one: Stated) -> None:
    curve = risk_coverage(one.confidence, one.right)
    axes.plot(curve.coverage, curve.risk, color=COLORS[1], linewidth=1.2, gid="risk", marker="o", markersize=2)
    base = 1 - float(np.mean(one.right))
    axes.axhline(base, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xticks=TICKS, yticks=TICKS)
    axes.set_xlabel("coverage")
    axes.set_ylabel("risk")
    axes.grid()
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    found = measured(one)
    ece = f"smECE {found.smooth_ece.value:.3f}" if found.smooth_ece.value is not None else ""
    roc = f"AUROC {found.auroc.value:.2f}" if found.auroc.value is not None else ""
    axes.set_title(" · ".join(filter(None, (f"n = {found.items:,}", ece, roc))), loc="right", fontsize=SIZE - 1)
