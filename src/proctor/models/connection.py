"""One endpoint, one pool of connections, and the patience to use them: a request is sent until it is answered or not worth another try."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from proctor.errors import ModelError
from proctor.models.admission import Admission
from proctor.models.http_errors import Problem, one_line, os_reason, read_problem, retry_after

BODY_LIMIT = 64 * 2**20
_FIRST_WAIT = 0.1  # seconds before the first retry, soon, as most failures are of the moment; quadruples
_LONGEST_WAIT = 60.0
_QUICK_TRIES = 3  # for a server nobody has reached yet
_RETRIED = frozenset({408, 409, 425, 429})  # and everything from 500
_OVERLOADED = frozenset({429, 503, 529})
_HEDGE_AFTER, _HEDGE_OVER, _HEDGE_EVERY = 50, 1000, 32  # latencies before the first hedge, kept, and between two looks at their quantile
_CHARACTERS_PER_TOKEN = 4.0

_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of every model behind HTTP; none of them changes an answer.

    Attributes:
        concurrency: requests under way at once; None adapts to the server.
        timeout: seconds one sending may take, from connection to last byte.
        tries: sendings of one request before it is given up.
        key_env: the environment variable that holds the key.
        rpm: requests a minute at most.
        tpm: tokens a minute at most, in and out together.
        hedge: a request slower than this quantile of recent ones is sent a second time, and the first answer counts.
        stream: have texts sent as they are written, to know the time to the first token.
        batch: hand requests in as batches, which are answered within a day, for less.
    """

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 6
    key_env: str | None = None
    rpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    tpm: Annotated[float, msgspec.Meta(gt=0)] | None = None
    hedge: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] | None = None
    stream: bool = False
    batch: bool = False


def check_batch(uri: str, options: HttpOptions) -> None:
    """Raises `ModelError` for options that have no meaning with `batch`."""
    if options.batch and (options.stream or options.hedge is not None):
        raise ModelError(f"model {uri}: batch=true goes with neither stream nor hedge; leave them out")


class Endpoint(msgspec.Struct, frozen=True):
    """Where requests go: the URL before the path of the call, and the headers of each request. `secret` never reaches a message."""

    base: str
    headers: dict[str, str]
    secret: str | None = None


class Upload(msgspec.Struct, frozen=True):
    """A body that is no JSON of ours."""

    data: bytes
    content_type: str


class Call(msgspec.Struct, Generic[T], frozen=True):
    """How an answer is asked for and read.

    Attributes:
        decode: the body as a value; raises `ValueError` for one that is none.
        begun: whether a streamed body so far holds the first token; None where nothing is streamed.
        tokens: tokens an answer took, in and out; None where it does not say.
        method: of HTTP.
        limit: bytes a body may have; None for 64 MiB.
        tries: sendings before it is given up; None for what the options say.
    """

    decode: Callable[[bytes], T]
    begun: Callable[[bytes], bool] | None = None
    tokens: Callable[[T], int | None] | None = None
    method: str = "POST"
    limit: int | None = None
    tries: int | None = None


class Sent(msgspec.Struct, Generic[T]):
    """A request that was answered: the decoded body, when it was first sent (Unix time), how long the last sending took and after how long
    its first token came where it was streamed (seconds), why how many failed before it, and whether it was sent twice at once."""

    value: T
    started_at: float
    latency: float
    reasons: list[str]
    first_token: float | None = None
    hedged: bool = False

    def facts(self) -> dict[str, Any]:
        """The fields of a `Response` that tell how it was sent."""
        return {
            "started_at": self.started_at,
            "latency": self.latency,
            "retries": len(self.reasons),
            "retry_reasons": "; ".join(self.reasons) or None,
            "first_token": self.first_token,
            "hedged": self.hedged,
        }


class CallFailed(Exception):
    """A request that was given up, or refused by the server. `str()` is one line.

    Attributes:
        started_at: when it was first sent, Unix time.
        reasons: why the sendings before the last failed.
        problem: what the server said; status 0 where it said nothing.
    """

    def __init__(self, message: str, started_at: float, reasons: list[str], problem: Problem) -> None:
        super().__init__(message)
        self.started_at, self.reasons, self.problem = started_at, reasons, problem

    def facts(self) -> dict[str, Any]:
        """The fields of a `Response` that tell how it was sent."""
        return {"started_at": self.started_at, "retries": len(self.reasons), "retry_reasons": "; ".join(self.reasons) or None}


class _Answer(msgspec.Struct):
    """What one sending brought."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    latency: float
    first_token: float | None = None
    hedged: bool = False
    waited: float = 0.0  # since the first of two sendings, where it was sent twice


class _Failure(msgspec.Struct):
    """A sending worth another try: what happened and why, and how long the server wants to be left alone."""

    what: str
    why: str
    problem: Problem = Problem()
    wait: float | None = None
    unreachable: bool = False


class Line:
    """The connections to one endpoint, and the patience to use them."""

    def __init__(self, endpoint: Endpoint, options: HttpOptions) -> None:
        self.endpoint, self.options = endpoint, options
        self._reached = 0.0  # when the server last sent anything, on the monotonic clock; 0 for never
        self._answered = False
        self._latencies: deque[float] = deque(maxlen=_HEDGE_OVER)
        self._since_look = 0
        self._slow = 0.0  # a latency from which a request is sent again; 0 for never

    async def __aenter__(self) -> Line:
        self.admission = Admission(self.options.concurrency, self.options.rpm, self.options.tpm, self.options.timeout)
        host = urlsplit(self.endpoint.base).hostname or ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # admission limits them
            timeout=aiohttp.ClientTimeout(total=self.options.timeout, sock_connect=min(30.0, self.options.timeout)),
            headers={"Content-Type": "application/json", "User-Agent": "proctor", **self.endpoint.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not (host == "localhost" or host == "::1" or host.startswith("127.")),  # proxies from the environment
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, path: str, body: Any, call: Call[T]) -> Sent[T]:
        """Send `body` (as JSON, an `Upload` as it stands, None for nothing) until it is answered.

        Sent again, after exponentially growing waits with jitter or what Retry-After says: 408, 409, 425, 429, 5xx; dropped connections;
        time-outs; bodies that `call.decode` refuses with `ValueError`. Meanwhile the connection serves other requests.

        Raises:
            CallFailed: given up, or not worth another try (400, 422, …).
            ModelError: nothing can be answered: no server, no such model, not allowed, no quota.
            NotSentError: the line was closed before it went out.
        """
        try:
            payload = body.data if isinstance(body, Upload) else b"" if body is None else _encode(body)
        except ValueError as error:  # half of a surrogate pair in a text
            raise CallFailed(f"the request cannot be written as JSON: {one_line(str(error))}", time.time(), [], Problem()) from None
        url = self.endpoint.base + path
        headers = {"Content-Type": body.content_type} if isinstance(body, Upload) else None
        tokens = 0.0
        if isinstance(body, dict):
            tokens = len(payload) / _CHARACTERS_PER_TOKEN + (body.get("max_tokens") or body.get("max_completion_tokens") or 0)
        started_at = began = 0.0
        reasons: list[str] = []
        while True:
            number = await self.admission.enter(tokens, again=bool(reasons))
            try:
                if not reasons:
                    started_at, began = time.time(), time.perf_counter()
                try:
                    answer = await (self._race(url, payload, call, tokens) if self._slow else self._exchange(url, payload, call, headers))
                except _TooLongError:
                    self.admission.failed(number)
                    problem = Problem(200, f"an answer of more than {(call.limit or BODY_LIMIT) // 2**20} MiB")
                    raise CallFailed(problem.detail, started_at, reasons, problem) from None
                except (aiohttp.ClientError, OSError, UnicodeError) as error:
                    failure = self._no_answer(url, error)
                else:
                    self._reached = time.perf_counter()
                    read = self._read(answer, call)
                    self.admission.heed(answer.headers, tokens)
                    if not isinstance(read, _Failure):
                        self._note(number, answer, tokens, call.tokens(read) if call.tokens and self.options.tpm else None)
                        return Sent(read, started_at, answer.latency, reasons, answer.first_token, answer.hedged)
                    failure = read
                if failure.problem.status in _OVERLOADED or failure.what == "no complete answer":
                    self.admission.refused(number, failure.wait)
                else:
                    self.admission.failed(number)
            finally:
                self.admission.leave()
            wait = self._give_up_or_wait(failure, started_at, began, reasons, call.tries or self.options.tries)
            reasons.append(failure.what)
            await self.admission.rest(wait)

    def _read(self, answer: _Answer, call: Call[T]) -> T | _Failure:
        if not 200 <= answer.status < 300:
            problem = read_problem(answer.status, answer.data, self.endpoint.secret)
            return _Failure(f"HTTP {answer.status}", problem.detail, problem, retry_after(answer.headers))
        try:
            value = call.decode(answer.data)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            # Some gateways report an error with status 200.
            said = f" ({read_problem(answer.status, answer.data, self.endpoint.secret).detail})" if b'"error"' in answer.data[:1000] else ""
            why = one_line(f"{error}{said}")
            return _Failure("malformed answer", why, Problem(answer.status, why))
        self._answered = True
        return value

    def _no_answer(self, url: str, error: Exception) -> _Failure:
        if isinstance(error, aiohttp.InvalidURL | UnicodeError):  # the latter from idna, for a host like a..b
            raise ModelError(f"{url} is not a URL") from None
        if isinstance(error, TimeoutError):
            return _Failure("no complete answer", f"within {self.options.timeout:g} s")
        if isinstance(error, aiohttp.ClientConnectorError):
            why = os_reason(getattr(error, "certificate_error", None) or error.os_error)
            return _Failure("no connection", why, unreachable=True)
        return _Failure("connection dropped", one_line(f"{type(error).__name__}: {error}"))

    def _give_up_or_wait(self, failure: _Failure, started_at: float, began: float, reasons: list[str], most: int) -> float:
        """Seconds to wait before the next sending. Raises where there is to be none."""
        if failure.problem.status >= 300:
            self._raise_if_final(failure.problem, started_at, reasons)
        sendings = len(reasons) + 1
        if failure.unreachable and not self._reached and sendings >= min(_QUICK_TRIES, most):
            raise ModelError(f"no server answers at {self.endpoint.base}: {failure.why}; is it running?")
        if sendings >= most:
            if failure.unreachable and self._reached < began:
                raise ModelError(f"the server at {self.endpoint.base} went away: {failure.why}; what is answered is kept")
            tries = "1 try" if sendings == 1 else f"{sendings} tries"
            raise CallFailed(f"{failure.what} after {tries}: {failure.why}", started_at, reasons, failure.problem)
        if failure.wait is not None:
            return failure.wait
        return float(min(_LONGEST_WAIT, _FIRST_WAIT * 4 ** (sendings - 1)) * random.uniform(0.5, 1.0))

    def _note(self, number: int, answer: _Answer, tokens: float, used: int | None) -> None:
        """Learn from an answer."""
        self.admission.answered(number, answer.latency)
        if used is not None:
            self.admission.used(tokens, used)
        if self.options.hedge is not None:
            # Of a request sent twice, the time since the first: the second's own would lower the quantile, and more and more be sent twice.
            self._latencies.append(max(answer.latency, answer.waited))
            self._since_look += 1
            if len(self._latencies) >= _HEDGE_AFTER and (self._since_look >= _HEDGE_EVERY or not self._slow):
                self._since_look = 0
                self._slow = sorted(self._latencies)[int(self.options.hedge * len(self._latencies))]

    async def _race(self, url: str, payload: bytes, call: Call[Any], tokens: float) -> _Answer:
        """An exchange that is begun a second time where it takes longer than most ("The Tail at Scale", Dean & Barroso 2013)."""
        began = time.perf_counter()
        running = {asyncio.ensure_future(self._exchange(url, payload, call))}
        try:
            done, running = await asyncio.wait(running, timeout=self._slow)
            hedged = not done
            if hedged:
                running.add(asyncio.ensure_future(self._second(url, payload, call, tokens)))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            while True:
                # The first good answer counts; where there is none, the last bad one.
                good = [one for one in done if one.exception() is None and 200 <= one.result().status < 300]
                if good or not running:
                    answer = (good or list(done))[0].result()
                    if hedged:
                        answer.hedged, answer.waited = True, time.perf_counter() - began
                    return answer
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _second(self, url: str, payload: bytes, call: Call[Any], tokens: float) -> _Answer:
        number = await self.admission.enter(tokens, again=True)
        try:
            return await self._exchange(url, payload, call)
        finally:
            self.admission.failed(number)  # says nothing of its own to the limit: the request is reported once
            self.admission.leave()

    async def _exchange(self, url: str, payload: bytes, call: Call[Any], headers: dict[str, str] | None = None) -> _Answer:
        sent = time.perf_counter()
        first_token: float | None = None
        async with self._session.request(call.method, url, data=payload or None, headers=headers, allow_redirects=False) as answer:
            parts: list[bytes] = []
            size = 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > (call.limit or BODY_LIMIT):
                    answer.close()
                    raise _TooLongError
                if call.begun is not None and first_token is None and call.begun(b"".join(parts)):
                    first_token = time.perf_counter() - sent
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            return _Answer(answer.status, answer.headers, data, time.perf_counter() - sent, first_token)

    def _raise_if_final(self, problem: Problem, started_at: float, reasons: list[str]) -> None:
        """Raise for answers that another try would not change."""
        status, where = problem.status, self.endpoint.base
        if problem.code == "insufficient_quota" or status == 402:
            raise ModelError(f"{where}: the account has no quota left (HTTP {status}): {problem.detail}")
        # A 403 after good answers is about one item (a gateway's moderation), before them about the key.
        if status == 401 or (status == 403 and not self._answered):
            raise ModelError(f"{where} does not accept the key (HTTP {status}): {problem.detail}")
        if status not in _RETRIED and status < 500:
            raise CallFailed(f"HTTP {status}: {problem.detail}", started_at, reasons, problem)


class _TooLongError(Exception):
    """A body that exceeds the limit of its call."""
