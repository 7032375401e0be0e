"""A started sandbox: watched while it runs, and gone without remains when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any, Literal

from proctor.scoring.sandbox.engines import Start, container_kill
from proctor.scoring.sandbox.limits import Limits

Cause = Literal["time", "memory", "output"]
_LOOK = 0.05  # seconds between looks at the memory
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Contained:
    """A process in the sandbox, with everything it starts.

    Args:
        start: what an engine made.
        stdin, stdout, stderr: as of `subprocess.Popen`.
    """

    def __init__(self, start: Start, stdin: Any, stdout: Any, stderr: Any) -> None:
        self._start = start
        self._first: int | None = None  # of the first process in the sandbox, whose end is the end of all
        self.pid: int | None = None
        try:
            self.process = subprocess.Popen(
                start.command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=start.pass_fds,
                env=start.environment,
                cwd=start.folder.name if start.folder else "/",
                start_new_session=True,
            )
        finally:
            for descriptor in start.pass_fds:
                os.close(descriptor)

    def find_first(self) -> None:
        """Wait until the sandbox tells who its first process is (or ends)."""
        if self._start.info is None:
            self.pid = self.process.pid
            return
        told = b""
        while chunk := os.read(self._start.info, 4096):
            told += chunk
            if b"}" in told:
                break
        os.close(self._start.info)
        self._start.info = None
        if told:
            self.pid = int(json.loads(told)["child-pid"])
            with contextlib.suppress(ProcessLookupError):
                self._first = os.pidfd_open(self.pid)

    def end(self) -> int:
        """Kill whatever is left, wait until it is gone; the exit status, 128 + signal where a signal ended it."""
        if self._start.info is not None:
            self.find_first()
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            select.select([self._first], [], [], 30)
            os.close(self._first)
            self._first = None
        elif self._start.name:
            container_kill(self._start.command[0], self._start.name)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        if self._start.folder is not None:
            self._start.folder.cleanup()
        return 128 - status if status < 0 else status


def watch(contained: list[Contained], streams: dict[int, Callable[[bytes], bool]], limits: Limits, started: float) -> Cause | None:
    """Read the descriptors until all are at their end; why that was cut short, or None.

    Args:
        contained: whose memory is watched, each for itself.
        streams: what takes the data of each descriptor, and whether it has had enough.
        limits: wall time from `started` (of `time.monotonic`), and memory.
    """
    open_ones = dict(streams)
    poll = select.poll()
    for descriptor in open_ones:
        poll.register(descriptor, select.POLLIN)
    looked = 0.0
    while open_ones:
        now = time.monotonic()
        if now - started > limits.wall:
            return "time"
        if now - looked >= _LOOK:
            looked = now
            if any(resident(one.pid) > limits.memory * 1024**2 for one in contained if one.pid is not None):
                return "memory"
        for descriptor, _ in poll.poll(_LOOK * 1000):
            data = os.read(descriptor, 1 << 16)
            if data and open_ones[descriptor](data):
                return "output"
            if not data:
                poll.unregister(descriptor)
                del open_ones[descriptor]
    return None


def resident(pid: int) -> int:
    """Bytes of memory that a process and all that descend from it hold for themselves."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            with open(f"/proc/{one}/statm") as file:
                _, pages, shared, *_ = map(int, file.read().split())
            total += (pages - shared) * _PAGE
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/children") as file:
                    waiting += map(int, file.read().split())
        except OSError:  # it has ended
            continue
    return total
