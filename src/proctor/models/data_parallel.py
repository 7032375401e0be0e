"""Requests shared out among several copies of a model, each in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Window = TypeVar("Window")
Result = TypeVar("Result")


def shared_out(workers: Sequence[Callable[[Iterable[Window]], Iterator[Result]]], windows: Iterator[Window]) -> Iterator[Result]:
    """What the workers yield for all windows, as it comes. Each window goes to one worker, when that asks for its next.

    The windows are read in the caller's thread. Where a worker fails, its error is raised here, and the others end with the window
    they are at.

    Args:
        workers: from windows to results; with one alone no thread is made.
        windows: what there is to do.
    """
    if len(workers) == 1:
        yield from workers[0](windows)
        return
    told: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
    given: list[queue.SimpleQueue[Window | None]] = [queue.SimpleQueue() for _ in workers]
    closed = threading.Event()

    def mine(number: int) -> Iterator[Window]:
        while not closed.is_set():
            told.put(("hungry", number, None))
            window = given[number].get()
            if window is None:
                return
            yield window

    def work(number: int) -> None:
        try:
            for result in workers[number](mine(number)):
                if closed.is_set():
                    break
                told.put(("result", number, result))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            told.put(("failed", number, error))
        else:
            told.put(("done", number, None))

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(workers))]
    for thread in threads:
        thread.start()
    busy = len(threads)
    try:
        while busy:
            what, number, value = told.get()
            if what == "result":
                yield value
            elif what == "hungry":
                given[number].put(next(windows, None))
            elif what == "failed":
                raise value
            else:
                busy -= 1
    finally:
        closed.set()
        for waiting in given:
            waiting.put(None)
        for thread in threads:
            thread.join()
