"""Scoring by somebody else's code: python (a function of the user's), gym (reasoning-gym's own verifiers)."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
from typing import Any

from proctor.canonical import content_hash
from proctor.errors import DataError, MissingExtra, TaskError, nearest
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.types import Item, Response


class PythonFunction(Scorer):
    """A function of the task's author: `f(answer: str, item: Item) -> float | bool | dict[str, float]`, 0 the worst and 1 the best value.

    Runs in this process, with everything it may do: never let it execute what a model wrote (`code_tests` does that in a sandbox). The
    source of its module is part of the protocol.

    Args:
        function: `module:function`.
        metrics: names of the values it returns; for a single number one name, `score` by default; for a dict its keys, the main one first.
    """

    name = "python"
    main_option = "function"

    def __init__(self, *, function: str, metrics: list[str] | None = None) -> None:
        self._reference = function
        self._names = metrics or ["score"]
        if len(set(self._names)) != len(self._names):
            raise TaskError(f"python.metrics: names occur twice in {self._names}")
        self.metrics = tuple(Metric(name) for name in self._names)
        self._function = _load(function)
        try:
            source = inspect.getsource(inspect.getmodule(self._function) or self._function)
        except (OSError, TypeError):  # built in, or typed at a prompt
            source = function
        self.identity = content_hash(source)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        try:
            result = self._function(answer, item)
        except Exception as error:
            raise DataError(f"item '{item.id}': {self._reference} failed: {type(error).__name__}: {error}") from error
        values = result if isinstance(result, dict) else {self._names[0]: result} if len(self._names) == 1 else None
        if values is None or set(values) != set(self._names) or not all(_is_number(value) for value in values.values()):
            expected = "a number" if len(self._names) == 1 else f"a dict of numbers with the keys {', '.join(self._names)}"
            raise DataError(f"item '{item.id}': {self._reference} must return {expected}, not {result!r}")
        return Measured({name: float(values[name]) for name in self._names})


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, str) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _load(reference: str) -> Any:
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise TaskError(f"python: expected module:function, not '{reference}'")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TaskError(f"python: cannot import '{module_name}': {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise TaskError(f"python: '{module_name}' has no function '{name}'{nearest(name, dir(module))}")
    return function


class Gym(Scorer):
    """reasoning-gym's own verdict, 0 to 1, partial credit included.

    The item's fields are the generated entry: `question`, `answer`, and `metadata` with the data set's name as `source_dataset`.
    """

    name = "gym"
    metrics = (Metric("gym"),)

    def __init__(self) -> None:
        if importlib.util.find_spec("reasoning_gym") is None:
            raise MissingExtra("the scorer 'gym'", "gym")
        self._verifiers: dict[str, Any] = {}

    def check(self, item: Item) -> str | None:
        metadata = item.fields.get("metadata")
        if "answer" not in item.fields or not isinstance(metadata, dict) or not isinstance(metadata.get("source_dataset"), str):
            return "expected the columns question, answer and metadata (with source_dataset) of a reasoning-gym entry"
        try:
            self._verifier(metadata["source_dataset"])
        except ValueError:
            return f"reasoning-gym has no data set '{metadata['source_dataset']}'"
        return None

    def _verifier(self, name: str) -> Any:
        if name not in self._verifiers:
            import reasoning_gym

            self._verifiers[name] = reasoning_gym.get_score_answer_fn(name)
        return self._verifiers[name]

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        verify = self._verifier(item.fields["metadata"]["source_dataset"])
        try:
            value = float(verify(answer, item.fields))
        except Exception as error:  # noqa: BLE001 - a few verifiers raise on answers they cannot parse
            return Measured({"gym": 0.0}, f"the verifier could not read the answer: {type(error).__name__}")
        return Measured({"gym": value}, "" if value >= 1 else f"expected '{str(item.fields['answer'])[:60]}'")
