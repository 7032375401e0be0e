"""New scoring over kept responses. No run is ever edited: rescoring writes a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from proctor.engine.journal import Key
from proctor.engine.kept import attempts_of
from proctor.engine.observer import Observer
from proctor.engine.plan import Plan, Settings, fit
from proctor.engine.run import run_model
from proctor.errors import UsageError
from proctor.models.base import ALL_MEDIA, Ask, Kind, Model
from proctor.results.columns import request_hash
from proctor.results.store import Run, Store
from proctor.tasks.lm_eval.settings import LmEvalSettings
from proctor.tasks.load import load_suite
from proctor.tasks.suite import Suite
from proctor.tasks.task import Task
from proctor.types import Response


def rescore(
    run: Run,
    store: Store,
    suite: Suite | None = None,
    observer: Observer | None = None,
    lm_eval: LmEvalSettings | None = None,
    judges: Sequence[str] = (),
) -> Run:
    """Score a run's answers by the tasks as they are now.

    Args:
        run: whose answers are kept; it stays as it is.
        store: where the new run goes.
        suite: the tasks; default: loaded again from where the run's came from.
        observer: is told what happens.
        judges: URIs of other judges than the run's; they are asked, and what they said of the same answers before is used again.
        lm_eval: whether the code of tasks of lm-evaluation-harness is trusted; how they were put stands in the run.

    Returns:
        The new run.

    Raises:
        UsageError: the run is another tool's; the scoring has not changed; the tasks were built in Python and `suite` is not given; the
            tasks now ask something else, so that there is no answer to score.
    """
    manifest = run.manifest
    if manifest.state != "complete":
        raise UsageError(f"run '{manifest.run}' is {manifest.state}; continue it with `proctor run` first")
    if manifest.provenance is not None:
        raise UsageError(
            f"run '{manifest.run}' was imported ({manifest.provenance.tool}): it holds no task of Proctor's to score anew; "
            "score the answers where they were made and import them again"
        )
    if suite is None:
        if manifest.suite_source == "python" or not manifest.suite_source:
            raise UsageError(f"run '{manifest.run}' came from tasks built in Python; rescore it from Python, giving the suite")
        suite = load_suite(manifest.suite_source.splitlines(), lm_eval)
    settings = msgspec.convert(manifest.settings, Settings)
    if judges:
        settings = msgspec.structs.replace(settings, judges=tuple(judges))
    kinds: frozenset[Kind] = frozenset(manifest.model_info.get("kinds", ("generate", "likelihood")))
    fitted = fit(suite, settings, kinds)
    if fitted.hash == manifest.suite_hash:
        raise UsageError(f"run '{manifest.run}': its tasks are scored as before; nothing to do")
    kept = attempts_of(run)
    plan = Plan(fitted)
    missing = sum(not _has(kept, task, ask) for task, ask in plan.asks())
    if missing:
        raise UsageError(
            f"run '{manifest.run}' has no answer to {missing} of the {plan.total} requests its tasks now make: "
            "more than the scoring has changed; run them with `proctor run`, which keeps every answer that still fits"
        )
    return run_model(suite, _Kept(run, kept, kinds), store, settings, observer, rescored_from=manifest.run)


def _has(kept: Mapping[Key, tuple[str, Response]], task: Task, ask: Ask) -> bool:
    """Whether all that the model itself would be asked in an attempt is answered. Judges are another matter: they can be asked now."""
    digest, whole = kept.get((ask.task, ask.item.id, ask.epoch), ("", Response()))
    if digest != request_hash(ask.request, ask.epoch):
        return False
    response = msgspec.structs.replace(whole, exchanges=())
    while task.has_steps and response.finish != "error":
        steps = [step for step in task.next_steps(ask.item, ask.epoch, ask.request, response) if not step.by]
        if not steps:
            break
        found = tuple(one for one in whole.exchanges if any(one.name == step.name and one.request == step.request for step in steps))
        if len(found) < len(steps):
            return False
        response = msgspec.structs.replace(response, exchanges=response.exchanges + found)
    return True


class _Kept(Model):
    """Stands in for a model by its kept answers, item by item: the same question may have been answered differently twice."""

    by_request = False
    media = ALL_MEDIA

    def __init__(self, run: Run, kept: dict[Key, tuple[str, Response]], kinds: frozenset[Kind]) -> None:
        self.uri = run.manifest.model
        self.fingerprint = run.manifest.fingerprint
        self.kinds = kinds
        self._info = run.manifest.model_info
        self._kept = kept

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            response = self._kept[ask.task, ask.item.id, ask.epoch][1]
            steps = {one.name: one.response for one in response.exchanges}
            yield ask, steps[ask.step] if ask.step else msgspec.structs.replace(response, exchanges=())

    def describe(self) -> dict[str, Any]:
        return self._info
