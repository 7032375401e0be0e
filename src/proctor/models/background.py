"""One thread, one asyncio loop, one line to an endpoint: what synchronous code talks to servers through."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from proctor.models.adaptive import START
from proctor.models.connection import Endpoint, HttpOptions, Line

_SWITCH = 0.0005  # seconds; a thread that computes keeps the loop from its sockets for so long at a time, and Python's own 0.005 idles them

T = TypeVar("T")


class Background:
    """One thread, one asyncio loop, one `Line`. `close` cancels whatever is under way and joins the thread."""

    def __init__(self, endpoint: Endpoint, options: HttpOptions) -> None:
        self._line = Line(endpoint, options)
        self._concurrency = options.concurrency
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="proctor-http", daemon=True)
        self._usual_switch = sys.getswitchinterval()
        self.closing = False

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return self._concurrency or (self._line.admission.limit if self._loop is not None else START)

    @property
    def under_way(self) -> int:
        """Requests that are under way now."""
        return self._line.admission.under_way if self._loop is not None else 0

    def start(self, work: list[tuple[Callable[[Line, Any], Awaitable[None]], Any]]) -> None:
        if self._loop is None:
            sys.setswitchinterval(min(_SWITCH, self._usual_switch))
            self._thread.start()
            self._ready.wait()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: list[tuple[Callable[[Line, Any], Any], Any]]) -> None:
        for coroutine, argument in work:
            task = asyncio.get_running_loop().create_task(coroutine(self._line, argument))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        try:
            async with self._line:
                self._loop = asyncio.get_running_loop()
                self._ready.set()
                await self._stop.wait()
                tasks = list(self._tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._ready.set()

    def finish_started(self, seconds: float) -> bool:
        """Send nothing further; what is under way has so many seconds, and what waits for its turn or another try is let go at once.

        False where nothing has begun. Any thread may call it, or a signal handler.
        """
        if self._loop is None:
            return False
        if not self.closing:
            try:
                self._loop.call_soon_threadsafe(self._finish_started, seconds)
            except RuntimeError:  # the loop has ended meanwhile
                return False
            self.closing = True
        return True

    def _finish_started(self, seconds: float) -> None:
        self._line.admission.close()
        asyncio.get_running_loop().call_later(seconds, lambda: [task.cancel() for task in self._tasks])

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        sys.setswitchinterval(self._usual_switch)
        self._ready.wait()  # an interrupt may have come while the thread was starting
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)  # a name lookup under way cannot be cancelled; the thread is a daemon


def told(
    work: Callable[[Line], Awaitable[T]], done: SimpleQueue[tuple[T | None, Exception | None]]
) -> Callable[[Line, None], Awaitable[None]]:
    """`work` as the loop takes it; what it gives or raises is put into `done`, for the thread that waits there."""

    async def one(line: Line, _: None) -> None:
        try:
            done.put((await work(line), None))
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            done.put((None, error))

    return one
