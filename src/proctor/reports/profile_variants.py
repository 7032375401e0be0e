"""How far a model's scores depend on how its tasks are put, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proctor.analysis.interval_estimate import IntervalEstimate
from proctor.reports.leaderboard import Board
from proctor.reports.profile_field import difference_text, estimate_json, percent
from proctor.reports.render import Table
from proctor.reports.text import ABSENT
from proctor.reports.variant_answers import TaskVariants, task_variants
from proctor.results.store import Run
from proctor.tasks.items import LETTERS

READING = (
    "In percent, with 95 % intervals; the original is one of the variants. spread: best less worst mean (Sclar 2024); by chance: what is "
    "to be expected were all alike. worst case: an item counts as its worst variant. same answer: items answered alike under all. "
    "sensitivity: mean difference of an item's score between two variants (Zhuo 2024)."
)


def variants_tables(label: str, found: Sequence[TaskVariants]) -> list[Table]:
    """Over the variants of each task; what each variant changes; which places of options are preferred, where there are any."""
    tables = [_over_variants(f"{label}: the same items put otherwise", [("", one) for one in found]), _changes(label, found)]
    placed = [one for one in found if one.family.positions]
    return [*tables, _positions(label, placed)] if placed else tables


def variants_board(board: Board, runs: Mapping[str, Run]) -> Table | None:
    """Every model of a board over the variants of its tasks, for `proctor leaderboard --robustness`; None where it has no variants.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    found = [(row.label, one) for row in board.rows if row.state == "complete" for one in task_variants(board, row, runs)]
    if not found:
        return None
    found.sort(key=lambda pair: board.tasks.index(pair[1].task))
    table = _over_variants(f"{board.title}: the same items put otherwise", found)
    table.data = [{"model": model, **variants_json(one)} for model, one in found]
    shared = {"suite": board.suite, "protocol": board.suite_hash}
    table.records = [{**shared, "model": model, **record} for model, one in found for record in variants_records(one)]
    return table


def _over_variants(title: str, found: Sequence[tuple[str, TaskVariants]]) -> Table:
    rows = []
    for model, one in found:
        family = one.family
        rows.append(
            [
                f"{one.task}, {model}" if model else one.task,
                str(len(one.variants) + 1),
                _shown(family.worst.mean),
                _shown(family.spread.spread),
                percent(None if family.spread.by_chance != family.spread.by_chance else family.spread.by_chance),
                _shown(family.worst.worst),
                _shown(family.consistency),
                _shown(family.score_sensitivity),
            ]
        )
    columns = ["task", "variants", "mean", "spread", "by chance", "worst case", "same answer", "sensitivity"]
    return Table(title, columns, rows, [READING])


def _changes(label: str, found: Sequence[TaskVariants]) -> Table:
    rows = [
        [
            name,
            percent(change.score.value),
            difference_text(change.change.value, change.change.low, change.change.high),
            _shown(change.lost),
            _shown(change.won),
            _shown(change.same),
        ]
        for one in found
        for name, change in zip(one.variants, one.family.changes, strict=True)
    ]
    columns = ["variant", "score", "change [95 %]", "right → wrong", "wrong → right", "same answer"]
    return Table(f"{label}: what each variant changes", columns, rows, ["change: in points beside the original, item by item."])


def _positions(label: str, found: Sequence[TaskVariants]) -> Table:
    rows: list[list[str]] = []
    rules, notes = set(), []
    for one in found:
        positions = one.family.positions
        assert positions is not None
        if rows:
            rules.add(len(rows))
        for place, (key, chosen, recall) in enumerate(zip(positions.keys, positions.chosen, positions.recall, strict=True)):
            rows.append([f"{one.task} {LETTERS[place]}", percent(key), _shown(chosen), _shown(recall)])
        if positions.recall_deviation is not None:
            notes.append(f"{one.task}: standard deviation of the last column (RStd, Zheng 2024) {percent(positions.recall_deviation)}.")
    notes.append("Over the original and every variant with as many options; places are lettered from A, whatever the variant calls them.")
    columns = ["place", "right there", "chosen", "right when right there"]
    return Table(f"{label}: places of options", columns, rows, notes, rules=frozenset(rules))


def _shown(of: IntervalEstimate | None) -> str:
    if of is None or of.value is None:
        return ABSENT
    return percent(of.value) if of.low is None else f"{percent(of.value)} [{percent(of.low)}, {percent(of.high)}]"


def variants_json(of: TaskVariants) -> dict[str, Any]:
    """A task and its variants as JSON types: shares, not percent."""
    family, positions = of.family, of.family.positions

    def maybe(one: IntervalEstimate | None) -> dict[str, Any] | None:
        return None if one is None else estimate_json(one)

    return {
        "task": of.task,
        "items": of.items,
        "mean": estimate_json(family.worst.mean),
        "spread": estimate_json(family.spread.spread) | {"by_chance": family.spread.by_chance, "means": list(family.spread.means)},
        "worst": estimate_json(family.worst.worst),
        "consistency": maybe(family.consistency),
        "score_sensitivity": estimate_json(family.score_sensitivity),
        "answer_sensitivity": maybe(family.answer_sensitivity),
        "variants": {
            name: {"score": estimate_json(change.score), "change": estimate_json(change.change)}
            | {"lost": maybe(change.lost), "won": maybe(change.won), "same": maybe(change.same)}
            for name, change in zip(of.variants, family.changes, strict=True)
        },
        "positions": None
        if positions is None
        else {
            "right": list(positions.keys),
            "chosen": [estimate_json(one) for one in positions.chosen],
            "recall": [estimate_json(one) for one in positions.recall],
            "recall_deviation": positions.recall_deviation,
            "unanswered": positions.unanswered,
        },
    }


def variants_records(of: TaskVariants) -> list[dict[str, Any]]:
    """Long format: one line per measure of the task, and per variant and measure."""
    family = of.family
    measures: list[tuple[str, str, IntervalEstimate | None]] = [
        (of.task, "mean over variants", family.worst.mean),
        (of.task, "spread", family.spread.spread),
        (of.task, "worst case", family.worst.worst),
        (of.task, "same answer", family.consistency),
        (of.task, "score sensitivity", family.score_sensitivity),
        (of.task, "answer sensitivity", family.answer_sensitivity),
    ]
    for name, change in zip(of.variants, family.changes, strict=True):
        measures += [(name, "change", change.change), (name, "right to wrong", change.lost), (name, "wrong to right", change.won)]
        measures.append((name, "same answer", change.same))
    return [{"kind": "variants", "name": name, "metric": metric, "items": of.items, **_plain(one)} for name, metric, one in measures if one]


def _plain(of: IntervalEstimate) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(of).items() if key in ("value", "stderr", "low", "high")}
