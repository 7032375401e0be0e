"""A comparison in every format: a table by task, the items of disagreement, JSON and long-format records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from proctor.analysis.comparison import TaskDifference
from proctor.reports.compare import Comparison, why_no_overall
from proctor.reports.compare_words import conclusion, difference_text, family_text, listed, size_text, tested
from proctor.reports.disagreements import Answer, Disagreement
from proctor.reports.leaderboard import Row
from proctor.reports.render import Format, Table, render
from proctor.reports.tables import heading, task_label
from proctor.reports.text import ABSENT, is_share, number_text
from proctor.results.notebook import preformatted
from proctor.visible import one_line

MARKS = {"better": "▲", "worse": "▼", "": ""}
SHOWN = 48  # characters of an answer in a table


class Comparisons(Struct, frozen=True):
    """Models compared with a baseline; shown (and as `str()`) it is what the command line prints.

    Attributes:
        pairs: one `Comparison` for each board and model.
    """

    pairs: list[Comparison]

    def text(self, format: Format = "table", *, width: int | None = None, color: bool = False) -> str:  # noqa: A002
        """The comparisons as text; see `render`."""
        return render(comparison_tables(self.pairs, format), format, width=width, color=color)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return preformatted(self.text())


def comparison_tables(pairs: Sequence[Comparison], format: Format = "table") -> list[Table]:  # noqa: A002
    """What is printed: where a board has several models, a table over all of them first; the items of disagreement last."""
    tables: list[Table] = []
    legend = ""
    for place, one in enumerate(pairs):
        if format in ("json", "csv"):
            tables.append(_by_task(one))
            continue
        if one.models > 1 and (place == 0 or pairs[place - 1].board is not one.board):
            tables.append(_summary([other for other in pairs if other.board is one.board]))
        table = _by_task(one)
        if _legend(one) == legend:  # said of the table before
            table.notes.remove(legend)
        legend = _legend(one)
        tables.append(table)
        if one.items:
            tables.append(_items(one))
    return tables


def _by_task(of: Comparison) -> Table:
    """Overall, then task by task."""
    base, name = of.baseline.label, of.model.label
    whole = of.difference.overall
    columns = ["task", "items", base, name, "difference [95 %]", "", "p", "W–L", "MDE", "r", "d"]
    rows = []
    if whole:
        rows.append(
            [
                "overall",
                f"{whole.n:,}",
                number_text(whole.baseline_value, of.stderrs[""][0], share=True),
                number_text(whole.model_value, of.stderrs[""][1], share=True),
                difference_text(whole, share=True),
                MARKS[whole.verdict()],
                _p_cell(whole.adjusted),
                "",
                _size(whole.detectable, share=True),
                "",
                "",
            ]
        )
    tasks = sorted(of.difference.tasks, key=lambda one: of.board.tasks.index(one.task))
    for one in tasks:
        share = is_share(of.board.any_result[one.task].main)
        stderrs = of.stderrs.get(one.task, (None, None))
        rows.append(
            [
                task_label(of.board, one.task),
                f"{one.n:,}",
                number_text(one.baseline_score, stderrs[0], share=share),
                number_text(one.model_score, stderrs[1], share=share),
                difference_text(one, share=share),
                MARKS[one.verdict()],
                _p_cell(one.adjusted),
                f"{one.wins}–{one.losses}" if one.paired else "unpaired",
                _size(one.detectable, share=share),
                "" if one.correlation is None else f"{one.correlation:.2f}",
                "" if one.effect is None else f"{one.effect:.2f}",
            ]
        )
    title = f"{name} against {base} on {heading(of.board, models=False)}"
    rules = frozenset({1} if whole and len(rows) > 1 else set())
    return Table(
        title, columns, rows, [*conclusion(of), *_reading(of)], left=frozenset({0, 5}), rules=rules, data=_json(of), records=_records(of)
    )


def _legend(of: Comparison) -> str:
    """How to read the table."""
    tasks = tested(of)
    tests = list(dict.fromkeys(one.test for one in tasks if one.p_value is not None))
    overall = of.difference.overall
    holm = f", Holm over {family_text(of)}" if sum(one.p_value is not None for one in tasks) > 1 or of.models > 1 else ""
    name = of.model.label if of.models == 1 else "model"
    return (
        f"difference: {name} − {of.baseline.label}, on the items both were given; overall, of the chance-corrected composites "
        f"(0 is guessing, 100 perfect). p: {' or '.join(tests) or 'none'}{holm}"
        + (f"; overall {overall.test}" if overall and overall.p_value is not None and overall.test not in tests else "")
        + ". ▲ ▼: better, worse at 5 %. W–L: items won and lost. MDE: the smallest difference shown four times in five, before "
        "correction. r: correlation over items. d: Cohen's d_z."
    )


def _reading(of: Comparison) -> list[str]:
    """The legend, and what sets this comparison apart."""
    tasks = of.difference.tasks
    said = [_legend(of)]
    unpaired = [one.task for one in tasks if not one.paired]
    if unpaired:
        said.append(
            f"unpaired, as if each model had been given items of its own: {listed(unpaired)}; the metric is no mean over items, or only "
            "numbers are known."
        )
    fewer = [one for one in tasks if one.paired and one.n < max(one.model_items, one.baseline_items)]
    if fewer:
        named = [f"{one.task} {one.n} of {max(one.model_items, one.baseline_items)}" for one in fewer]
        said.append(f"Only shared items count, and scores are over these: {listed(named)}.")
    apart = [one.task for one in tasks if one not in tested(of)]
    if apart:
        said.append(f"Listed, not tested nor counted (weight 0): {listed(apart)}.")
    lacking = [f"{row.label} lacks {listed(names)}" for row, names in _lacking(of) if names]
    if lacking and of.difference.overall:
        said.append(f"Not compared: {'; '.join(lacking)}.")
    return said


def _lacking(of: Comparison) -> list[tuple[Row, tuple[str, ...]]]:
    return [(of.baseline, of.difference.without_baseline), (of.model, of.difference.without_model)]


def _summary(pairs: Sequence[Comparison]) -> Table:
    """All models of a board against the baseline, overall."""
    rows = []
    for one in pairs:
        whole = one.difference.overall
        verdicts = [task.verdict() for task in one.difference.tasks]
        cells = [ABSENT] * 4
        if whole:
            cells = [
                number_text(whole.model_value, one.stderrs[""][1], share=True),
                difference_text(whole, share=True),
                _p_cell(whole.adjusted),
                _size(whole.detectable, share=True),
            ]
        cells.insert(2, MARKS[whole.verdict() if whole else ""])
        rows.append([one.model.label, *cells, str(verdicts.count("better")), str(verdicts.count("worse"))])
    columns = ["model", "composite", "difference [95 %]", "", "p", "MDE", "tasks better", "tasks worse"]
    title = f"{len(pairs)} models against {pairs[0].baseline.label} on {heading(pairs[0].board, models=False)}"
    notes = [f"p: Holm over the {len(pairs)} models; tasks: Holm over {family_text(pairs[0])}. ▲ ▼: better, worse at 5 %."]
    return Table(title, columns, rows, notes, left=frozenset({0, 3}))


def _items(of: Comparison) -> Table:
    """The items on which the two disagree."""
    base, name = of.baseline.label, of.model.label
    differing = sum((one.wins or 0) + (one.losses or 0) for one in of.difference.tasks)
    title = f"Items on which they disagree, {len(of.items)} of {differing:,}"
    scores = [(f"{one.baseline.score:.3g}", f"{one.model.score:.3g}") for one in of.items]
    if not any(one.baseline.text or one.model.text for one in of.items):  # imported scores may have no answers with them
        rows = [[one.task, one.item, *pair] for one, pair in zip(of.items, scores, strict=True)]
        return Table(title, ["task", "item", base, name], rows, left=frozenset({0, 1}))
    answers = [(_cut(_given(one.baseline)), _cut(_given(one.model))) for one in of.items]
    rows = [
        [one.task, one.item, _cut(one.target), theirs, low, ours, high]
        for one, (theirs, ours), (low, high) in zip(of.items, answers, scores, strict=True)
    ]
    return Table(title, ["task", "item", "target", base, "score", name, "score"], rows, left=frozenset({0, 1, 2, 3, 5}))


def _given(answer: Answer) -> str:
    return answer.text if answer.state in ("scored", "") else f"({answer.state}) {answer.text}".rstrip()


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _p_cell(value: float | None) -> str:
    if value is None:
        return ABSENT
    return "<.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _size(value: float | None, *, share: bool) -> str:
    return ABSENT if value is None else size_text(value, share=share)


def _json(of: Comparison) -> dict[str, Any]:
    """One comparison as JSON types, numbers in full precision and on the metrics' own scales."""
    found = of.difference
    return {
        "suite": of.board.suite,
        "suite_hash": of.board.suite_hash,
        "title": of.board.title,
        "baseline": _model_json(of.baseline),
        "model": _model_json(of.model),
        "conclusion": conclusion(of),
        "overall": found.overall and asdict(found.overall) | {"verdict": found.overall.verdict() or None},
        "no_overall": why_no_overall(of) or None,
        "tasks": {
            one.task: {k: v for k, v in asdict(one).items() if k != "task"} | {"verdict": one.verdict() or None} for one in found.tasks
        },
        "without_baseline": list(found.without_baseline),
        "without_model": list(found.without_model),
        "items": [asdict(one) for one in of.items],
    }


def _model_json(row: Row) -> dict[str, Any]:
    return {"model": row.model, "label": row.label, "fingerprint": row.fingerprint, "run": row.run, "signature": row.signature}


def _records(of: Comparison) -> list[dict[str, Any]]:
    """Long format: one record for the overall difference, one per task, one per item of disagreement."""
    shared: dict[str, Any] = {
        "suite": of.board.suite,
        "protocol": of.board.suite_hash,
        "baseline": of.baseline.model,
        "baseline_fingerprint": of.baseline.fingerprint,
        "model": of.model.model,
        "model_fingerprint": of.model.fingerprint,
    }
    whole = of.difference.overall
    records = []
    for kind, one in [("overall", whole), *(("task", one) for one in of.difference.tasks)]:
        if one is None:
            continue
        scores = (one.baseline_score, one.model_score) if isinstance(one, TaskDifference) else (one.baseline_value, one.model_value)
        names = ("difference", "stderr", "low", "high", "p_value", "adjusted", "test", "n", "groups")
        more = ("paired", "wins", "losses", "ties", "correlation", "effect")
        records.append(
            shared
            | {"kind": kind, "task": getattr(one, "task", ""), "baseline_score": scores[0], "model_score": scores[1]}
            | {name: getattr(one, name) for name in names}
            | {name: getattr(one, name, None) for name in more}
            | {"detectable": one.detectable, "needed": one.needed, "verdict": one.verdict()}
        )
    return records + [shared | _item_record(one) for one in of.items]


def _item_record(one: Disagreement) -> dict[str, Any]:
    return {
        "kind": "item",
        "task": one.task,
        "item": one.item,
        "target": one.target,
        "difference": one.difference,
        "baseline_score": one.baseline.score,
        "model_score": one.model.score,
        "baseline_answer": one.baseline.text,
        "model_answer": one.model.text,
        "baseline_state": one.baseline.state,
        "model_state": one.model.state,
    }
