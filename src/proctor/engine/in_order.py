"""Jobs run ahead in threads, their results taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_AHEAD = 4  # jobs begun for each thread before the first result is taken


def in_order(jobs: Iterable[tuple[bool, Callable[[], T]]], threads: int) -> Iterator[T]:
    """The results of jobs, in the jobs' order; an exception of a job is raised in its place.

    Args:
        jobs: whether each may run in a thread beside others, and what it does. One that may not runs when its result is wanted.
        threads: how many at once.
    """
    begun: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for apart, job in jobs:
            if apart:
                begun.append(pool.submit(job))
            while begun and (not apart or len(begun) >= _AHEAD * threads):
                yield begun.popleft().result()
            if not apart:
                yield job()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
