"""Δm: what a model gains over a baseline relative to the baseline's own scores, task by task and in the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from proctor.analysis.comparison import TaskDifference
from proctor.analysis.multitask import MultitaskGain, delta_m
from proctor.reports.compare import Comparison
from proctor.reports.compare_words import listed, tested
from proctor.reports.render import Table
from proctor.reports.tables import heading, task_label
from proctor.reports.text import ABSENT, is_share, number_text


class Gain(Struct, frozen=True):
    """The gain of one comparison.

    Attributes:
        of: the comparison.
        tasks: those with a relative gain.
        gain: over these; None where there are none.
        without: tasks whose baseline scores 0 or less.
        unknown: tasks without a standard error; where there are any, Δm has none.
    """

    of: Comparison
    tasks: list[TaskDifference]
    gain: MultitaskGain | None
    without: list[str]
    unknown: list[str]


def gain_of(of: Comparison) -> Gain:
    """Δm of a comparison's model over its baseline, on the items both were given; tasks of weight 0 do not count.

    Where the items are the same their two scores go together: the covariance is (SE²_model + SE²_baseline − SE²_difference)/2, which is 0
    where nothing is paired.
    """
    with_gain = [one for one in tested(of) if one.baseline_score > 0]
    without = [one.task for one in tested(of) if one.baseline_score <= 0]
    if not with_gain:
        return Gain(of, [], None, without, [])
    errors: list[tuple[float, float, float]] = []
    unknown = []
    for one in with_gain:
        theirs, ours = of.stderrs.get(one.task, (None, None))
        if theirs is None or ours is None or one.stderr is None:
            unknown.append(one.task)
        else:
            errors.append((ours, theirs, (ours**2 + theirs**2 - one.stderr**2) / 2))
    known: dict[str, Any] = {}
    if not unknown:
        columns = zip(*errors, strict=True)
        known = dict(zip(("model_stderrs", "baseline_stderrs", "covariances"), map(list, columns), strict=True))
    scores = ([one.model_score for one in with_gain], [one.baseline_score for one in with_gain])
    return Gain(of, with_gain, delta_m(*scores, [not one.higher_is_better for one in with_gain], **known), without, unknown)


def gain_tables(pairs: Sequence[Comparison]) -> list[Table]:
    """A table for each comparison: Δm, then task by task."""
    return [_table(gain_of(one)) for one in pairs]


def _table(found: Gain) -> Table:
    of, gain = found.of, found.gain
    base, name = of.baseline.label, of.model.label
    rows = [["Δm", "", "", ABSENT if gain is None else _percent(gain.value, gain.stderr)]]
    for place, one in enumerate(found.tasks):
        theirs, ours = of.stderrs.get(one.task, (None, None))
        share = is_share(of.board.any_result[one.task].main)
        assert gain is not None
        error = gain.per_task_stderr[place] if gain.per_task_stderr else None
        rows.append(
            [
                task_label(of.board, one.task),
                number_text(one.baseline_score, theirs, share=share),
                number_text(one.model_score, ours, share=share),
                _percent(gain.per_task[place], error),
            ]
        )
    return Table(
        f"Δm of {name} over {base} on {heading(of.board, models=False)}",
        ["task", base, name, "gain, %"],
        rows,
        _notes(found),
        rules=frozenset({1} if len(rows) > 1 else set()),
        data=_json(found),
        records=_records(found),
    )


def _percent(value: float, stderr: float | None) -> str:
    text = f"{100 * value:+.1f}"
    return text if stderr is None else f"{text} ± {100 * stderr:.1f}"


def _notes(found: Gain) -> list[str]:
    base = found.of.baseline.label
    over = f"{len(found.tasks)} task{'s' * (len(found.tasks) != 1)}"
    legend = (
        f"gain: (score − that of {base})/that of {base}, with its sign turned where lower is better; Δm: the mean over {over} (Maninis "
        "et al. 2019). ± is one standard error: of a task over its items, of Δm as if the tasks' items were drawn apart."
    )
    notes = [legend]
    if found.without:
        notes.append(f"Without a gain, as {base} scores 0 or less: {listed(found.without)}.")
    if found.unknown:
        notes.append(f"Without a standard error, and so Δm too: {listed(found.unknown)}.")
    return notes


def _json(found: Gain) -> dict[str, Any]:
    gain = found.gain
    return {
        "suite": found.of.board.suite,
        "suite_hash": found.of.board.suite_hash,
        "baseline": found.of.baseline.model,
        "model": found.of.model.model,
        "delta_m": gain and gain.value,
        "stderr": gain and gain.stderr,
        "tasks": {record["task"]: {k: v for k, v in record.items() if k in _OF_TASK} for record in _records(found) if record["task"]},
        "without": found.without,
    }


_OF_TASK = ("baseline_score", "model_score", "higher_is_better", "gain", "stderr")


def _records(found: Gain) -> list[dict[str, Any]]:
    """Long format: Δm under an empty task, then one record for each task."""
    gain = found.gain
    shared = {"suite": found.of.board.suite, "baseline": found.of.baseline.model, "model": found.of.model.model}
    whole = shared | {"task": "", "gain": gain and gain.value, "stderr": gain and gain.stderr}
    if gain is None:
        return [whole]
    errors = gain.per_task_stderr or (None,) * len(found.tasks)
    return [whole] + [
        shared
        | {"task": one.task, "gain": value, "stderr": error}
        | {"baseline_score": one.baseline_score, "model_score": one.model_score, "higher_is_better": one.higher_is_better}
        for one, value, error in zip(found.tasks, gain.per_task, errors, strict=True)
    ]
