"""One model over one suite: plan, ask, journal, score, Parquet.

The journal is the truth while the run goes on, Parquet afterwards. Running the same suite on the same model again continues or, when all
is answered, returns what is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from proctor.engine.environment import hardware, proctor_version, versions
from proctor.engine.journal import Entry, Journal
from proctor.engine.kept import kept_answers
from proctor.engine.plan import Plan, Settings, fit, run_id, signature
from proctor.engine.stopping import Allowance, ErrorBudget, Stopping
from proctor.errors import DataError, ModelError, ProctorError, RunStopped, StoreError, TaskError
from proctor.models.base import Ask, Kind, Model
from proctor.results.attempts import write_attempts
from proctor.results.columns import request_hash, row
from proctor.results.group_results import group_results
from proctor.results.manifest import Manifest, read_manifest, write_manifest
from proctor.results.store import Run, Store
from proctor.results.summary import Summary
from proctor.tasks.suite import Suite
from proctor.tasks.task import Task
from proctor.types import Item, Request, Response, Score


class Observer:
    """Is told what happens; the command line draws its progress from it. All methods do nothing."""

    def kept(self, run: Run) -> None:
        """The run is complete already; nothing is asked."""

    def written(self, model: Model, tasks: int) -> None:
        """The model gives no log-likelihoods: so many multiple-choice tasks are asked for a written letter."""

    def begin(self, run: str, model: Model, suite: Suite, total: int, kept: int) -> None:
        """Asking begins: `kept` of `total` attempts are answered already."""

    def answer(self, ask: Ask, response: Response, reused: bool) -> None:
        """An attempt was answered, or failed."""

    def stopping(self, what: str) -> None:
        """Nothing further is asked, and what is under way is waited for. May be called from a signal handler or another thread."""

    def scoring(self) -> None:
        """All is answered; scoring begins."""

    def end(self) -> None:
        """The run is over, complete or not."""


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
    plan.check()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}; name another folder with --out") from None
    with Journal(folder / "journal.jsonl") as journal:
        manifest = _begin(folder, name, suite, fitted, model, settings, rescored_from)
        manifest.model_info.setdefault("kinds", sorted(kinds))
        write_manifest(folder, manifest)
        before = manifest.seconds
        started = time.monotonic()
        try:
            asked = _ask(plan, model, journal, store, name, observer, allowance)
            journal.sync()
            # A model that answered nothing now has loaded nothing, and should not for the sake of a description.
            info = model.describe() if asked else _described(store, model.fingerprint)
            manifest.model_info = {**info, "kinds": sorted(kinds)}
            manifest.seconds = before + time.monotonic() - started
            observer.scoring()
            _finish(plan, journal, folder, manifest)
        except BaseException as error:
            manifest.state = "stopped"
            manifest.seconds = before + time.monotonic() - started
            write_manifest(folder, manifest)
            if isinstance(error, KeyboardInterrupt):
                raise RunStopped(
                    f"interrupted after {len(journal) - journal.failed} of {plan.total} attempts; "
                    "all of them are kept: the same command continues"
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


def _ask(plan: Plan, model: Model, journal: Journal, store: Store, name: str, observer: Observer, allowance: Allowance) -> int:
    """Ask whatever is not answered, and keep each answer as it comes; how many the model finished."""
    answered = len(journal) - journal.failed
    observer.begin(name, model, plan.suite, plan.total, answered)
    if answered == plan.total:
        return 0
    kept: dict[str, Response] = {}
    if model.by_request:
        # Without a journal (it stays where the run was made) this run's own Parquet file is as good as another run's.
        besides = name if answered else ""
        kept = kept_answers(store, model.fingerprint, besides, (request_hash(ask.request, ask.epoch) for _, ask in plan.asks()))

    stopping = Stopping(model, allowance, observer.stopping)
    begun, all_begun = 0, False
    hashes: dict[int, str] = {}  # of what is under way

    def unanswered() -> Iterator[Ask]:
        nonlocal begun, all_begun
        for _, ask in plan.asks():
            key = (ask.task, ask.item.id, ask.epoch)
            digest = request_hash(ask.request, ask.epoch)
            if journal.answered(key):
                entry = journal.get(key)
                if entry is not None and entry.hash == digest:
                    continue
            if digest in kept:
                journal.append(Entry(ask.task, ask.item.id, ask.epoch, digest, kept[digest], reused=True))
                observer.answer(ask, kept[digest], True)
                continue
            stopping.look()
            if stopping.reason:
                return
            begun += 1
            hashes[ask.index] = digest
            yield ask
        all_begun = True

    budget = ErrorBudget()
    finished = 0
    with stopping, closing(_answers(model, unanswered())) as answers:
        for ask, response in answers:
            response = _clean(response)
            digest = hashes.pop(ask.index, None) or request_hash(ask.request, ask.epoch)
            journal.append(Entry(ask.task, ask.item.id, ask.epoch, digest, response))
            observer.answer(ask, response, False)
            finished += 1
            stopping.after(ask, response)
            if stopping.at_once:
                break
            if model.by_request and not stopping.reason:
                budget.spend(response)
    if stopping.interrupted:
        raise KeyboardInterrupt
    if stopping.reason and not (all_begun and finished == begun):
        raise RunStopped(
            f"stopped, {stopping.reason}; {len(journal) - journal.failed} of {plan.total} attempts are answered and kept: "
            "the same command continues"
        )
    return finished


def _answers(model: Model, asks: Iterator[Ask]) -> Generator[tuple[Ask, Response], None, None]:
    """The model's answers; nothing is loaded or connected where nothing is left to ask."""
    first = next(asks, None)
    if first is None:
        return

    def all_asks() -> Iterator[Ask]:
        yield first
        yield from asks

    answers = model.answer(all_asks())
    try:
        yield from answers
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


def _clean(response: Response) -> Response:
    """A response that can be kept: numbers that are numbers, text that is Unicode."""
    if response.loglikelihoods is not None and not all(math.isfinite(one) for prompt in response.loglikelihoods for one in prompt):
        return Response(finish="error", error="the model gave a log-likelihood that is not a finite number", started_at=response.started_at)
    for name in ("text", "error"):
        said = getattr(response, name)
        if said is not None and not said.isascii():
            response = msgspec.structs.replace(response, **{name: said.encode(errors="replace").decode()})
    return response


def _described(store: Store, fingerprint: str) -> dict[str, Any]:
    """What an earlier run says of the same model."""
    infos = [run.manifest.model_info for run in store.runs() if run.manifest.fingerprint == fingerprint]
    return max(infos, key=len, default={})


def _entry(journal: Journal, ask: Ask) -> Entry:
    entry = journal.get((ask.task, ask.item.id, ask.epoch))
    if entry is None:
        raise ModelError(
            f"the model gave no answer to item '{ask.item.id}' of task '{ask.task}'; run the same command again to ask the rest"
        )
    return entry


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


def _finish(plan: Plan, journal: Journal, folder: Path, manifest: Manifest) -> None:
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

    def rows() -> Iterator[dict[str, Any]]:
        for (task, item), asks in groupby(plan.asks(), lambda pair: (pair[0], pair[1].item)):
            entries = [(ask, _entry(journal, ask)) for _, ask in asks]
            scores = _scores(task, item, [(ask.request, entry.response) for ask, entry in entries])
            for (ask, entry), score in zip(entries, scores, strict=True):
                response = entry.response
                summaries[task.name].add(item, response, score)
                totals["attempts"] += 1
                totals["reused" if entry.reused else "asked"] += 1
                totals["retries"] += response.retries
                for name in ("input_tokens", "output_tokens", "cost"):
                    value = getattr(response, name)
                    if value is not None:
                        totals[name] = (totals[name] or 0) + value
                constants = {
                    "run": manifest.run,
                    "suite": manifest.suite,
                    "model": manifest.model,
                    "task": task.name,
                    "protocol": task.protocol_hash,
                    "reused": entry.reused,
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
