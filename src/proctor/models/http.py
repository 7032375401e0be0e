"""Answers a stream of asks over HTTP: many requests at once, synchronous on the outside.

The caller's thread pulls asks and yields replies; one background thread runs one asyncio loop with one pool of connections
(`connection.py`). What is sent and how an answer is read is the business of `openai.py` and `anthropic.py`: one coroutine per ask.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from proctor.errors import ModelError
from proctor.models.admission import NotSentError
from proctor.models.background import Background, told
from proctor.models.base import Ask, Model
from proctor.models.connection import CallFailed, Endpoint, HttpOptions, Line
from proctor.types import Response

if TYPE_CHECKING:
    from proctor.models.batch import BatchApi, Batches

T = TypeVar("T")


class HttpModel(Model):
    """A model behind HTTP. Subclasses say what one ask sends and how its answer is read."""

    endpoint: Endpoint
    options: HttpOptions
    _background: Background | None = None
    _batches: Batches | None = None

    def batch_api(self) -> BatchApi:
        """How requests are handed in as batches (option `batch`)."""
        raise ModelError(f"{self.uri}: this API takes no batches")

    @abc.abstractmethod
    async def respond(self, line: Line, ask: Ask) -> Response:
        """Answer one ask with `line.send`. May raise `CallFailed` (this ask has no answer) or `ModelError` (none will have)."""

    def in_order(self, asks: list[Ask]) -> list[Ask]:
        """The order in which asks that were read together are sent. All of them go before any that is read later: none waits for ever."""
        return asks

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        """Keeps as many requests under way as the server takes, or `concurrency`, whatever task they belong to; at most twice as many asks
        are read ahead. With the option `batch` all are read, and handed in as batches."""
        if self.options.batch:
            yield from self._answer_in_batches(asks)
            return
        replies: SimpleQueue[tuple[Ask, Response | Exception | None]] = SimpleQueue()

        async def one(line: Line, ask: Ask) -> None:
            try:
                replies.put((ask, await self.respond(line, ask)))
            except CallFailed as failed:
                if failed.problem.status == 404:
                    replies.put((ask, ModelError(f"{self.uri}: {self.endpoint.base} has no such model or path: {failed.problem.detail}")))
                    return
                replies.put((ask, Response(finish="error", error=str(failed), **failed.facts())))
            except (NotSentError, asyncio.CancelledError):
                replies.put((ask, None))
            except Exception as error:  # noqa: BLE001 - carried to the caller's thread and raised there
                replies.put((ask, error))

        source = iter(asks)
        waiting = 0
        more = True
        background = self._background = Background(self.endpoint, self.options)
        try:
            while True:
                if more and not background.closing:
                    limit = background.limit
                    ahead = 2 * limit
                    step = max(1, limit // 4)  # asks are handed over in batches: waking the loop costs more than a small one
                    if waiting <= ahead - step:
                        batch = list(islice(source, ahead - waiting))
                        more = len(batch) == ahead - waiting
                        waiting += len(batch)
                        background.start([(one, ask) for ask in self.in_order(batch)])
                if not waiting:
                    return
                ask, reply = replies.get()
                waiting -= 1
                if isinstance(reply, Exception):
                    while not replies.empty():  # answers that came in meanwhile are paid for
                        other, late = replies.get()
                        if isinstance(late, Response):
                            yield other, late
                    raise reply
                if reply is not None:
                    yield ask, reply
        finally:
            self._background = None
            background.close()

    def _answer_in_batches(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        from proctor.models.batch import Batches

        self._batches = Batches(self, self.batch_api())
        try:
            yield from self._batches.answer(asks)
        finally:
            self._batches.close()

    @property
    def left_behind(self) -> str | None:
        return self._batches.left_behind if self._batches else None

    @property
    def under_way(self) -> int:
        background = self._background
        return background.under_way if background else 0

    def finish_started(self, seconds: float) -> bool:
        if self._batches is not None:
            self._batches.stop()
            return True
        background = self._background
        return background is not None and background.finish_started(seconds)

    def call(self, work: Callable[[Line], Awaitable[T]]) -> T:
        """Run one coroutine outside a stream, for a question about the server itself; with as many tries as an item gets."""
        done: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

        background = Background(self.endpoint, self.options)
        try:
            background.start([(told(work, done), None)])
            value, error = done.get()
        finally:
            background.close()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]
