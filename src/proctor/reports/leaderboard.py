"""Models side by side: one board per suite and protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from proctor.analysis.composite import Composite, TaskScore, composite
from proctor.results.manifest import Manifest, TaskResult


class Row(Struct, frozen=True):
    """One model of a board.

    Attributes:
        model: as named by the user. `label`: the same, with a short fingerprint where another model of the board has the same name.
        fingerprint, run, state, signature, rescored_from: of the run shown.
        composite: absent (value None) while the run is not complete.
        tasks: results by task name.
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
        tasks: names, in suite order.
        rows: one per model.
        written: whether tasks that elsewhere in the suite choose by likelihood have their choices written here.
        any_result: per task, some run's result: for what all have in common (items, chance, metric, weight).
    """

    suite: str
    suite_hash: str
    title: str
    settings: dict[str, Any]
    tasks: list[str]
    rows: list[Row]
    written: bool
    any_result: dict[str, TaskResult]


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
    chosen: dict[str, Manifest] = {}
    for run in runs:
        rival = chosen.get(run.fingerprint)
        if rival is None or _recency(run) > _recency(rival):
            chosen[run.fingerprint] = run
    results = {result.task: result for run in sorted(runs, key=lambda run: len(run.tasks)) for result in run.tasks}
    fullest = max(runs, key=lambda run: len(run.tasks))
    tasks = list(dict.fromkeys([*(result.task for result in fullest.tasks), *results]))
    labels = _labels(list(chosen.values()))
    rows = [_row(run, labels[run.fingerprint], tasks) for run in chosen.values()]
    rows.sort(key=lambda row: _place(row, tasks))
    return Board(*key, title, _settings(runs), tasks, rows, written, results)


def _row(run: Manifest, label: str, tasks: list[str]) -> Row:
    results = {result.task: result for result in run.tasks}
    if run.state == "complete":
        total = composite([task_score(result) for result in run.tasks], tasks)
    else:
        total = Composite(None, None, tuple(name for name in tasks if name not in results), len(tasks))
    return Row(
        run.model,
        label,
        run.fingerprint,
        run.run,
        run.state,
        run.signature,
        total,
        results,
        seconds=run.seconds,
        input_tokens=run.totals.get("input_tokens"),
        output_tokens=run.totals.get("output_tokens"),
        cost=run.totals.get("cost"),
        finished_at=run.finished_at,
        rescored_from=run.rescored_from,
    )


def _recency(run: Manifest) -> tuple[bool, float, str]:
    return run.state == "complete", run.finished_at or run.started_at, run.run


def _place(row: Row, tasks: list[str]) -> tuple[bool, float, str]:
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
