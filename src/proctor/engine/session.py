"""`proctor.run`: models over tasks, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from proctor.engine.observer import Observer
from proctor.engine.plan import Settings
from proctor.engine.run import run_model
from proctor.engine.stopping import Allowance
from proctor.errors import UsageError
from proctor.models.base import Model
from proctor.results.store import DEFAULT_STORE, Run, Store
from proctor.tasks.load import load_suite
from proctor.tasks.suite import Suite, Weighted
from proctor.tasks.task import Task

TaskLike = str | Path | Task | Suite
ModelLike = str | Model | Callable[..., Any]


def run(
    tasks: TaskLike | Iterable[TaskLike],
    models: ModelLike | Iterable[ModelLike],
    *,
    limit: int | None = None,
    shots: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    choices: Literal["likelihood", "generate"] = "likelihood",
    judges: Sequence[str] = (),
    confidence: Sequence[str] = (),
    out: Path | str = DEFAULT_STORE,
    observer: Observer | None = None,
    max_cost: float | None = None,
    max_time: float | None = None,
    data: Path | str | None = None,
) -> list[Run]:
    """Run (or continue) tasks on models, one after the other.

    Args:
        tasks: a suite or task by name, path or object, or several, which then form one suite.
        models: a model by URI (`smollm2`, `hf:…`, `openai:…`; see `proctor list models`), a `Model`, or a function from prompt to
            answer; or several.
        limit, shots, epochs, seed, choices, judges, confidence: see `proctor.engine.plan.Settings`.
        out: the store, a folder.
        observer: is told what happens; default: nobody.
        max_cost: US dollars that this call may spend, over all models, by known prices; not part of the protocol.
        max_time: seconds that this call may take; likewise.
        data: a file that says where data sets of the hub lie on this machine, for tasks that are named.

    Returns:
        One complete run for each model.

    Raises:
        ProctorError: see its subclasses; `RunStopped` where the same call would continue.
    """
    suite = as_suite(tasks, data)
    settings = Settings(
        limit=limit, shots=shots, epochs=epochs, seed=seed, choices=choices, judges=tuple(judges), confidence=tuple(confidence)
    )
    store, allowance = Store(out), Allowance(max_cost, max_time)
    runs = []
    for one in as_models(models):
        model = one()
        try:
            runs.append(run_model(suite, model, store, settings, observer, allowance=allowance))
        finally:
            model.close()
    return runs


def as_suite(tasks: TaskLike | Iterable[TaskLike], data: Path | str | None = None) -> Suite:
    """One suite of whatever names or holds tasks."""
    parts = [tasks] if isinstance(tasks, str | Path | Task | Suite) else list(tasks)
    if not parts:
        raise UsageError("no task to run")
    if all(isinstance(part, str | Path) for part in parts):
        return load_suite([part for part in parts if isinstance(part, str | Path)], data=data)
    suites = [
        Suite(part.name, [Weighted(part)], title=part.spec.title)
        if isinstance(part, Task)
        else part
        if isinstance(part, Suite)
        else load_suite(part, data=data)
        for part in parts
    ]
    if len(suites) == 1:
        return suites[0]
    entries = [entry for suite in suites for entry in suite.entries]
    return Suite("+".join(suite.name for suite in suites)[:60], entries, groups=[group for suite in suites for group in suite.groups])


def as_models(models: ModelLike | Iterable[ModelLike]) -> list[Callable[[], Model]]:
    """Openers of models; one is opened only when its turn comes, so that only one is ever in memory."""
    parts = [models] if isinstance(models, str | Model) or callable(models) else list(models)
    if not parts:
        raise UsageError("no model to run")
    return [_opener(part) for part in parts]


def _opener(part: ModelLike) -> Callable[[], Model]:
    def open_one() -> Model:
        if isinstance(part, Model):
            return part
        if isinstance(part, str):
            from proctor.models.open import open_model

            return open_model(part)
        from proctor.models.python_function import PythonModel

        return PythonModel(part, getattr(part, "__name__", type(part).__name__))

    return open_one
