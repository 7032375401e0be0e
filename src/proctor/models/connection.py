"""One endpoint, one pool of connections, and the patience to use them: a request is sent until it is answered or not worth another try."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from proctor.errors import ModelError

BODY_LIMIT = 64 * 2**20
_FIRST_WAIT = 0.5  # seconds before the first retry; doubles
_LONGEST_WAIT = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_QUICK_TRIES = 3  # for a server nobody has reached yet
_RETRIED = frozenset({408, 409, 425, 429})  # and everything from 500

_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of every model behind HTTP; none of them changes an answer.

    Attributes:
        concurrency: requests under way at once.
        timeout: seconds one sending may take, from connection to last byte.
        tries: sendings of one request before it is given up.
        key_env: the environment variable that holds the key.
    """

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 32
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 6
    key_env: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """Where requests go: the URL before the path of the call, and the headers of each request. `secret` never reaches a message."""

    base: str
    headers: dict[str, str]
    secret: str | None = None


class Sent(msgspec.Struct, Generic[T]):
    """A request that was answered: the decoded body, when it was first sent (Unix time), how long the last sending took (seconds), and how
    many failed before it."""

    value: T
    started_at: float
    latency: float
    retries: int


class _Problem(msgspec.Struct, frozen=True):
    """What an unwelcome answer says: its status, one line, and the `code` and `param` of an OpenAI-style error body."""

    status: int = 0
    detail: str = ""
    code: str = ""
    param: str = ""


class CallFailed(Exception):
    """A request that was given up, or refused by the server. `str()` is one line.

    Attributes:
        started_at: when it was first sent, Unix time.
        retries: how many sendings preceded the last.
        problem: what the server said; status 0 where it said nothing.
    """

    def __init__(self, message: str, started_at: float, retries: int, problem: _Problem) -> None:
        super().__init__(message)
        self.started_at, self.retries, self.problem = started_at, retries, problem


class Line:
    """The connections to one endpoint, and the patience to use them."""

    def __init__(self, endpoint: Endpoint, options: HttpOptions) -> None:
        self.endpoint, self.options = endpoint, options
        self._reached = 0.0  # when the server last sent anything, on the monotonic clock; 0 for never
        self._answered = False

    async def __aenter__(self) -> Line:
        self._slots = asyncio.Semaphore(self.options.concurrency)
        host = urlsplit(self.endpoint.base).hostname or ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.options.concurrency),
            timeout=aiohttp.ClientTimeout(total=self.options.timeout, sock_connect=min(30.0, self.options.timeout)),
            headers={"Content-Type": "application/json", "User-Agent": "proctor", **self.endpoint.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not (host == "localhost" or host == "::1" or host.startswith("127.")),  # proxies from the environment
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, path: str, body: Any, decode: Callable[[bytes], T]) -> Sent[T]:
        """POST `body` (as JSON) until it is answered.

        Sent again, after exponentially growing waits with jitter or what Retry-After says: 408, 409, 425, 429, 5xx; dropped connections;
        time-outs; bodies that `decode` refuses with `ValueError`. Meanwhile the connection serves other requests.

        Raises:
            CallFailed: given up, or not worth another try (400, 422, …).
            ModelError: nothing can be answered: no server, no such model, not allowed, no quota.
        """
        try:
            payload = _encode(body)
        except ValueError as error:  # half of a surrogate pair in a text
            raise CallFailed(f"the request cannot be written as JSON: {_one_line(str(error))}", time.time(), 0, _Problem()) from None
        url = self.endpoint.base + path
        started_at = began = 0.0
        retries = 0
        while True:
            wait: float | None = None
            problem, unreachable = _Problem(), False
            async with self._slots:
                sent = time.perf_counter()
                if not retries:
                    started_at, began = time.time(), sent
                try:
                    status, headers, data = await self._exchange(url, payload)
                except aiohttp.ClientConnectorError as error:
                    unreachable = True
                    what, why = "no connection", _os_reason(getattr(error, "certificate_error", None) or error.os_error)
                except (aiohttp.InvalidURL, UnicodeError):  # the latter from idna, for a host like a..b
                    raise ModelError(f"{url} is not a URL") from None
                except TimeoutError:
                    what, why = "no complete answer", f"within {self.options.timeout:g} s"
                except (aiohttp.ClientError, OSError) as error:
                    what, why = "connection dropped", _one_line(f"{type(error).__name__}: {error}")
                except _TooLongError:
                    problem = _Problem(200, f"an answer of more than {BODY_LIMIT // 2**20} MiB")
                    raise CallFailed(problem.detail, started_at, retries, problem) from None
                else:
                    latency = time.perf_counter() - sent
                    self._reached = sent + latency
                    if 200 <= status < 300:
                        try:
                            value = decode(data)
                        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                            # Some gateways report an error with status 200.
                            said = f" ({_read_problem(status, data, self.endpoint.secret).detail})" if b'"error"' in data[:1000] else ""
                            what, why = "malformed answer", _one_line(f"{error}{said}")
                            problem = _Problem(status, why)
                        else:
                            self._answered = True
                            return Sent(value, started_at, latency, retries)
                    else:
                        problem, wait = _read_problem(status, data, self.endpoint.secret), _retry_after(headers)
                        what, why = f"HTTP {status}", problem.detail
            if problem.status >= 300:
                self._raise_if_final(problem, started_at, retries)
            retries += 1
            if unreachable and not self._reached and retries >= min(_QUICK_TRIES, self.options.tries):
                raise ModelError(f"no server answers at {self.endpoint.base}: {why}; is it running?")
            if retries >= self.options.tries:
                if unreachable and self._reached < began:
                    raise ModelError(f"the server at {self.endpoint.base} went away: {why}; what is answered is kept")
                tries = "1 try" if retries == 1 else f"{retries} tries"
                raise CallFailed(f"{what} after {tries}: {why}", started_at, retries - 1, problem)
            if wait is None:
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (retries - 1)) * random.uniform(0.5, 1.0)
            await asyncio.sleep(wait)

    async def _exchange(self, url: str, payload: bytes) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.post(url, data=payload, allow_redirects=False) as answer:
            parts: list[bytes] = []
            size = 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > BODY_LIMIT:
                    answer.close()
                    raise _TooLongError
            return answer.status, answer.headers, parts[0] if len(parts) == 1 else b"".join(parts)

    def _raise_if_final(self, problem: _Problem, started_at: float, retries: int) -> None:
        """Raise for answers that another try would not change."""
        status, where = problem.status, self.endpoint.base
        if problem.code == "insufficient_quota" or status == 402:
            raise ModelError(f"{where}: the account has no quota left (HTTP {status}): {problem.detail}")
        # A 403 after good answers is about one item (a gateway's moderation), before them about the key.
        if status == 401 or (status == 403 and not self._answered):
            raise ModelError(f"{where} does not accept the key (HTTP {status}): {problem.detail}")
        if status not in _RETRIED and status < 500:
            raise CallFailed(f"HTTP {status}: {problem.detail}", started_at, retries, problem)


class _TooLongError(Exception):
    """A body that exceeds `BODY_LIMIT`."""


def _read_problem(status: int, data: bytes, secret: str | None) -> _Problem:
    """What an error body says: OpenAI's and Anthropic's {"error": {"message", "code", "param", "type"}}, {"error": "…"},
    {"message": "…"}, {"detail": "…"}, or else its first line."""
    code = param = ""
    detail: Any = ""
    try:
        body = msgspec.json.decode(data[:100_000])
    except (ValueError, RecursionError):
        detail = data[:2000].decode(errors="replace").strip()
    else:
        error = body.get("error", body) if isinstance(body, dict) else body
        if isinstance(error, dict):
            detail = error.get("message") or error.get("detail") or ""
            code, param = str(error.get("code") or error.get("type") or ""), str(error.get("param") or "")
        else:
            detail = error
    if not isinstance(detail, str):
        detail = str(msgspec.json.encode(detail), "utf-8")
    if secret:
        detail = detail.replace(secret, "***")
    return _Problem(status, _one_line(detail) or "no explanation", code, param)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:299] + "…"


def _os_reason(error: OSError) -> str:
    """`connection refused` and the like; asyncio's own text for it is "Connect call failed"."""
    if error.errno is None or error.errno <= 0 or isinstance(error, ssl.SSLError):  # name look-ups and TLS have numbers of their own
        return _one_line(error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server says (RFC 9110, section 10.2.3: seconds or a date), at most an hour; None where it does not."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) + random.uniform(0.0, 0.1) if seconds == seconds else None
