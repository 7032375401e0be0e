"""Models side by side: one board per suite and protocol. `ranking.py` adds what the items say: rank ranges, other composites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from proctor.analysis.composite import Composite, TaskScore, composite
from proctor.analysis.matrix import TaskColumn
from proctor.analysis.ranks import RankSet
from proctor.results.manifest import Manifest, TaskResult

DEFAULT_COMPOSITE = "chance-corrected"


class Row(Struct, frozen=True):
    """One model of a board.

    Attributes:
        model: as named by the user. `label`: the same, with a short fingerprint where another model of the board has the same name.
        fingerprint, run, state, signature, rescored_from: of the run shown (the newest, where imported results come from several).
        composite: absent (value None) while the run is not complete.
        tasks: results by column name.
        runs: which run each of them comes from.
        signatures: of all those runs, the newest first.
        rank: the ranks the model can have at a joint confidence of 95 %; None without a composite, or before `ranking.ranked`.
        seconds, input_tokens, output_tokens, cost: totals of the run; None where unknown.
        finished_at: Unix time; None for an incomplete run.
    """

    model: str
    label: str
    fingerprint: str
    run: str
    state: str
    signature: str
    composite: Composite
    tasks: dict[str, TaskResult]
    runs: dict[str, str]
    signatures: tuple[str, ...] = ()
    rank: RankSet | None = None
    seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    finished_at: float | None = None
    rescored_from: str | None = None


class Board(Struct, frozen=True):
    """The models that sat one suite under one protocol, the best composite first.

    Attributes:
        suite, suite_hash: what makes the scores comparable.
        title: the suite, and what sets its protocol apart from the suite's others.
        settings: what the runs were asked for beyond the suite (limit, shots, epochs, choices, seed).
        tasks: names of the columns, in suite order: tasks, with the protocol's hash where a task stands there under several.
        rows: one per model.
        written: whether tasks that elsewhere in the suite choose by likelihood have their choices written here.
        any_result: per column, the result that rests on the most items, the newest of several: for what all have in common (items, chance,
            metric, weight).
        composite: which composite is shown, one of `analysis.aggregate.COMPOSITES`; before `ranking.ranked`, which one the suite declares.
        common: whether only the tasks and items that all models share are shown.
        shared: how many items of each task the ranks rest on, see `analysis.ranks.shared_items`; empty before `ranking.ranked`.
    """

    suite: str
    suite_hash: str
    title: str
    settings: dict[str, Any]
    tasks: list[str]
    rows: list[Row]
    written: bool
    any_result: dict[str, TaskResult]
    composite: str = DEFAULT_COMPOSITE
    common: bool = False
    shared: dict[str, int] = {}


def task_column(name: str, result: TaskResult) -> TaskColumn:
    """A column of a board, as `analysis` takes it."""
    return TaskColumn(
        name,
        weight=result.weight,
        chance=result.chance,
        bounds=result.main.bounds,
        higher_is_better=result.main.higher_is_better,
        domain=result.domain,
        capabilities=tuple(result.capabilities),
        languages=tuple(result.languages),
    )


def task_score(result: TaskResult) -> TaskScore:
    """A task's main metric, as `analysis` takes it."""
    main = result.main
    return TaskScore(
        result.task,
        main.value,
        main.stderr,
        chance=result.chance,
        bounds=main.bounds,
        higher_is_better=main.higher_is_better,
        weight=result.weight,
        items=result.items,
        domain=result.domain,
        capabilities=tuple(result.capabilities),
    )


def boards(manifests: Iterable[Manifest]) -> list[Board]:
    """One board per suite and suite hash, so that no two protocols are ever mixed; suites by name, the fullest board first.

    Of a model (fingerprint) the newest complete run is shown, a rescored one like any other; where none is complete, the newest.
    """
    listed = list(manifests)
    found: dict[tuple[str, str], list[Manifest]] = {}
    for manifest in listed:
        found.setdefault((manifest.suite, manifest.suite_hash), []).append(manifest)
    written = {
        key: bool(_choice_tasks(runs, written=True) & _choice_tasks((run for run in listed if run.suite == key[0]), written=False))
        for key, runs in found.items()
    }
    titles = _titles(found, written)
    made = [_board(key, runs, titles[key], written[key]) for key, runs in found.items()]
    return sorted(made, key=lambda board: (board.suite, -len(board.rows), board.title))


def _board(key: tuple[str, str], runs: list[Manifest], title: str, written: bool) -> Board:
    columns = _columns(runs)
    found: dict[str, list[Manifest]] = {}
    for run in sorted(runs, key=_recency, reverse=True):
        found.setdefault(run.fingerprint, []).append(run)
    labels = _labels([newest[0] for newest in found.values()])
    results: dict[str, TaskResult] = {}
    for run in sorted(runs, key=_recency, reverse=True):
        for result in run.tasks:
            name = columns[result.task, result.protocol_hash]
            if name not in results or result.items > results[name].items:
                results[name] = result
    tasks = [name for name in columns.values() if name in results]
    rows = [_row(newest, labels[fingerprint], columns, tasks) for fingerprint, newest in found.items()]
    rows.sort(key=lambda row: place(row, tasks))
    declared = max(runs, key=_recency).composite or DEFAULT_COMPOSITE
    return Board(*key, title, _settings(runs), tasks, rows, written, {name: results[name] for name in tasks}, composite=declared)


def _columns(runs: list[Manifest]) -> dict[tuple[str, str], str]:
    """Column names by task and protocol, in the order of the fullest run; what is not comparable never shares a column."""
    ordered = sorted(runs, key=lambda run: -len(run.tasks))
    keys = list(dict.fromkeys((result.task, result.protocol_hash) for run in ordered for result in run.tasks))
    counts = Counter(task for task, _ in keys)
    return {(task, protocol): task if counts[task] == 1 else f"{task} [{protocol[:8]}]" for task, protocol in keys}


def _row(newest: list[Manifest], label: str, columns: dict[tuple[str, str], str], tasks: list[str]) -> Row:
    """A model's row from its runs, newest first: what a newer run holds counts; an older one fills what it lacks (imported results)."""
    run = newest[0]
    results: dict[str, TaskResult] = {}
    runs: dict[str, str] = {}
    for one in newest if run.state == "complete" else [run]:
        for result in one.tasks if one.state == run.state else []:
            name = columns[result.task, result.protocol_hash]
            if name not in results:
                results[name], runs[name] = result, one.run
    results = {name: results[name] for name in tasks if name in results}
    if run.state == "complete":
        total = composite([msgspec.structs.replace(task_score(result), task=name) for name, result in results.items()], tasks)
    else:
        total = Composite(None, None, tuple(name for name in tasks if name not in results), len(tasks))
    sums = [one for one in newest if one.run in set(runs.values())] or [run]
    return Row(
        run.model,
        label,
        run.fingerprint,
        run.run,
        run.state,
        run.signature,
        total,
        results,
        runs,
        tuple(dict.fromkeys(one.signature for one in sums if one.signature)),
        seconds=_seconds(sums),
        input_tokens=_total(sums, "input_tokens"),
        output_tokens=_total(sums, "output_tokens"),
        cost=_total(sums, "cost"),
        finished_at=run.finished_at,
        rescored_from=run.rescored_from,
    )


def _seconds(runs: list[Manifest]) -> float | None:
    """Time spent; None where another tool did not say."""
    return None if any(run.provenance and not run.seconds for run in runs) else sum(run.seconds for run in runs)


def _total(runs: list[Manifest], name: str) -> Any:
    """A sum over runs; None where any of them does not know."""
    values = [run.totals.get(name) for run in runs]
    return None if any(value is None for value in values) else sum(value for value in values if value is not None)


def _recency(run: Manifest) -> tuple[bool, float, float, str]:
    """Of two imports of the same results the later counts."""
    imported_at = run.provenance.imported_at if run.provenance else 0.0
    return run.state == "complete", run.finished_at or run.started_at, imported_at, run.run


def place(row: Row, tasks: list[str]) -> tuple[bool, float, str]:
    """Sorting key: by composite; where a lone task allows none (an unbounded metric), by its metric; absent last."""
    value = row.composite.value
    if value is None and row.state == "complete" and len(tasks) == 1 and tasks[0] in row.tasks:
        main = row.tasks[tasks[0]].main
        value = main.value if main.higher_is_better or main.value is None else -main.value
    return value is None, -(value or 0.0), row.label


def _labels(runs: list[Manifest]) -> dict[str, str]:
    """Fingerprint to label: the model's name, with as much of the fingerprint as tells two models of one name apart."""
    named: dict[str, list[str]] = {}
    for run in runs:
        named.setdefault(run.model, []).append(run.fingerprint)
    labels = {}
    for model, prints in named.items():
        length = next((n for n in range(8, max(map(len, prints)) + 1) if len({p[:n] for p in prints}) == len(prints)), None)
        for fingerprint in prints:
            labels[fingerprint] = model if len(prints) == 1 else f"{model} [{fingerprint[:length]}]"
    return labels


def _settings(runs: list[Manifest]) -> dict[str, Any]:
    newest = max(runs, key=_recency)
    return {name: value for name, value in newest.settings.items() if value is not None}


def _titles(found: dict[tuple[str, str], list[Manifest]], written: dict[tuple[str, str], bool]) -> dict[tuple[str, str], str]:
    """Board titles: the suite and how its run differs from the plain suite; the hash where that does not tell two boards apart."""
    words = {"limit": "at most {} items per task", "shots": "{} shots", "epochs": "{} epochs", "seed": "seed {}"}
    titles = {}
    for key, runs in found.items():
        settings = _settings(runs)
        parts = [template.format(settings[name]) for name, template in words.items() if name in settings]
        if written[key] or settings.get("choices") == "generate":
            parts.append("choices written")
        title = next((run.suite_title for run in runs if run.suite_title), "")
        name = f"{key[0]}: {title}" if title and title != key[0] else key[0]
        titles[key] = f"{name} ({', '.join(parts)})" if parts else name
    counts = Counter(titles.values())
    return {key: f"{title} [protocol {key[1][:8]}]" if counts[title] > 1 else title for key, title in titles.items()}


def _choice_tasks(runs: Iterable[Manifest], written: bool) -> set[str]:
    """Multiple-choice tasks whose choices are written, or are not."""
    responses = [(result.task, result.protocol.get("response") or {}) for run in runs for result in run.tasks]
    return {name for name, r in responses if r.get("kind") == "choice" and (r.get("by") == "generate") == written}
