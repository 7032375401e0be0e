"""Programs a model wrote, run against tests inside a sandbox."""

from __future__ import annotations

import atexit
import importlib.util
import re
import secrets
import threading
from typing import Any

from proctor.errors import DataError, MissingExtra, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.types import Item, Response


class CodeTests(Scorer):
    """Whether Python code passes its tests.

    It runs only inside `pydantic-monty`: a Python interpreter in Rust, in worker processes, without access to files, network, environment
    or the host's modules.

    The target is the text of the tests (assertions), or `{tests, entry_point}`. Tests in HumanEval's form, a function `check(candidate)`,
    are called with the entry point. Passed means that answer and tests ran to their end; any exception, time-out or breach of a limit is a
    failure, and the reason says which.

    The interpreter has most of the language and parts of the standard library (re, math, collections, itertools, functools, datetime, json,
    …) but not all of it: an answer that imports, say, `string`, `heapq` or numpy fails here though it may be right. The reason then reads
    `ModuleNotFoundError`.

    Args:
        prefix_field: the item's field (HumanEval: `prompt`) whose text is put before an answer that continues it. Before an answer that
            defines the entry point itself goes only what stands before that definition (imports, helpers).
        timeout: seconds for the answer and again for the tests.
        memory: MiB the program may use.
    """

    name = "code_tests"
    metrics = (Metric("passed"),)
    default_extract = ({"code": "python"}, "code")

    def __init__(self, *, prefix_field: str | None = None, timeout: float = 5.0, memory: int = 256) -> None:
        if importlib.util.find_spec("pydantic_monty") is None:
            raise MissingExtra("the scorer 'code_tests'", "code")
        if not (0 < timeout <= 600 and memory >= 1):
            raise TaskError(f"code_tests: timeout must be in (0, 600] seconds and memory at least 1 MiB, not {timeout} and {memory}")
        self._prefix_field = prefix_field
        self._timeout = timeout
        self._limits = {"max_feed_duration_secs": timeout, "max_memory": memory * 1024**2, "max_total_sleep_secs": timeout}
        self._lock = threading.Lock()
        self._pool: Any = None

    def check(self, item: Item) -> str | None:
        return complaint_about(item, self._prefix_field, self.name)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        tests, entry_point = tests_of(item)
        prefix = item.fields[self._prefix_field] if self._prefix_field is not None else ""
        # The tests' last value is one the answer cannot know, so that nothing it does can pass for having run them.
        secret = secrets.token_hex(16)
        failure = self._run([whole_program(prefix, answer, entry_point), f"{called(tests or '', entry_point)}\n\n{secret!r}\n"], secret)
        return Measured({"passed": float(failure is None)}, failure or "")

    def _run(self, parts: list[str], secret: str) -> str | None:
        """Run `parts` one after the other in a fresh session; why they failed, or None."""
        from pydantic_monty import MontyError

        try:
            with self._open().checkout(limits=self._limits) as session:
                value = None
                for part in parts:
                    value = session.feed_run(part, print_callback=_ignore)
        except MontyError as error:
            text = " ".join(str(error).split())
            return text[:200] or type(error).__name__
        return None if value == secret else "the tests did not run to their end"

    def _open(self) -> Any:
        with self._lock:
            if self._pool is None:
                from pydantic_monty import Monty

                self._pool = Monty(request_timeout=self._timeout + 5)
                self._pool.__enter__()
                atexit.register(self.close)
            return self._pool

    def close(self) -> None:
        """End the worker processes; the next measurement starts new ones."""
        with self._lock:
            if self._pool is not None:
                self._pool.__exit__(None, None, None)
                self._pool = None
                atexit.unregister(self.close)


def _ignore(stream: str, text: str) -> None:
    """What the program prints goes nowhere."""


def tests_of(item: Item) -> tuple[str | None, Any]:
    """The text of an item's tests and the name they call (None where it names none); no text where the target is something else."""
    target = item.target
    if isinstance(target, str) and target.strip():
        return target, None
    if isinstance(target, dict) and set(target) <= {"tests", "entry_point"} and isinstance(target.get("tests"), str):
        return target["tests"], target.get("entry_point")
    return None, None


def complaint_about(item: Item, prefix_field: str | None, scorer: str) -> str | None:
    """What is wrong with an item whose target should be tests, and whose `prefix_field` a text; None where nothing is."""
    tests, entry_point = tests_of(item)
    if tests is None or not (entry_point is None or (isinstance(entry_point, str) and entry_point.isidentifier())):
        return f"the target must be the text of tests, or {{tests, entry_point}}, not {item.target!r}"
    if prefix_field is not None and not isinstance(item.fields.get(prefix_field), str):
        return f"the item has no text in the field '{prefix_field}' ({scorer}.prefix_field)"
    return None


def whole_program(prefix: str, answer: str, entry_point: str | None) -> str:
    """The program that `answer` stands for: itself, or `prefix` continued by it.

    An answer defines the entry point if it has `def` of it at the outermost level; without an entry point, if it has any `def` or `class`
    there.
    """
    if not prefix:
        return answer
    if entry_point is None:
        return answer if re.search(r"^(?:async +def|def|class)\b", answer, re.MULTILINE) else prefix + answer
    if _definition(entry_point).search(answer) is None:
        return prefix + answer
    start = _definition(entry_point).search(prefix)
    return (prefix[: start.start()] if start else prefix + "\n") + answer


def helpers_of(prefix: str, entry_point: str | None) -> str:
    """What stands in `prefix` before the definition of the entry point: imports and functions that an item gives to answer and tests."""
    start = _definition(entry_point).search(prefix) if entry_point else None
    return prefix[: start.start()] if start else ""


def _definition(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:(?:async +)?def +{re.escape(name)}\b|{re.escape(name)} *=)", re.MULTILINE)


def called(tests: str, entry_point: str | None) -> str:
    """The tests, with the call that HumanEval leaves to its harness."""
    if entry_point and re.search(r"^def +check\(", tests, re.MULTILINE) and not re.search(r"^check\(", tests, re.MULTILINE):
        return f"{tests}\n\ncheck({entry_point})"
    return tests
