"""One model over one suite: plan, ask, journal, score, Parquet.

The journal is the truth while the run goes on, Parquet afterwards. Running the same suite on the same model again continues or, when all
is answered, returns what is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from proctor.engine.asking import Asking, Judges, answered
from proctor.engine.environment import hardware, proctor_version, versions
from proctor.engine.in_order import in_order
from proctor.engine.journal import Journal
from proctor.engine.observer import Observer
from proctor.engine.plan import Plan, Settings, check_media, fit, run_id, signature
from proctor.engine.stopping import Allowance
from proctor.errors import DataError, ModelError, ProctorError, RunStopped, StoreError, TaskError
from proctor.models.base import Ask, Kind, Model
from proctor.results.attempts import write_attempts
from proctor.results.columns import row
from proctor.results.group_results import group_results
from proctor.results.manifest import Manifest, read_manifest, write_manifest
from proctor.results.store import Run, Store
from proctor.results.summary import Summary
from proctor.tasks.suite import Suite
from proctor.tasks.task import Task
from proctor.types import Item, Request, Response, Score


def run_model(
    suite: Suite,
    model: Model,
    store: Store,
    settings: Settings,
    observer: Observer | None = None,
    rescored_from: str | None = None,
    allowance: Allowance | None = None,
) -> Run:
    """Run (or continue) a suite on a model.

    Args:
        suite: as loaded.
        model: opened; it is not closed here.
        store: where the run's folder goes.
        settings: what this run changes about the suite.
        observer: is told what happens.
        rescored_from: for the manifest of a rescored run.
        allowance: what may be spent on it, in money and time; default: whatever it takes.

    Returns:
        The complete run; some attempts may have failed (`manifest.totals["states"]["failed"]`).

    Raises:
        ProctorError: the suite does not fit the model, the model or the disk failed.
        RunStopped: interrupted, the allowance or the error budget is spent. What was answered is kept; the same call continues.
    """
    observer, allowance = observer or Observer(), allowance or Allowance()
    fitted, kinds = _fitted(suite, model, store, settings)
    check_media(fitted, model)  # before the pictures are read for the protocol's hash
    name = run_id(fitted, model.uri, model.fingerprint)
    folder = store.path / name
    done = finished(folder)
    if done:
        observer.kept(done)
        store.publish(done)
        return done
    written = sum(before.needs_likelihood and not task.needs_likelihood for before, task in zip(suite.tasks, fitted.tasks, strict=True))
    if written and settings.choices == "likelihood":
        observer.written(model, written)
    allowance.check(model)
    plan = Plan(fitted)
    plan.check(model)
    judges = Judges(model)
    judges.open({uri: None for task in fitted.tasks if task.judged for uri in task.spec.scoring.judges}, allowance)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}; name another folder with --out") from None
    with Journal(folder / "journal.jsonl") as journal, judges:
        manifest = _begin(folder, name, suite, fitted, model, settings, rescored_from)
        manifest.model_info.setdefault("kinds", sorted(kinds))
        write_manifest(folder, manifest)
        before = manifest.seconds
        started = time.monotonic()
        try:
            asked = Asking(plan, model, judges, journal, store, name, observer, allowance).everything()
            journal.sync()
            # A model that answered nothing now has loaded nothing, and should not for the sake of a description.
            info = model.describe() if asked else _described(store, model.fingerprint)
            manifest.model_info = {**info, "kinds": sorted(kinds)}
            manifest.seconds = before + time.monotonic() - started
            observer.scoring()
            _finish(plan, journal, judges, folder, manifest)
        except BaseException as error:
            manifest.state = "stopped"
            manifest.seconds = before + time.monotonic() - started
            write_manifest(folder, manifest)
            if isinstance(error, KeyboardInterrupt):
                raise RunStopped(
                    f"interrupted after {len(journal) - journal.failed} of {plan.total} attempts"
                    f"{_still_open(plan, journal)}; all of them are kept: the same command continues"
                ) from None
            raise
        finally:
            observer.end()
    run = Run(folder)
    store.publish(run)
    return run


def _fitted(suite: Suite, model: Model, store: Store, settings: Settings) -> tuple[Suite, frozenset[Kind]]:
    """The suite as the model will sit it, and the kinds of request that rests on.

    Which kinds a server answers is known only by asking it. A run that was begun or finished before is not looked at with other eyes: so
    it can be read while the server is down, and a server that is out of sorts today does not change its protocol.
    """
    manifests = [run.manifest for run in store.runs() if run.manifest.fingerprint == model.fingerprint]
    for known in sorted({tuple(manifest.model_info.get("kinds", ())) for manifest in manifests}):
        kinds: frozenset[Kind] = frozenset(known)
        try:
            fitted = fit(suite, settings, kinds)
        except (TaskError, ModelError):  # what those runs rested on is not enough for this suite
            continue
        if (store.path / run_id(fitted, model.uri, model.fingerprint)).exists():
            return fitted, kinds
    return fit(suite, settings, model.kinds), model.kinds


def finished(folder: Path) -> Run | None:
    """The run in `folder` if it is complete and nothing in it failed."""
    if not (folder / "manifest.json").exists():
        return None
    run = Run(folder)
    complete = run.manifest.state == "complete" and run.attempts_path.exists() and not run.manifest.totals.get("states", {}).get("failed")
    return run if complete else None


def _begin(folder: Path, name: str, suite: Suite, fitted: Suite, model: Model, settings: Settings, rescored_from: str | None) -> Manifest:
    if (folder / "manifest.json").exists():
        manifest = read_manifest(folder)
        manifest.state = "running"
        # The Proctor that finishes a run answers for its scores.
        manifest.versions = versions()
        manifest.signature = signature(fitted, model.uri, model.fingerprint, proctor_version())
    else:
        manifest = Manifest(
            run=name,
            suite=suite.name,
            suite_title=suite.title,
            composite=suite.composite,
            suite_source=suite.source,
            suite_hash=fitted.hash,
            model=model.uri,
            fingerprint=model.fingerprint,
            signature=signature(fitted, model.uri, model.fingerprint, proctor_version()),
            settings=msgspec.to_builtins(settings),
            versions=versions(),
            hardware=hardware(),
            started_at=time.time(),
            rescored_from=rescored_from,
        )
    return manifest


def _still_open(plan: Plan, journal: Journal) -> str:
    """What a run that has every first answer was stopped in the middle of, in a clause."""
    everything = len(journal) - journal.failed == plan.total and any(task.has_steps for task in plan.suite.tasks)
    return ", before all later turns, second questions and judges had answered" if everything else ""


def _described(store: Store, fingerprint: str) -> dict[str, Any]:
    """What an earlier run says of the same model."""
    infos = [run.manifest.model_info for run in store.runs() if run.manifest.fingerprint == fingerprint]
    return max(infos, key=len, default={})


_Answered = list[tuple[Ask, Response, bool]]
_Scored = tuple[Task, Item, _Answered, list[Score]]


def _scored(task: Task, item: Item, entries: _Answered) -> _Scored:
    return task, item, entries, _scores(task, item, [(ask.request, response) for ask, response, _ in entries])


def _scores(task: Task, item: Item, asked: list[tuple[Request, Response]]) -> list[Score]:
    try:
        return task.scoring.score_item(item, asked)
    except DataError as error:
        raise DataError(f"task '{task.name}': {error}; every answer is kept") from None
    except ProctorError:
        raise
    except Exception as error:
        raise DataError(
            f"task '{task.name}', item '{item.id}': scoring failed: {type(error).__name__}: {error}; every answer is kept"
        ) from error


def _spend(totals: dict[str, Any], response: Response) -> None:
    """Add what an attempt took: the model's own requests together, each judge's by itself."""
    for by, one in (("", response), *((exchange.by, exchange.response) for exchange in response.exchanges)):
        into = totals
        if by:
            into = totals.setdefault("judges", {}).setdefault(
                by, {"requests": 0, "input_tokens": None, "output_tokens": None, "cost": None}
            )
            into["requests"] += 1
        for name in ("input_tokens", "output_tokens", "cost"):
            value = getattr(one, name)
            if value is not None:
                into[name] = (into[name] or 0) + value


def _finish(plan: Plan, journal: Journal, judges: Judges, folder: Path, manifest: Manifest) -> None:
    """Score every attempt, write Parquet and the final manifest."""
    summaries = {entry.task.name: Summary(entry.task, entry.weight) for entry in plan.suite.entries}
    totals: dict[str, Any] = {
        "attempts": 0,
        "asked": 0,
        "reused": 0,
        "retries": 0,
        "input_tokens": None,
        "output_tokens": None,
        "cost": None,
    }

    def jobs() -> Iterator[tuple[bool, Callable[[], _Scored]]]:
        for (task, item), asks in groupby(plan.asks(), lambda pair: (pair[0], pair[1].item)):
            entries = [(ask, *answered(task, ask, journal, judges)) for _, ask in asks]
            yield task.scoring.in_threads, partial(_scored, task, item, entries)

    def rows() -> Iterator[dict[str, Any]]:
        for task, item, entries, scores in in_order(jobs(), os.cpu_count() or 1):
            for (ask, response, reused), score in zip(entries, scores, strict=True):
                summaries[task.name].add(item, response, score)
                totals["attempts"] += 1
                totals["reused" if reused else "asked"] += 1
                totals["retries"] += response.retries
                _spend(totals, response)
                constants = {
                    "run": manifest.run,
                    "suite": manifest.suite,
                    "model": manifest.model,
                    "task": task.name,
                    "protocol": task.protocol_hash,
                    "reused": reused,
                }
                yield row(item, ask.epoch, ask.request, response, score, task.scoring.metrics[0].name, constants)

    write_attempts(folder / "attempts.parquet", rows())
    manifest.tasks = [summary.result() for summary in summaries.values()]
    manifest.tasks += group_results(plan.suite.groups, manifest.tasks)
    states: dict[str, int] = {}
    for result in manifest.tasks:
        for state, count in result.states.items():
            states[state] = states.get(state, 0) + count
    manifest.totals = {**totals, "states": states}
    manifest.state = "complete"
    manifest.finished_at = time.time()
    write_manifest(folder, manifest)
