"""What one model's attempts say of a task and its variants: scores, answers and places of options, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proctor.analysis.answer_consistency import AnswerPositions, answer_positions
from proctor.analysis.variants import VariantFamily, answer_codes, variant_family
from proctor.reports.leaderboard import Board, Row
from proctor.results.attempts import reading_attempts
from proctor.results.store import Run
from proctor.scoring.letters import choice_index
from proctor.tasks.items import LETTERS
from proctor.tasks.variants.options import ORDER


class TaskVariants(Struct, frozen=True):
    """A task of a board and its variants that ask the same items.

    Attributes:
        task: the original's column.
        variants: the variants' columns, in the order of `family.changes`.
        items: how many all of them have.
        family: what a model makes of them.
    """

    task: str
    variants: tuple[str, ...]
    items: int
    family: VariantFamily


class _Answers(Struct):
    """The attempts of one model on one task, by item: mean score over epochs, first epoch's answer, order of options, and target."""

    score: dict[str, float]
    group: dict[str, str]
    answer: dict[str, str | None]
    order: dict[str, list[int]]
    target: dict[str, Any]
    options: int


def families(board: Board) -> list[tuple[str, list[str]]]:
    """(original's column, its variants' columns) of a board, by what the tasks say of themselves."""
    found = []
    for name in board.tasks:
        task = board.any_result[name].task
        variants = [one for one in board.tasks if board.any_result[one].variant_of == task and one != name]
        if variants and not board.any_result[name].variant_of:
            found.append((name, variants))
    return found


def task_variants(board: Board, row: Row, runs: Mapping[str, Run]) -> list[TaskVariants]:
    """Every task of the row with the variants that ask the same items, half of them at least; only items that all have count.

    A variant with items of its own is among the gaps alone.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    found = []
    for name, variants in families(board):
        if name not in row.tasks or row.tasks[name].main.bounds != (0.0, 1.0):
            continue
        base = _answers(row, name, runs)
        others = {one: _answers(row, one, runs) for one in variants if one in row.tasks}
        same = {one: got for one, got in others.items() if 2 * len(got.score.keys() & base.score.keys()) >= len(base.score) > 0}
        ids = [item for item in base.score if all(item in one.score for one in same.values())]
        if ids and same:
            found.append(_family(name, ids, base, row, same))
    return found


def _family(name: str, ids: list[str], base: _Answers, row: Row, others: Mapping[str, _Answers]) -> TaskVariants:
    result = row.tasks[name]
    each = [base, *others.values()]
    scores = [[one.score[item] for one in each] for item in ids]
    groups = [base.group[item] for item in ids]
    choice = result.protocol.get("response", {}).get("kind") == "choice"
    truth: list[int] | None = None
    if choice:
        answers = [[_content(one, item) for one in each] for item in ids]
        targets = [base.target[item] for item in ids]
        truth = [target if isinstance(target, int) else target[0] for target in targets] if all(map(_is_choice, targets)) else None
    else:
        answers = answer_codes([[one.answer[item] for one in each] for item in ids])
    known = any(answer >= 0 for of_item in answers for answer in of_item)
    classes = max((answer for of_item in answers for answer in of_item), default=0) + 1 if choice else 0
    classes = max(classes, *(target + 1 for target in truth), *(one.options for one in each)) if truth else 0
    places = None
    if choice and result.protocol.get("response", {}).get("by") != "text":
        same_size = [base, *(got for one, got in others.items() if "distractors" not in row.tasks[one].protocol.get("variant", {}))]
        places = _positions(ids, same_size)
    family = variant_family(scores, answers if known else None, groups, truth=truth, classes=classes, positions=places)
    return TaskVariants(name, tuple(others), len(ids), family)


def _is_choice(target: Any) -> bool:
    return isinstance(target, int) or (isinstance(target, list) and bool(target) and isinstance(target[0], int))


def _place(of: _Answers, item: str) -> int:
    """The place of the option that was answered, from 0; −1 where none was."""
    answer = of.answer[item]
    place = None if answer is None else choice_index(answer, len(LETTERS))
    return -1 if place is None else place


def _content(of: _Answers, item: str) -> int:
    """Which option was answered, by its number in the original; −1 where none was."""
    place, order = _place(of, item), of.order.get(item)
    return place if order is None or place < 0 else order[place] if place < len(order) else -1


def _positions(ids: Sequence[str], each: Sequence[_Answers]) -> AnswerPositions | None:
    pairs = [(_place(one, item), one.target[item], item) for one in each for item in ids if isinstance(one.target[item], int)]
    options = max([one.options for one in each] + [target + 1 for _, target, _ in pairs] + [place + 1 for place, _, _ in pairs], default=0)
    if not pairs or options < 2:
        return None
    return answer_positions([place for place, _, _ in pairs], [key for _, key, _ in pairs], options, [item for *_, item in pairs])


def _answers(row: Row, name: str, runs: Mapping[str, Run]) -> _Answers:
    import polars as pl

    result, path = row.tasks[name], runs[row.runs[name]].attempts_path
    found = _Answers({}, {}, {}, {}, {}, 0)
    if not path.exists():
        return found
    with reading_attempts(path):
        rows = (
            pl.scan_parquet(path, glob=False)
            .filter(pl.col("task") == result.task, pl.col("protocol") == result.protocol_hash)
            .sort("epoch", maintain_order=True)
            .group_by("item", maintain_order=True)
            .agg(
                pl.col("score").mean(),
                pl.col("group", "answer", "target", "metadata").first(),
                pl.col("loglikelihoods").list.first().list.len().max().alias("options"),
            )
            .filter(pl.col("score").is_not_null())
            .collect()
        )
    for one in rows.iter_rows(named=True):
        item = one["item"]
        found.score[item], found.group[item], found.answer[item] = one["score"], one["group"] or "", one["answer"]
        found.target[item] = _decoded(one["target"])
        order = _decoded(one["metadata"])
        if isinstance(order, dict) and isinstance(order.get(ORDER), list):
            found.order[item] = order[ORDER]
        found.options = max(found.options, one["options"] or 0)
    return found


def _decoded(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return text
