"""What the items say of one model on one board: beside the field, between groups of tasks, alone, and by its confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from proctor.analysis.field import FieldProfile, LoneItems, field_profile, lone_items
from proctor.analysis.group_gaps import group_gaps
from proctor.analysis.parallel import LanguageConsistency, language_consistency, parallel_tasks
from proctor.analysis.profile import ModelProfile
from proctor.reports.leaderboard import Board, Row
from proctor.reports.lone_answers import LoneAnswer, lone_answers, lone_json, lone_records, lone_table
from proctor.reports.profile_confidence import TaskConfidence, confidence_json, confidence_records, confidence_table, task_confidences
from proctor.reports.profile_dimensions import Dimension, dimension_records, dimension_tables, dimensions, dimensions_json
from proctor.reports.profile_field import field_json, field_records, field_table
from proctor.reports.profile_gaps import (
    AskedGap,
    NamedGap,
    gap_json,
    gap_pairs,
    gap_record,
    gaps_table,
    languages_json,
    languages_records,
    languages_table,
)
from proctor.reports.profile_variants import variants_json, variants_records, variants_tables
from proctor.reports.ranking import board_matrix
from proctor.reports.render import Table
from proctor.reports.variant_answers import TaskVariants, task_variants
from proctor.results.store import Run


class Detail(Struct, frozen=True):
    """What a model's items say beyond its scores.

    Attributes:
        others: labels of the field: the board's other models with a complete run.
        reason: why there is no field; empty where there is one.
        field: None without others.
        gaps: of variants, then those asked for.
        languages: one per family of parallel tasks.
        alone: per task; empty on a board of fewer than three models.
        answers: the first of those items.
        confidence: of choice tasks with log-likelihoods.
        dimensions: of tasks that declare some.
        variants: of tasks that were also put otherwise, over the same items.
    """

    others: tuple[str, ...]
    reason: str
    field: FieldProfile | None
    gaps: tuple[NamedGap, ...]
    languages: tuple[LanguageConsistency, ...]
    alone: tuple[LoneItems, ...]
    answers: tuple[LoneAnswer, ...]
    confidence: tuple[TaskConfidence, ...]
    dimensions: tuple[Dimension, ...] = ()
    variants: tuple[TaskVariants, ...] = ()


def detail(board: Board, row: Row, runs: Mapping[str, Run], gaps: Sequence[AskedGap] = (), items: int = 5) -> Detail:
    """What the items of one row say.

    Args:
        board: with the row.
        row: one of its rows.
        runs: by id; at least those the board's rows come from.
        gaps: asked for; those of variants need no asking.
        items: how many to show of those that the model alone gets wrong, and as many of those it alone gets right.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    if row.state != "complete":
        return Detail((), "the run is not complete, so it is not compared with the others", None, (), (), (), (), ())
    rows = [one for one in board.rows if one.state == "complete"]
    model = next(place for place, one in enumerate(rows) if one.run == row.run)
    others = tuple(one.label for one in rows if one is not rows[model])
    reason = "" if others else "no other model has a complete run of this suite under this protocol, so there is no field to compare with"
    matrix = board_matrix(board, runs, ids=True)
    pairs = gap_pairs(board, gaps)
    found = group_gaps(matrix, model, [(first, second) for *_, first, second in pairs])
    families = parallel_tasks(matrix, [board.any_result[name].variant_of for name in board.tasks])
    languages = [language_consistency(matrix, model, family) for family in families]
    alone = lone_items(matrix, model) if len(rows) > 2 else ()
    return Detail(
        others,
        reason,
        field_profile(matrix, model) if others else None,
        tuple(NamedGap(kind, first, second, gap) for (kind, first, second, *_), gap in zip(pairs, found, strict=True)),
        tuple(one for one in languages if one is not None),
        alone,
        tuple(lone_answers(matrix, alone, model, rows, runs, items)),
        tuple(task_confidences(row, runs)),
        tuple(dimensions(row, runs)),
        tuple(task_variants(board, row, runs)),
    )


def detail_tables(label: str, of: Detail, own: ModelProfile) -> list[Table]:
    """What there is to say, one table for each kind."""
    tables = []
    tables += dimension_tables(label, of.dimensions)
    if of.field:
        tables.append(field_table(label, of.others, of.field, own))
    if of.gaps:
        tables.append(gaps_table(label, of.gaps))
    if of.variants:
        tables += variants_tables(label, of.variants)
    if of.languages:
        tables.append(languages_table(label, of.languages))
    if any(one.compared for one in of.alone):
        tables.append(lone_table(label, of.alone, of.answers))
    if of.confidence:
        tables.append(confidence_table(label, of.confidence))
    return tables


def detail_json(of: Detail) -> dict[str, Any]:
    """The same as JSON types; `docs/reference/command-line.md` explains the keys."""
    return {
        "field": field_json(of.field, of.others) if of.field else None,
        "gaps": [gap_json(one) for one in of.gaps],
        "languages": [languages_json(one) for one in of.languages],
        "alone": lone_json(of.alone, of.answers) if of.alone else None,
        "confidence": [confidence_json(one) for one in of.confidence],
        "dimensions": dimensions_json(of.dimensions),
        "variants": [variants_json(one) for one in of.variants],
    }


def detail_records(of: Detail) -> list[dict[str, Any]]:
    """The same as lines of the long format, told apart by `kind`."""
    records = field_records(of.field) if of.field else []
    records += [gap_record(one) for one in of.gaps]
    records += [record for one in of.languages for record in languages_records(one)]
    records += [record for one in of.variants for record in variants_records(one)]
    records += lone_records(of.alone, of.answers)
    records += dimension_records(of.dimensions)
    return records + [record for one in of.confidence for record in confidence_records(one)]
