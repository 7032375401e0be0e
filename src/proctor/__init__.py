"""Proctor administers the same exam to every model.

>>> import proctor
>>> runs = proctor.run("smoke", "baseline:random")  # doctest: +SKIP

Names are loaded when first used, so that `import proctor` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proctor.engine.plan import Settings
    from proctor.engine.rescore import rescore
    from proctor.engine.session import run
    from proctor.errors import ProctorError
    from proctor.models.base import Model
    from proctor.models.open import open_model
    from proctor.reports.of_runs import compare, leaderboard, plot, profile
    from proctor.results.store import Run, Store, open_store
    from proctor.tasks.lm_eval.settings import LmEvalSettings
    from proctor.tasks.load import load_suite, load_task
    from proctor.tasks.suite import Suite
    from proctor.tasks.task import Task
    from proctor.types import Item

_HOMES = {
    "Item": "proctor.types",
    "LmEvalSettings": "proctor.tasks.lm_eval.settings",
    "Model": "proctor.models.base",
    "ProctorError": "proctor.errors",
    "Run": "proctor.results.store",
    "Settings": "proctor.engine.plan",
    "Store": "proctor.results.store",
    "Suite": "proctor.tasks.suite",
    "Task": "proctor.tasks.task",
    "compare": "proctor.reports.of_runs",
    "leaderboard": "proctor.reports.of_runs",
    "load_suite": "proctor.tasks.load",
    "load_task": "proctor.tasks.load",
    "open_model": "proctor.models.open",
    "open_store": "proctor.results.store",
    "plot": "proctor.reports.of_runs",
    "profile": "proctor.reports.of_runs",
    "rescore": "proctor.engine.rescore",
    "run": "proctor.engine.session",
}

__all__ = [
    "Item",
    "LmEvalSettings",
    "Model",
    "ProctorError",
    "Run",
    "Settings",
    "Store",
    "Suite",
    "Task",
    "compare",
    "leaderboard",
    "load_suite",
    "load_task",
    "open_model",
    "open_store",
    "plot",
    "profile",
    "rescore",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from proctor.engine.environment import proctor_version

        return proctor_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'proctor' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
