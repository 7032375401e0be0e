"""Message Batches of the Anthropic API (https://docs.anthropic.com/en/docs/build-with-claude/batch-processing)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.models.anthropic_answers import decode
from proctor.models.batch import Again, BatchApi, State
from proctor.models.batch_ledger import Record
from proctor.models.chat import refused_parameter
from proctor.models.connection import Call, Line, Upload
from proctor.models.http_errors import Problem, one_line
from proctor.types import Generate, Response

if TYPE_CHECKING:
    from proctor.models.anthropic import AnthropicModel

_PAGE, _LONGEST_SEARCH = 100, 86400.0  # batches listed at once; seconds before a record was written from which nothing can be its batch
_RESULTS_LIMIT = 4 * 2**30
_STATUS = {"invalid_request_error": 400, "request_too_large": 413, "not_found_error": 404, "permission_error": 403, "billing_error": 402}
_OPTIONAL = ("temperature", "top_p", "stop_sequences", "prefill")


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(msgspec.Struct):
    """A batch as the API tells of it; times by RFC 3339."""

    id: str
    processing_status: str = ""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    results_url: str | None = None


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Name(msgspec.Struct):
    custom_id: str


class _Explained(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Error(msgspec.Struct):
    error: _Explained | None = None


class _Outcome(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class _Result(msgspec.Struct):
    """A line of the results."""

    result: _Outcome


_decode_name = msgspec.json.Decoder(_Name).decode
_decode_result = msgspec.json.Decoder(_Result).decode
_encode = msgspec.json.Encoder().encode
_CREATE = Call(msgspec.json.Decoder(_Batch).decode, tries=1)
_LOOK = Call(msgspec.json.Decoder(_Batch).decode, method="GET")
_LIST = Call(msgspec.json.Decoder(_Page).decode, method="GET")
_CONTENT: Call[bytes] = Call(bytes, method="GET", limit=_RESULTS_LIMIT)
_PATH = "/v1/messages/batches"


class AnthropicBatches(BatchApi):
    """Batches for one model. The API keeps no names for them: one whose id was never learned is sought among those made since, by its size,
    and its results tell by their `custom_id`s whether it was the right one.

    Args:
        model: whose requests they hold.
    """

    most_requests, most_bytes, certain = 100_000, 256_000_000, False

    def __init__(self, model: AnthropicModel) -> None:
        self._model = model

    @property
    def left_out(self) -> list[str]:
        return sorted(self._model.not_sent)

    def draft(self, request: Generate, name: str) -> bytes:
        return _encode({"custom_id": name, "params": self._model.body(request)})

    async def mark(self, line: Line) -> str:
        newest = (await line.send(f"{_PATH}?limit=1", None, _LIST)).value.data
        return newest[0].id if newest else ""

    async def create(self, line: Line, key: str, drafts: list[bytes]) -> str:
        data = b"".join([b'{"requests":[', b",".join(drafts), b"]}"])
        return (await line.send(_PATH, Upload(data, "application/json"), _CREATE)).value.id

    async def find(self, line: Line, record: Record, others: frozenset[str]) -> str | None:
        found, after = None, ""
        while True:
            page = (await line.send(f"{_PATH}?limit={_PAGE}{after}", None, _LIST)).value
            for batch in page.data:  # newest first
                if batch.id == record.mark:
                    return found
                if batch.id not in others and sum(msgspec.structs.astuple(batch.request_counts)) == len(record.names):
                    found = batch.id
            made = page.data[-1].created_at if page.data else None
            if not page.has_more or made is None or made.timestamp() < record.at - _LONGEST_SEARCH:  # the latter where the mark was deleted
                return found
            after = f"&after_id={page.data[-1].id}"

    async def look(self, line: Line, number: str) -> State:
        batch = (await line.send(f"{_PATH}/{number}", None, _LOOK)).value
        now = time.time()
        began = batch.created_at.timestamp() if batch.created_at else now
        ended = batch.ended_at.timestamp() if batch.ended_at else now
        cancelled = batch.cancel_initiated_at is not None
        return State(batch.processing_status == "ended", max(0.0, ended - began), [f"{_PATH}/{number}/results"], cancelled=cancelled)

    async def results(self, line: Line, state: State) -> list[bytes]:
        return [one for path in state.results for one in (await line.send(path, None, _CONTENT)).value.splitlines()]

    def name(self, line: bytes) -> str:
        return _decode_name(line).custom_id

    def read(self, request: Generate, line: bytes, left_out: list[str], facts: dict[str, Any]) -> Response | Again:
        result = _decode_result(line).result
        if result.type == "succeeded":
            return self._model.read(request, decode(bytes(result.message)), facts)
        if result.type in ("expired", "canceled"):
            return Again(f"{result.type} in the batch")
        said = (result.error.error if result.error else None) or _Explained("error", "no explanation")
        status = _STATUS.get(said.type)
        if status is None:
            return Again(said.type)
        problem = Problem(status, one_line(said.message.replace(self._model.endpoint.secret or "\0", "***")), said.type)
        refused = refused_parameter(problem, [name for name in _OPTIONAL if name not in left_out])
        if refused is not None:
            self._model.not_sent.add(refused)
            return Again(f"the model refuses {refused}", counts=False)
        return Response(finish="error", error=f"HTTP {status}: {problem.detail}", **facts)
