"""Comparing mathematical expressions in a process that can be killed.

`math-verify` guards itself with SIGALRM, which works in the main thread only and cannot interrupt long integer arithmetic. One worker
process per program, started at first use, answers line by line; it is replaced when a comparison takes too long.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from typing import Any

_START_SECONDS = 120.0  # importing sympy on a cold, busy machine
_MEMORY = 4 * 1024**3  # bytes of address space the worker may use


class _Worker:
    def __init__(self) -> None:
        command = [sys.executable, "-m", "proctor.scoring.math_process"]
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        if self.read(_START_SECONDS) is None:
            self.stop()
            raise RuntimeError("the process that compares mathematical expressions does not start")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def read(self, seconds: float) -> str | None:
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def ask(self, question: dict[str, Any], seconds: float) -> str | None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except OSError:
            return None
        return self.read(seconds)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in self.process.stdin, self.process.stdout:
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


_lock = threading.Lock()
_worker: _Worker | None = None


def equal(targets: list[str], answer: str, seconds: float) -> bool | None:
    """Whether `answer` equals one of `targets`; None where finding out took more than `seconds` or broke the worker."""
    global _worker
    with _lock:
        if _worker is None:
            _worker = _Worker()
        reply = _worker.ask({"targets": targets, "answer": answer}, seconds)
        if reply is None:
            _worker.stop()
            _worker = None
            return None
        return reply.strip() == "1"


@atexit.register
def _stop() -> None:
    global _worker
    with _lock:
        if _worker is not None:
            _worker.stop()
            _worker = None


# --- inside the worker ---

_DELIMITED = re.compile(r"\$|\\boxed|\\\(|\\\[|\\begin")


def _compare(targets: list[str], answer: str) -> bool:
    from math_verify import parse, verify

    # Without delimiters a text may be bare LaTeX ("\frac12") or prose with a number in it: both readings of an answer count.
    readings = [answer] if _DELIMITED.search(answer) else [f"\\boxed{{{answer}}}", answer]
    answers = [parse(reading, parsing_timeout=None) for reading in readings]
    for target in targets:
        gold = parse(target if _DELIMITED.search(target) else f"\\boxed{{{target}}}", parsing_timeout=None)
        if any(verify(gold, reading, timeout_seconds=None) for reading in answers):
            return True
    return False


def _serve() -> None:
    # What libraries print must not get between the answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    import math_verify  # noqa: F401 - so that the first question does not pay for it

    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            right = _compare(question["targets"], question["answer"])
        except Exception:  # noqa: BLE001 - whatever a parser does with a model's text, it is not equal
            right = False
        replies.write("1\n" if right else "0\n")
        replies.flush()


if __name__ == "__main__":
    _serve()
