"""Requests handed in as batches: the provider answers them within a day, for half the price.

All asks of a run are read, sorted into batches as large as the provider takes, and waited for. Each batch is written down before it is sent
(`batch_ledger.py`): a run that is stopped or killed finds it again, by its id or by asking the provider for it, and takes its answers.
How a provider's batches are made and read is the business of `openai_batch.py` and `anthropic_batch.py`.
"""

from __future__ import annotations

import abc
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.background import Background, told
from proctor.models.base import Ask
from proctor.models.batch_ledger import Ledger, Record
from proctor.models.connection import CallFailed, HttpOptions, Line
from proctor.models.http_errors import one_line
from proctor.types import Generate, Response

FIRST_LOOK, LONGEST_LOOK = 2.0, 60.0  # seconds between two looks at a batch; each wait is half as long again as the one before
SETTLED = 600.0  # seconds from which a batch the provider does not know is gone, and not just too new
_NOT_NOW = frozenset({0, 408, 409, 425, 429})  # and everything from 500: says nothing of the batch

T = TypeVar("T")


class Waiting(msgspec.Struct):
    """An ask, when it was first handed in, and why it has no answer so far."""

    ask: Ask
    started_at: float = 0.0
    reasons: list[str] = []


class State(msgspec.Struct):
    """How a batch stands: whether it has ended, how long it took (seconds), where its results are; why it was refused, and whether only
    because too much is waiting there already; whether somebody cancelled it."""

    ended: bool
    seconds: float = 0.0
    results: list[str] = []
    refused: str | None = None
    too_much: bool = False
    cancelled: bool = False


class Again(msgspec.Struct):
    """A request that has to be handed in once more; `counts` as one of its tries."""

    reason: str
    counts: bool = True


class BatchApi(abc.ABC):
    """One provider's batches."""

    most_requests: int
    most_bytes: int
    certain = True  # whether what `find` finds is the batch that was meant

    @abc.abstractmethod
    def draft(self, request: Generate, name: str) -> bytes:
        """A request as a part of a batch."""

    @abc.abstractmethod
    async def mark(self, line: Line) -> str:
        """What a `Record` must hold for `find`."""

    @abc.abstractmethod
    async def create(self, line: Line, key: str, drafts: list[bytes]) -> str:
        """Hand a batch in, the request that does so sent only once; its id. Raises `CallFailed` where it may be there or not."""

    @abc.abstractmethod
    async def find(self, line: Line, record: Record, others: frozenset[str]) -> str | None:
        """The id of a batch that was written down, if the provider has it; `others` are the ids of known ones."""

    @abc.abstractmethod
    async def look(self, line: Line, number: str) -> State:
        """How the batch with that id stands."""

    @abc.abstractmethod
    async def results(self, line: Line, state: State) -> list[bytes]:
        """The results of a batch that has ended, a line each."""

    @abc.abstractmethod
    def name(self, line: bytes) -> str:
        """Whose result it is. Raises `ValueError`."""

    @abc.abstractmethod
    def read(self, request: Generate, line: bytes, left_out: list[str], facts: dict[str, Any]) -> Response | Again:
        """A result. `facts` are fields of the response. Raises `ValueError` for one that is none."""

    @property
    @abc.abstractmethod
    def left_out(self) -> list[str]:
        """Parameters that are not sent, as the model refuses them."""


class Batches:
    """The batches of one call of `answer`.

    Args:
        model: an `HttpModel`: its uri, fingerprint, endpoint and options.
        api: the provider's side.
    """

    def __init__(self, model: Any, api: BatchApi) -> None:
        self._uri, self._api = model.uri, api
        self._tries: int = model.options.tries
        self._fingerprint = model.fingerprint
        self._no_likelihood: str = model.no_likelihood or "batches are asked for texts only"
        # Many parts of one conversation, none of which is a request of the run: no limits on their number.
        self._background = Background(model.endpoint, HttpOptions(concurrency=4, timeout=model.options.timeout, tries=self._tries))
        self._ledger = Ledger(model.fingerprint)
        self._open: dict[str, tuple[Record, dict[str, Waiting]]] = {}  # by key; with those whose answers are wanted
        self._stopped = False
        self._wake: SimpleQueue[None] = SimpleQueue()  # unlike an event it may be touched by a signal handler while we wait for it
        self._asking: SimpleQueue[tuple[Any, Exception | None]] | None = None  # the answer that is waited for
        self._most = api.most_requests

    @property
    def left_behind(self) -> str | None:
        count, requests = len(self._open), sum(len(wanted) for _, wanted in list(self._open.values()))
        if not count:
            return None
        what, their = ("1 batch", "its") if count == 1 else (f"{count} batches", "their")
        stay = "stays" if count == 1 else "stay"
        asked = "1 request" if requests == 1 else f"{requests} requests"
        return f"{what} ({asked}) {stay} with the provider, nothing is cancelled; the same command fetches {their} answers"

    def stop(self) -> None:
        """Hand nothing further in, and wait no longer, but for the answer to what is being handed in."""
        self._stopped = True
        self._wake.put(None)
        if (asking := self._asking) is not None:
            asking.put((None, _Stopped()))

    def _pause(self, seconds: float) -> bool:
        """Wait; whether it is to go on after that."""
        if not self._stopped:
            with contextlib.suppress(Empty):
                self._wake.get(timeout=seconds)
        return not self._stopped

    def close(self) -> None:
        self._background.close()

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        """As of `Model`. Ends early, with asks unanswered, once stopped."""
        with contextlib.suppress(_Stopped):
            yield from self._answer(asks)

    def _answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        known = {name: record for record in self._found() for name in record.names}
        pile: list[tuple[str, Waiting]] = []
        times: dict[str, int] = {}
        for ask in asks:
            if not isinstance(ask.request, Generate):
                yield ask, Response(finish="error", error=self._no_likelihood)
                continue
            digest = content_hash([self._fingerprint, ask.request, ask.epoch], 32)
            times[digest] = number = times.get(digest, 0) + 1
            name = f"{digest}-{number}"
            record = known.get(name)
            if record is None:
                pile.append((name, Waiting(ask, reasons=[])))
                if len(pile) >= self._most:
                    pile = self._hand_in(pile, all_of_it=False)
            else:
                self._open.setdefault(record.key, (record, {}))[1][name] = Waiting(ask, record.at, [])
        yield from self._wait(self._hand_in(pile))

    def _wait(self, pile: list[tuple[str, Waiting]]) -> Iterator[tuple[Ask, Response]]:
        """Look at what is open, with growing waits, until nothing is."""
        wait = FIRST_LOOK
        while (self._open or pile) and self._pause(wait):
            wait = min(LONGEST_LOOK, 1.5 * wait)
            if not self._open:
                pile = self._hand_in(pile)
            for record, wanted in list(self._open.values()):
                if self._stopped:
                    return
                state = self._look(record)
                if not state.ended:
                    continue
                wait = FIRST_LOOK
                again: list[tuple[str, Waiting]] = []
                if state.refused is not None:
                    again = self._refused(record, wanted, state)
                    self._ledger.forget(record)
                else:
                    results = self._results(record, state)
                    if record.doubtful and results and results.keys().isdisjoint(record.names):
                        if self._seek_further(record):
                            continue
                        again = list(wanted.items())
                    else:
                        yield from self._take(record, wanted, results, state, again)
                        self._done(record, wanted)
                del self._open[record.key]
                if state.cancelled and again:
                    requests = "1 request is" if len(again) == 1 else f"{len(again)} requests are"
                    raise ModelError(
                        f"{self._uri}: batch {record.id} was cancelled: {requests} unanswered; the same command hands them in again"
                    )
                pile = again + pile if state.too_much else self._hand_in(again + pile)

    def _done(self, record: Record, wanted: dict[str, Waiting]) -> None:
        """Every answer taken is in the journal by now; those this run did not ask for wait for one that does."""
        record.names = [name for name in record.names if name not in wanted]
        if record.names:
            self._ledger.write(record)
        else:
            self._ledger.forget(record)

    def _look(self, record: Record) -> State:
        try:
            return self._ask(lambda line: self._api.look(line, record.id))
        except CallFailed as failed:
            if failed.problem.status == 404:  # deleted, or another account's: without results all are handed in once more
                return State(time.time() - record.at > SETTLED)
            if failed.problem.status in _NOT_NOW or failed.problem.status >= 500:
                return State(False)
            raise ModelError(f"{self._uri}: batch {record.id}: {failed}") from None

    def _refused(self, record: Record, wanted: dict[str, Waiting], state: State) -> list[tuple[str, Waiting]]:
        """A batch refused as a whole: there is nothing to do but where it was too much at a time."""
        if not state.too_much or len(record.names) < 2:
            self._ledger.forget(record)
            raise ModelError(f"{self._uri}: the provider refuses the batch: {state.refused}")
        self._most = min(self._most, (len(record.names) + 1) // 2)
        return list(wanted.items())

    def _results(self, record: Record, state: State) -> dict[str, bytes]:
        """The results of a batch that has ended, by name."""
        try:
            lines = self._ask(lambda line: self._api.results(line, state))
        except CallFailed as failed:
            raise ModelError(
                f"{self._uri}: the results of batch {record.id} cannot be had: {failed}; run the same command again, "
                f"or remove {self._ledger.file(record)} to have its requests asked, and paid, a second time"
            ) from None
        results: dict[str, bytes] = {}
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):  # whoever it belongs to has no result, and is asked again
                results.setdefault(self._api.name(line), line)
        return results

    def _seek_further(self, record: Record) -> bool:
        """Of a batch that turned out to be somebody else's: whether there is another that may be the one."""
        record.not_ours.append(record.id)
        record.id = self._find(record) or ""
        if record.id:
            self._ledger.write(record)
        else:
            self._ledger.forget(record)
        return bool(record.id)

    def _take(
        self, record: Record, wanted: dict[str, Waiting], results: dict[str, bytes], state: State, again: list[tuple[str, Waiting]]
    ) -> Iterator[tuple[Ask, Response]]:
        """The answers of a batch that has ended; those to be handed in once more go to `again`."""
        for name, one in wanted.items():
            assert isinstance(one.ask.request, Generate)
            result: Response | Again
            if name not in results:
                result = Again("no result in the batch")
            else:
                facts = {"started_at": one.started_at, "latency": state.seconds, **_tried(one)}
                try:
                    result = self._api.read(one.ask.request, results[name], record.left_out, facts)
                except (ValueError, RecursionError) as error:
                    result = Again(f"malformed answer: {one_line(str(error))}")
            if isinstance(result, Response):
                yield one.ask, result
            elif (given_up := self._again(one, result)) is not None:
                yield one.ask, given_up
            else:
                again.append((name, one))

    def _again(self, one: Waiting, result: Again) -> Response | None:
        """Note that `one` has to be handed in once more; its failure where it has been often enough."""
        if result.counts:
            if len(one.reasons) + 1 >= self._tries:
                tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
                return Response(finish="error", error=f"{result.reason} after {tries}", started_at=one.started_at, **_tried(one))
            one.reasons.append(result.reason)
        return None

    def _hand_in(self, pile: list[tuple[str, Waiting]], *, all_of_it: bool = True) -> list[tuple[str, Waiting]]:
        """Send `pile` as batches; without `all_of_it` only full ones. What is left."""
        while pile and not self._stopped:
            drafts: list[bytes] = []
            size = 0
            for name, one in pile[: self._most]:
                assert isinstance(one.ask.request, Generate)
                draft = self._api.draft(one.ask.request, name)
                if drafts and size + len(draft) + 1 > self._api.most_bytes:
                    break
                size += len(draft) + 1
                drafts.append(draft)
            if not all_of_it and len(drafts) == len(pile) < self._most:
                break
            part, pile = dict(pile[: len(drafts)]), pile[len(drafts) :]
            record = Record(secrets.token_hex(8), list(part), time.time(), left_out=self._api.left_out)
            try:
                record.mark = self._ask(self._api.mark)
            except CallFailed as failed:
                raise ModelError(f"{self._uri}: no batch can be handed in: {failed}{_no_batches(failed)}") from None
            self._ledger.write(record)
            record.id = self._create(record, drafts)
            self._ledger.write(record)
            for one in part.values():
                one.started_at = one.started_at or record.at
            self._open[record.key] = (record, part)
        return pile

    def _create(self, record: Record, drafts: list[bytes]) -> str:
        """Hand it in exactly once: where that failed, the provider is asked whether it has the batch before it is sent again.

        The record stays wherever the provider may have the batch after all: the next run asks once more.
        """
        for number in range(1, self._tries + 1):
            try:
                return self._ask(lambda line: self._api.create(line, record.key, drafts), in_any_case=True)
            except CallFailed as failed:
                reason, problem = f"{failed}{_no_batches(failed)}", failed.problem
            except ModelError:  # also where the server went away: then the search fails too, and the next run's will tell
                found = self._find(record)
                if found is not None:
                    return found
                self._ledger.forget(record)
                raise
            if problem.status not in _NOT_NOW and problem.status < 500:
                self._ledger.forget(record)
                break
            self._pause(min(LONGEST_LOOK, FIRST_LOOK * 2 ** (number - 1)))  # a batch just made may not be listed yet
            found = self._find(record)
            if found is not None:
                return found
        raise ModelError(f"{self._uri}: the batch cannot be handed in: {reason}")

    def _find(self, record: Record) -> str | None:
        others = self._ledger.ids().union(record.not_ours)
        record.doubtful = not self._api.certain
        try:
            return self._ask(lambda line: self._api.find(line, record, others))
        except CallFailed as failed:
            raise ModelError(
                f"{self._uri}: whether a batch was handed in before cannot be found out: {failed}; run the same command again, "
                f"or remove {self._ledger.file(record)} to have its requests asked, and perhaps paid, a second time"
            ) from None

    def _found(self) -> list[Record]:
        """The batches that were handed in before and not taken; of those whose id was never learned, those the provider has."""
        records = []
        for record in self._ledger.records():
            if not record.id:
                record.id = self._find(record) or ""
                if not record.id:
                    self._ledger.forget(record)
                    continue
                self._ledger.write(record)
            records.append(record)
        return records

    def _ask(self, work: Callable[[Line], Awaitable[T]], *, in_any_case: bool = False) -> T:
        """Run one coroutine of the provider's side and wait for it. Raises what it raises; `_Stopped` where the run is to end before it
        has ended, unless it is waited for `in_any_case`."""
        done: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

        if not in_any_case:
            self._asking = done
            if self._stopped:
                raise _Stopped
        try:
            self._background.start([(told(work, done), None)])
            value, error = done.get()
        finally:
            self._asking = None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]


class _Stopped(Exception):
    """The run is to end, and what was asked of the provider can be asked by the next one."""


def _no_batches(failed: CallFailed) -> str:
    """What a 404 of a whole API means."""
    return "; has this server a batch API? leave batch=true out where it has none" if failed.problem.status == 404 else ""


def _tried(one: Waiting) -> dict[str, Any]:
    """The fields of a `Response` that tell what came before."""
    return {"retries": len(one.reasons), "retry_reasons": "; ".join(one.reasons) or None}
