"""Estimators in the manner of scikit-learn, trained on the tasks' rows for learning: `sklearn:MODULE:FACTORY`."""

from __future__ import annotations

import importlib.metadata
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.base import Ask, Kind, Model
from proctor.models.function_state import source_hash, state_hash
from proctor.models.options import read_options
from proctor.models.python_function import find_callable
from proctor.models.tabular import Columns, Target, joint_rows, read_target
from proctor.types import Response

if TYPE_CHECKING:
    from proctor.tasks.task import Task


class _Options(msgspec.Struct):
    joint: bool = False


class EstimatorModel(Model):
    """Fits what a factory makes to the rows of `data.shots`, and answers with its predictions.

    The factory, a class or a function without required arguments, gives an object with `fit(X, y)` and `predict(X)`, and perhaps
    `predict_proba(X)` with `classes_`. One is made for each task; with `joint` one for all tasks of the run, which must have the same
    features, and is given a column of targets for each. What X and y hold is said in `docs/how-to/train-estimators.md`.

    A fit that fails is the error of the task's items (with `joint`, of all).

    Args:
        factory: what is called for an estimator.
        uri: stands in the results for the model.
        joint: one estimator for all tasks.
        arguments: keywords of the factory.
        fingerprint: of what the answers depend on; default: of what the factory reaches.
    """

    kinds: frozenset[Kind] = frozenset({"generate"})
    by_request = False
    free = True

    def __init__(
        self,
        factory: Callable[..., Any],
        uri: str | None = None,
        *,
        joint: bool = False,
        arguments: dict[str, Any] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.uri = uri or str(getattr(factory, "__name__", type(factory).__name__))
        self.fingerprint = fingerprint or content_hash(["estimator 1", self.uri, joint, arguments or {}, state_hash(factory)])
        self._factory, self._joint, self._arguments = factory, joint, arguments or {}
        self._tasks: dict[str, Task] = {}
        self._fitted: dict[str, _Fitted] = {}
        self._seconds = 0.0

    def begin(self, tasks: Sequence[Task]) -> None:
        self._tasks = {task.name: task for task in tasks}

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        """Task by task: what is asked of one is predicted together."""
        for name, of_task in itertools.groupby(asks, key=lambda ask: ask.task):
            together = list(of_task)
            started, began = time.time(), time.perf_counter()
            try:
                texts = self._of(name).predict([ask.item for ask in together], name)
            except ModelError:
                raise
            except Exception as error:  # noqa: BLE001 - the estimator is the user's; what it raises is the error of the task
                said = " ".join(str(error).split())
                response = Response(finish="error", error=f"{type(error).__name__}: {said}"[:500])
                yield from ((ask, response) for ask in together)
                continue
            each = (time.perf_counter() - began) / len(together)
            for ask, text in zip(together, texts, strict=True):
                yield ask, Response(text=text, started_at=started, latency=each)

    def _of(self, name: str) -> _Fitted:
        """The estimator of a task, fitted when it is first needed. A fit that failed fails again with the same words."""
        key = "" if self._joint else name
        if key not in self._fitted:
            began = time.perf_counter()
            tasks = list(self._tasks.values()) if self._joint else [self._tasks[name]]
            self._fitted[key] = _Fitted(tasks, self._factory(**self._arguments), self.uri, self._joint)
            self._seconds += time.perf_counter() - began
        return self._fitted[key]

    def describe(self) -> dict[str, Any]:
        first = next(iter(self._fitted.values()), None)
        shown = {"estimator": " ".join(repr(first.estimator).split())[:500], "features": first.columns.width} if first else {}
        return {**shown, "estimators": len(self._fitted), "joint": self._joint, "fit_seconds": round(self._seconds, 3)}


class _Fitted:
    """An estimator fitted to one task, or to several together.

    Raises:
        ModelError: a task without rows to learn from, or a target that cannot be learnt.
    """

    def __init__(self, tasks: Sequence[Task], estimator: Any, uri: str, joint: bool) -> None:
        for task in tasks:
            if task.spec.data.shots is None:
                raise ModelError(f"model {uri}: task '{task.name}' has no rows to learn from; name them with data.shots")
            if task.features != tasks[0].features:
                raise ModelError(f"model {uri}: '{task.name}' and '{tasks[0].name}' have other features; one estimator needs the same")
        self.estimator = estimator
        self.targets: list[Target] = [read_target(task, uri) for task in tasks]
        self.names = [task.name for task in tasks]
        self.joint = joint
        self.columns = Columns(tasks[0].features, [item for task in tasks for item in task.pool], uri)
        self.error: Exception | None = None
        try:
            if joint:
                rows, wanted = joint_rows(self.columns, self.targets, [task.pool for task in tasks])
                estimator.fit(rows, wanted)
            else:
                estimator.fit(self.columns.rows(tasks[0].pool), self.targets[0].learnt(tasks[0].pool))
        except Exception as error:  # noqa: BLE001 - said of every item
            self.error = error

    def predict(self, items: Sequence[Any], name: str) -> list[str]:
        if self.error is not None:
            raise self.error
        place = self.names.index(name)
        target, rows = self.targets[place], self.columns.rows(items)
        if target.wants_probability:
            return target.texts(_probabilities(self.estimator, rows, place, len(self.names) if self.joint else None))
        predicted = self.estimator.predict(rows)
        return target.texts([row[place] for row in predicted] if self.joint else predicted)


def _probabilities(estimator: Any, rows: Any, place: int, joint: int | None) -> Any:
    """The probability of a yes for each row; from scores of a decision by the logistic function, which keeps their order."""
    import numpy as np

    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(rows)
        if joint is None:
            return _of_yes(np.asarray(found), getattr(estimator, "classes_", (0, 1)))
        if isinstance(found, list):  # scikit-learn: one array of classes for each target
            return _of_yes(np.asarray(found[place]), getattr(estimator, "classes_", [(0, 1)] * joint)[place])
        return np.asarray(found)[:, place]
    scores = estimator.decision_function(rows) if hasattr(estimator, "decision_function") else None
    if scores is None:
        scores = np.asarray(estimator.predict(rows), dtype=float)
        return np.clip(scores if joint is None else scores[:, place], 0.0, 1.0)
    scores = np.asarray(scores) if joint is None else np.asarray(scores)[:, place]
    return 1 / (1 + np.exp(-scores))


def _of_yes(probabilities: Any, classes: Any) -> Any:
    import numpy as np

    if probabilities.ndim == 1:
        return probabilities
    known = [bool(one) for one in classes]
    return probabilities[:, known.index(True)] if True in known else np.zeros(len(probabilities))


def open_estimator(scheme: str, path: str, options: dict[str, str], uri: str) -> EstimatorModel:
    """`sklearn:MODULE:FACTORY?joint=true&key=value`: every other option is a keyword of the factory.

    Raises:
        ModelError: no such module or factory, or a factory that does not take these keywords.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ModelError(f"model {uri}: expected sklearn:MODULE:FACTORY, for example sklearn:sklearn.linear_model:Ridge")
    own = read_options(uri, {key: value for key, value in options.items() if key == "joint"}, _Options)
    arguments = {key: _scalar(value) for key, value in options.items() if key != "joint"}
    factory = find_callable(module_name, name, uri)
    try:
        made = factory(**arguments)
    except Exception as error:  # noqa: BLE001 - whatever the user's factory raises
        raise ModelError(f"model {uri}: {name} cannot be made: {type(error).__name__}: {error}") from None
    if not hasattr(made, "fit") or not hasattr(made, "predict"):
        raise ModelError(f"model {uri}: {name} gives {type(made).__name__}, which has no methods fit and predict")
    sources = [source_hash(module_name), source_hash(getattr(factory, "__module__", None)), _version(type(made)), _version(factory)]
    return EstimatorModel(factory, uri, joint=own.joint, arguments=arguments, fingerprint=content_hash(["estimator 1", uri, *sources]))


def _scalar(text: str) -> Any:
    """`5` as a number, `true` and `null` as JSON has them, anything else as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _version(thing: Any) -> str:
    """The version of the package that a class or function comes from; empty where there is none."""
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    found = getattr(sys.modules.get(package), "__version__", None)
    if found is None and package:
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return ""
    return str(found or "")
