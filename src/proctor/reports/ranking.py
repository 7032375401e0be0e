"""What the items say about a board's order: rank ranges from paired differences, other composites, only what all models share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from proctor.analysis.aggregate import COMPOSITES
from proctor.analysis.matrix import ScoreMatrix
from proctor.analysis.order_robustness import OrderRobustness, order_robustness
from proctor.analysis.ranks import ranked, shared_items
from proctor.reports.leaderboard import Board, Row, boards, place, task_column
from proctor.results.item_scores import load_matrix
from proctor.results.manifest import TaskResult
from proctor.results.store import Run


def ranked_boards(runs: Iterable[Run], how: str | None = None, *, common: bool = False) -> list[Board]:
    """The boards of runs, with composites of one kind, their uncertainty from the items, and rank ranges.

    Args:
        runs: complete or not.
        how: the composite, one of `COMPOSITES`; None: the one that a board's suite declares, else the chance-corrected mean.
        common: whether to keep only the tasks and items that all models of a board share. Models without a complete run are left out then.
    """
    by_id = {run.manifest.run: run for run in runs}
    return [ranked_board(board, by_id, how, common=common) for board in boards(run.manifest for run in by_id.values())]


def ranked_board(board: Board, runs: Mapping[str, Run], how: str | None = None, *, common: bool = False) -> Board:
    """One board, ranked; see `ranked_boards`. `runs`: by id."""
    how = how or board.composite
    complete = [row for row in board.rows if row.state == "complete"]
    if not complete or not board.tasks:
        return msgspec.structs.replace(board, composite=how, common=common)
    matrix = board_matrix(board, runs)
    if common:
        matrix = matrix.common()
        board, complete = _restricted(board, complete, matrix)
    rows = list(complete)
    if matrix.tasks:
        composites, ranks = ranked(matrix, how)
        board = msgspec.structs.replace(board, shared=shared_items(matrix, composites, ranks))
        rows = [
            msgspec.structs.replace(row, composite=total, rank=rank if len(rows) > 1 else None)
            for row, total, rank in zip(complete, composites, ranks, strict=True)
        ]
    if not common:
        rows += [row for row in board.rows if row.state != "complete"]
    rows.sort(key=lambda row: place(row, board.tasks))
    return msgspec.structs.replace(board, rows=rows, composite=how, common=common)


def board_matrix(board: Board, runs: Mapping[str, Run], *, ids: bool = False) -> ScoreMatrix:
    """The scores of a board's complete rows, in the board's order, item by item.

    Args:
        runs: by id; at least those the board's rows come from.
        ids: whether the items' ids are wanted.
    """
    rows = [row for row in board.rows if row.state == "complete"]
    columns = [task_column(name, board.any_result[name]) for name in board.tasks]
    found = [{name: runs[run] for name, run in row.runs.items()} for row in rows]
    return load_matrix([row.label for row in rows], columns, [row.tasks for row in rows], found, ids)


def board_robustness(board: Board, runs: Mapping[str, Run]) -> OrderRobustness | None:
    """How the board's order holds under other composites, without each task, under random weights; None for fewer than two models."""
    matrix = board_matrix(board, runs)
    if board.common:
        matrix = matrix.common()
    counted = [row for row, model in enumerate(board.rows) if model.composite.value is not None]
    return order_robustness(matrix.of_models(counted), board.composite) if len(counted) > 1 else None


def _restricted(board: Board, rows: list[Row], matrix: ScoreMatrix) -> tuple[Board, list[Row]]:
    """The board and its rows with only the matrix's tasks, and scores over its items; what became of all attempts is not told of a part."""
    names = [task.name for task in matrix.tasks]
    draws = [len(set(matrix.task_clusters(task).tolist())) for task in range(len(names))]

    def result(model: int, task: int) -> TaskResult:
        whole = rows[model].tasks[names[task]]
        if matrix.counts[model, task] == whole.items:
            return whole
        value, stderr = float(matrix.scores[model, task]), float(matrix.stderrs[model, task])
        main = msgspec.structs.replace(whole.main, value=value, stderr=None if math.isnan(stderr) else stderr)
        return msgspec.structs.replace(
            whole, metrics=[main], items=int(matrix.counts[model, task]), groups=draws[task], attempts=0, states={}
        )

    restricted = [
        msgspec.structs.replace(row, tasks={name: result(model, task) for task, name in enumerate(names)}) for model, row in enumerate(rows)
    ]
    shown = {name: restricted[0].tasks[name] for name in names}
    return msgspec.structs.replace(board, tasks=names, rows=restricted, any_result=shown), restricted


__all__ = ["COMPOSITES", "board_matrix", "board_robustness", "ranked_board", "ranked_boards"]
