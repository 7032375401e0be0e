"""The kinds of pictures, and what of the runs each is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from proctor.analysis.aggregate import COMPOSITES
from proctor.errors import MissingExtra, UsageError, nearest
from proctor.reports.compare import compare
from proctor.reports.find_model import find_model
from proctor.reports.heat_maps import heat_maps
from proctor.reports.leaderboard import Board, Row
from proctor.reports.ranking import ranked_boards
from proctor.results.store import Run

if TYPE_CHECKING:
    from proctor.reports.figures.picture import Picture

Kind = Literal["leaderboard", "radar", "bars", "forest", "pareto", "heatmap", "calibration"]


class Asked(msgspec.Struct, frozen=True):
    """What a picture is to show; the options of `proctor plot`.

    Attributes:
        models: as `find_model` takes them; of `forest` the baseline first. Empty: all of the board.
        suite: of the board. protocol: beginning of the board's hash, where a suite stands there under several.
        tasks: of `leaderboard` the one to rank by, of `heatmap` the one to lay out, of `calibration` those to show.
        composite, common: as for `proctor leaderboard`.
        by: axes of `radar` and `bars`: `task`, `domain` or `capability`.
        against: what `pareto` sets the composite against: `cost`, `time` or `tokens`.
        axes: of `heatmap` with a task: properties of the items for rows and columns.
        width: `one` or `two` columns, or inches.
    """

    models: Sequence[str] = ()
    suite: str | None = None
    protocol: str | None = None
    tasks: Sequence[str] = ()
    composite: str | None = None
    common: bool = False
    by: Literal["task", "domain", "capability"] = "task"
    against: Literal["cost", "time", "tokens"] | None = None
    axes: Sequence[str] = ()
    width: str | float = "two"


def make_picture(runs: Sequence[Run], kind: str, asked: Asked) -> Picture:
    """The picture of a kind.

    Raises:
        UsageError: no such kind, model, suite, task or width; several boards and none named; too many models or too few axes to draw.
        MissingExtra: matplotlib is not installed.
        StoreError: a file of attempts is damaged.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"no picture '{kind}'{nearest(kind, get_args(Kind)) or ';'} there are: {', '.join(get_args(Kind))}")
    if asked.composite is not None and asked.composite not in COMPOSITES:
        raise UsageError(
            f"no composite '{asked.composite}'{nearest(asked.composite, COMPOSITES) or ';'} there are: {', '.join(COMPOSITES)}"
        )
    if not runs:
        raise UsageError("there are no runs to draw; make one with: proctor run smoke -m baseline:random")
    try:
        from proctor.reports.figures.style import inches
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingExtra("a picture", "plots") from None
    width = inches(asked.width)
    if kind == "forest":
        return _forest(runs, asked, width)
    if kind == "heatmap" and asked.tasks:
        return _grid(runs, asked, width)
    board = the_board(ranked_boards(runs, asked.composite, common=asked.common), asked, runs)
    return _of_board(board, runs, kind, asked, width)


def _of_board(board: Board, runs: Sequence[Run], kind: str, asked: Asked, width: float) -> Picture:
    from proctor.reports.figures.board import leaderboard_picture
    from proctor.reports.figures.calibration import calibration_picture
    from proctor.reports.figures.heatmap import heatmap_picture
    from proctor.reports.figures.pareto import pareto_picture
    from proctor.reports.figures.skills import bars_picture, radar_picture
    from proctor.reports.profile_confidence import stated_confidences

    rows = _rows(board, runs, asked)
    if kind in ("leaderboard", "heatmap"):  # the best first, however they were named
        rows = [row for row in board.rows if row in rows]
    for task in asked.tasks:
        if task not in board.tasks:
            raise UsageError(f"no task '{task}' on {board.title}{nearest(task, board.tasks) or ';'} there are: {', '.join(board.tasks)}")
    if kind == "leaderboard":
        if len(asked.tasks) > 1:
            raise UsageError("a leaderboard is of one task, or of all: name one --task")
        return leaderboard_picture(board, rows, width, asked.tasks[0] if asked.tasks else _only_task(board))
    if kind == "radar":
        return radar_picture(board, rows, width, asked.by)
    if kind == "bars":
        return bars_picture(board, rows, width, asked.by)
    if kind == "pareto":
        return pareto_picture(board, rows, width, asked.against)
    if kind == "heatmap":
        return heatmap_picture(board, rows, width)
    if len(rows) != 1:
        raise UsageError(f"calibration is of one model: name it; there are: {', '.join(row.label for row in board.rows)}")
    by_id = {run.manifest.run: run for run in runs}
    chosen = msgspec.structs.replace(
        rows[0], tasks={name: one for name, one in rows[0].tasks.items() if name in (asked.tasks or board.tasks)}
    )
    return calibration_picture(board, rows[0], list(stated_confidences(chosen, by_id)), width)


def _only_task(board: Board) -> str | None:
    """The task of a board that has one and no composite: it is ranked by its metric."""
    return board.tasks[0] if len(board.tasks) == 1 and all(row.composite.value is None for row in board.rows) else None


def the_board(found: Sequence[Board], asked: Asked, runs: Sequence[Run]) -> Board:
    """The one board that was asked for. Raises `UsageError` where there is none, or several."""
    suites = list(dict.fromkeys(board.suite for board in found))
    if asked.suite is not None and asked.suite not in suites:
        raise UsageError(f"no run of a suite named '{asked.suite}'{nearest(asked.suite, suites) or ';'} suites here: {', '.join(suites)}")
    prints = {find_model([run.manifest for run in runs], model) for model in asked.models}
    left = [
        board
        for board in found
        if asked.suite in (None, board.suite)
        and (asked.protocol is None or board.suite_hash.startswith(asked.protocol))
        and prints <= {row.fingerprint for row in board.rows}
    ]
    listed = "; ".join(f"{board.title} (--suite {board.suite} --protocol {board.suite_hash[:8]})" for board in (left or found))
    if not left:
        raise UsageError(f"no board has all of what was asked for; boards here: {listed}")
    if len(left) > 1:
        raise UsageError(f"a picture is of one board; name one of: {listed}")
    return left[0]


def _rows(board: Board, runs: Sequence[Run], asked: Asked) -> list[Row]:
    """The rows to draw: those named, in that order; else all."""
    if not asked.models:
        return board.rows
    found = {find_model([run.manifest for run in runs], model): None for model in asked.models}
    by_print = {row.fingerprint: row for row in board.rows}
    return [by_print[fingerprint] for fingerprint in found]


def _forest(runs: Sequence[Run], asked: Asked, width: float) -> Picture:
    from proctor.reports.figures.forest import forest_picture

    if len(asked.models) < 2:
        raise UsageError("a forest plot needs a baseline and at least one more model: proctor plot forest BASELINE MODEL")
    pairs = compare(runs, asked.models[0], asked.models[1:], suite=asked.suite, items=0)
    boards = list({(pair.board.suite, pair.board.suite_hash): pair.board for pair in pairs}.values())
    board = the_board(boards, msgspec.structs.replace(asked, models=(), suite=None), runs)
    return forest_picture([pair for pair in pairs if pair.board is board], width)


def _grid(runs: Sequence[Run], asked: Asked, width: float) -> Picture:
    from proctor.reports.figures.heatmap import grid_picture

    if len(asked.models) != 1 or len(asked.tasks) != 1:
        raise UsageError("the heat map of a task is of one model: proctor plot heatmap MODEL --task TASK")
    return grid_picture(heat_maps(runs, asked.models[0], asked.tasks[0], asked.axes)[0], width)
