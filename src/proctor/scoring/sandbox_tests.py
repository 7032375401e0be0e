"""Programs a model wrote, run by CPython against tests in the sandbox."""

from __future__ import annotations

from functools import cache

from proctor.errors import DataError, TaskError, UsageError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.code import called, complaint_about, helpers_of, tests_of, whole_program
from proctor.scoring.sandbox.engines import HOW, Engine, configured, package_folders
from proctor.scoring.sandbox.judge import Verdict, judge
from proctor.scoring.sandbox.limits import Limits
from proctor.types import Item, Response


class SandboxTests(Scorer):
    """Whether Python code passes its tests, in the sandbox: all of CPython and its standard library.

    The target is as of `code_tests`. Answer and tests run in two sandboxes between which only values go: see
    `proctor.scoring.sandbox.judge`.

    Args:
        prefix_field: as of `code_tests`. Tests get what stands there before the entry point from the item, not from the answer.
        timeout: seconds of processor time of the answer, and again of the tests.
        memory: MiB of each.
        packages: installed packages that both may import.
    """

    name = "sandbox_tests"
    metrics = (Metric("passed"),)
    default_extract = ({"code": "python"}, "code")
    in_threads = True

    def __init__(
        self, *, prefix_field: str | None = None, timeout: float = 5.0, memory: int = 512, packages: list[str] | None = None
    ) -> None:
        self._prefix_field = prefix_field
        self._limits = checked_limits(self.name, timeout, memory)
        self._packages = tuple(packages or ())

    def check(self, item: Item) -> str | None:
        return complaint_about(item, self._prefix_field, self.name)

    def ready(self) -> None:
        working_engine()
        package_folders(self._packages)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        tests, entry_point = tests_of(item)
        prefix = item.fields[self._prefix_field] if self._prefix_field is not None else ""
        verdict = judge(
            working_engine(),
            whole_program(prefix, answer, entry_point),
            called(tests or "", entry_point),
            helpers=helpers_of(prefix, entry_point),
            entry_point=entry_point,
            limits=self._limits,
            packages=self._packages,
        )
        return measured(verdict)


def checked_limits(scorer: str, timeout: float, memory: int) -> Limits:
    """The limits of a scorer's options. Raises `TaskError` for what cannot be."""
    if not (0 < timeout <= 600 and memory >= 64):
        raise TaskError(f"{scorer}: timeout must be in (0, 600] seconds and memory at least 64 MiB, not {timeout} and {memory}")
    return Limits(cpu=timeout, wall=max(60.0, 4 * timeout), memory=memory)


def measured(verdict: Verdict) -> Measured:
    """A verdict as numbers."""
    return Measured({"passed": float(verdict.passed)}, verdict.reason)


@cache
def working_engine() -> Engine:
    """What contains programs on this machine, tried once.

    Raises:
        UsageError: nothing does; says why and what to do.
    """
    engine = configured()
    try:
        verdict = judge(engine, "def f(x):\n    return x", "assert f(1) == 1", limits=Limits(cpu=60, wall=300))
    except (DataError, OSError) as error:
        raise UsageError(
            f"programs that a model wrote run only in a sandbox, and {engine.name} does not work here: {error}. {HOW}"
        ) from None
    if not verdict.passed:
        raise UsageError(
            f"programs that a model wrote run only in a sandbox, and {engine.name} does not work here: {verdict.reason}. {HOW}"
        )
    return engine
