"""Judging a program: it runs in one sandbox, its tests in another, and only values go between them.

So no program can see its tests or say of itself that it passed: whatever it does to its own process, all it can send is what its functions
are said to have returned, and that is compared where it has no hand. Decision 0011 says what remains.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from proctor.errors import DataError
from proctor.scoring.sandbox.engines import Engine
from proctor.scoring.sandbox.limits import Limits, Outcome
from proctor.scoring.sandbox.process import Cause, Contained, watch


class Verdict(Struct, frozen=True):
    """Whether a program passed its tests, and why not."""

    passed: bool
    reason: str = ""


def judge(
    engine: Engine,
    program: str,
    tests: str,
    *,
    helpers: str = "",
    entry_point: str | None = None,
    limits: Limits | None = None,
    packages: tuple[str, ...] = (),
) -> Verdict:
    """Run tests on a program.

    Args:
        engine: what contains them.
        program: what the model wrote.
        tests: Python that fails by raising an exception. Names it does not define are taken from the program.
        helpers: Python that is loaded beside the tests before them, and not from the program.
        entry_point: a name that the program must define.
        limits: of the program, and again of the tests.
        packages: installed packages that both may import.

    Raises:
        DataError: the sandbox itself failed.
    """
    limits = limits or Limits()
    started = time.monotonic()
    to_program, from_tests = os.pipe()
    to_tests, from_program = os.pipe()
    held = [to_program, from_tests, to_tests, from_program]
    running: list[Contained] = []
    cause: Cause | None = None
    said = bytearray()
    try:
        testing = Contained(engine.start("tests_side", limits, packages), to_tests, from_tests, subprocess.PIPE)
        running.append(testing)
        # What cannot be started, and hence never reads, must not hold the writing below.
        late = threading.Timer(limits.wall + 5, testing.process.kill)
        programming = Contained(engine.start("program", limits, packages), to_program, from_program, subprocess.DEVNULL)
        running.append(programming)
        for descriptor in (to_program, from_tests, to_tests):
            os.close(descriptor)
            held.remove(descriptor)
        job = {"program": program, "tests": tests, "helpers": helpers, "entry_point": entry_point}
        late.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                _write(from_program, json.dumps(job).encode() + b"\n")
        finally:
            late.cancel()
        os.close(held.pop())
        for one in running:
            one.find_first()
        assert testing.process.stderr is not None
        cause = watch(running, {testing.process.stderr.fileno(): _take(said, 1 << 20)}, limits, started)
    finally:
        for descriptor in held:
            os.close(descriptor)
        statuses = [one.end() for one in reversed(running)]
        for one in running:
            if one.process.stderr is not None:
                one.process.stderr.close()
    return _verdict(bytes(said), cause, statuses[0], statuses[1], limits, time.monotonic() - started)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _take(into: bytearray, most: int) -> Callable[[bytes], bool]:
    def take(data: bytes) -> bool:
        into.extend(data[: most - len(into)])
        return len(into) >= most

    return take


def _verdict(said: bytes, cause: Cause | None, program: int, tests: int, limits: Limits, seconds: float) -> Verdict:
    """The verdict from what the tests' side said, the reason of an early end, and both exit statuses."""
    lines = said.decode(errors="replace").splitlines()
    found: dict[str, object] = {}
    for line in lines:
        with contextlib.suppress(ValueError):
            read = json.loads(line)
            found |= read if isinstance(read, dict) else {}
    if cause == "time":
        return Verdict(False, f"not done after {limits.wall:g} seconds")
    if cause is not None:
        return Verdict(False, f"used more {cause} than it may")
    if "met" not in found:
        loud = "; ".join(line for line in lines if not line.startswith("{"))
        raise DataError(f"the sandbox did not start: {loud[-300:] or f'exit statuses {tests} and {program}'}")
    if "passed" not in found:
        return Verdict(False, f"the tests {_ended(tests, limits, seconds)}")
    reason = str(found["reason"])
    if "ended before" in reason:
        reason = f"the program {_ended(program, limits, seconds)} before its tests did"
    return Verdict(found["passed"] is True and not reason, reason)


def _ended(status: int, limits: Limits, seconds: float) -> str:
    if out_of_time(status, limits, seconds):
        return f"used more than {limits.cpu:g} seconds of processor time, and ended"
    return f"ended (exit status {status})"


def out_of_time(status: int, limits: Limits, seconds: float) -> bool:
    """Whether an exit status is that of the limit on processor time: its signal, or the one after that for who ignores it."""
    return status == 128 + signal.SIGXCPU or (status == 128 + signal.SIGKILL and seconds >= limits.cpu)


def run(engine: Engine, program: str, files: dict[str, str] | None = None, limits: Limits | None = None) -> Outcome:
    """Run a whole program, in a scratch folder that holds `files`.

    Raises:
        DataError: the sandbox itself failed.
    """
    limits = limits or Limits()
    started = time.monotonic()
    out, err = bytearray(), bytearray()
    contained = Contained(engine.start("script", limits, ()), subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)
    process = contained.process
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    cause: Cause | None = None
    try:
        with contextlib.suppress(BrokenPipeError):
            _write(process.stdin.fileno(), json.dumps({"program": program, "files": files or {}}).encode())
        process.stdin.close()
        contained.find_first()
        most = limits.output * 1024
        cause = watch([contained], {process.stdout.fileno(): _take(out, most), process.stderr.fileno(): _take(err, most)}, limits, started)
        if cause is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, limits.wall - (time.monotonic() - started)))
            cause = "time" if process.poll() is None else None
    finally:
        status = contained.end()
        process.stdout.close()
        process.stderr.close()
    seconds = time.monotonic() - started
    if err.startswith(b"bwrap: "):
        raise DataError(f"the sandbox did not start: {err.decode(errors='replace')[:300]}")
    if cause is None and out_of_time(status, limits, seconds):
        cause = "time"
    return Outcome(cause or "exit", None if cause else status, out.decode(errors="replace"), err.decode(errors="replace"), seconds)
