"""A leaderboard as a table, whichever way round it fits."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.reports.board_data import board_json, board_records
from proctor.reports.board_notes import FEW_TASKS, board_notes
from proctor.reports.leaderboard import DEFAULT_COMPOSITE, Board, Row
from proctor.reports.render import Format, Table, render
from proctor.reports.text import (
    ABSENT,
    cost_text,
    duration_text,
    items_text,
    metric_label,
    number_text,
    score_text,
    states_code,
    states_text,
    tokens_text,
)
from proctor.results.manifest import TaskResult
from proctor.types import STATES


def leaderboard(boards: Sequence[Board], format: Format = "table", *, width: int | None = None, color: bool = False) -> str:  # noqa: A002
    """The boards as text; see `render`."""
    return render([leaderboard_table(board) for board in boards], format, width=width, color=color)


def leaderboard_table(board: Board) -> Table:
    """The board, with the shorter of its two lists (tasks, models) across where there are many tasks; states beside the scores."""
    if len(board.rows) == 1:
        table = _one_model(board)
    elif len(board.tasks) > FEW_TASKS and len(board.rows) <= len(board.tasks):
        table = _tasks_down(board)
    else:
        table = _models_down(board)
    table.title = heading(board)
    table.notes += board_notes(board)
    table.data = board_json(board)
    table.records = board_records(board)
    return table


def heading(board: Board, models: bool = True) -> str:
    """The board's title with its size (also of how many models) and protocol."""
    counts = [(len(board.rows), "model")] * (models and len(board.rows) > 1)
    items = [result.items for result in board.any_result.values() if result.source != "group"]  # whose items are those of its tasks
    counts += [(len(items), "task"), (sum(items) if all(items) else 0, "item")]
    size = ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts if count) or "not finished"
    return f"{board.title} · {size} · protocol {board.suite_hash[:8]}"


def composite_text(board: Board, row: Row) -> str:
    """The composite (in percent where it is a share), or what stands in its place."""
    if row.state != "complete":
        return "incomplete"
    return number_text(row.composite.value, row.composite.stderr, share=composite_is_share(board))


def composite_is_share(board: Board) -> bool:
    """Whether the board's composite is printed in percent: not where it counts points or averages scores on another scale."""
    if board.composite in ("macro", "size-weighted", "geometric"):
        return all(result.main.bounds is not None and tuple(result.main.bounds) == (0.0, 1.0) for result in board.any_result.values())
    return board.composite != "borda"


def rank_text(row: Row) -> str:
    """`1`, or `1–3` where the items leave that much open."""
    if row.rank is None:
        return ""
    return str(row.rank.low) if row.rank.low == row.rank.high else f"{row.rank.low}–{row.rank.high}"


def tier_text(row: Row) -> str:
    """The number of the row's tier."""
    return "" if row.rank is None else str(row.rank.tier)


def task_label(board: Board, task: str) -> str:
    """A task's name, with its metric where that is not an accuracy."""
    label = metric_label(board.any_result[task].main)
    return f"{task} ({label})" if label else task


def chance_text(result: TaskResult) -> str:
    """The expected score of guessing; `—` where the metric has no bounds."""
    return ABSENT if result.main.bounds is None else number_text(result.chance, share=tuple(result.main.bounds) == (0.0, 1.0))


def _score(row: Row, task: str) -> str:
    return score_text(row.tasks[task].main) if task in row.tasks else ABSENT


def _one_model(board: Board) -> Table:
    row = board.rows[0]
    total = composite_text(board, row)
    rows = [["composite", total, "", items_text(result.items for result in row.tasks.values() if result.source != "group"), ""]]
    for task, result in row.tasks.items():
        states = states_text(result.states, result.attempts)
        rows.append([task_label(board, task), score_text(result.main), chance_text(result), items_text([result.items]), states])
    tokens = tokens_text(row.input_tokens, row.output_tokens)
    parts = [f"time {duration_text(row.seconds)}", f"tokens in + out {tokens}", f"cost {cost_text(row.cost)}"]
    notes = [" · ".join(part for part in parts if not part.endswith(ABSENT))]
    return Table("", ["task", row.label, "chance", "items", "problems"], rows, notes, left=frozenset({0, 4}), rules=frozenset({1}))


def _tasks_down(board: Board) -> Table:
    """Tasks as rows, models as columns, each with a narrow column for the states of its attempts where there are any."""
    columns, left = ["task", "items", "chance"], {0}
    table: list[list[str]] = [["composite", "", ""]]
    ranks = [["rank", "", ""], ["tier", "", ""]] if any(row.rank for row in board.rows) else []
    table += ranks
    results = board.any_result
    table += [[task_label(board, task), items_text([results[task].items]), chance_text(results[task])] for task in board.tasks]
    resources: list[list[str]] = [["time", "", ""], ["tokens in + out", "", ""], ["cost", "", ""]]
    for row in board.rows:
        codes = ["", *([""] * len(ranks)), *(states_code(row.tasks[task].states) if task in row.tasks else "" for task in board.tasks)]
        scores = [composite_text(board, row), *((rank_text(row), tier_text(row)) if ranks else ()), *(_score(row, t) for t in board.tasks)]
        totals = [duration_text(row.seconds), tokens_text(row.input_tokens, row.output_tokens), cost_text(row.cost)]
        columns.append(row.label)
        for line, text in zip([*table, *resources], [*scores, *totals], strict=True):
            line.append(text)
        if any(codes):
            left.add(len(columns))
            columns.append("")
            for line, text in zip([*table, *resources], [*codes, "", "", ""], strict=True):
                line.append(text)
    resources = [line for line in resources if any(text not in ("", ABSENT) for text in line[1:])]
    return Table("", columns, [*table, *resources], left=frozenset(left), rules=frozenset({1 + len(ranks), len(table)}))


def _models_down(board: Board) -> Table:
    columns = [
        "model",
        "rank",
        "tier",
        "composite",
        *(task_label(board, task) for task in board.tasks),
        "problems",
        "time",
        "tokens in + out",
        "cost",
    ]
    rows = []
    for row in board.rows:
        states: dict[str, int] = {state: sum(result.states.get(state, 0) for result in row.tasks.values()) for state in STATES}
        attempts = sum(result.attempts for result in row.tasks.values())
        totals = [duration_text(row.seconds), tokens_text(row.input_tokens, row.output_tokens), cost_text(row.cost)]
        scores = [composite_text(board, row), *(_score(row, task) for task in board.tasks)]
        rows.append([row.label, rank_text(row), tier_text(row), *scores, states_text(states, attempts), *totals])
    if board.tasks:
        count = len(rows)
        guessing = "0.0" if board.composite == DEFAULT_COMPOSITE else ""
        rows.append(["chance", "", "", guessing, *(chance_text(board.any_result[task]) for task in board.tasks), "", "", "", ""])
        rows.append(["items", "", "", "", *(items_text([board.any_result[task].items]) for task in board.tasks), "", "", "", ""])
    else:
        count = 0
    used = [index for index in range(len(columns)) if index in (0, 3) or any(row[index] not in ("", ABSENT) for row in rows)]
    words = columns.index("problems")
    return Table(
        "",
        [columns[index] for index in used],
        [[row[index] for index in used] for row in rows],
        left=frozenset(position for position, index in enumerate(used) if index in (0, words)),
        rules=frozenset({count} if count else set()),
    )
