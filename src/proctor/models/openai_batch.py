"""Batches of the OpenAI API (https://platform.openai.com/docs/guides/batch): a file of requests is uploaded, a batch made of it, and its
results are files again: one of answers and one of failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.models.batch import SETTLED, Again, BatchApi, State
from proctor.models.batch_ledger import Record
from proctor.models.chat import refused_parameter
from proctor.models.connection import Call, Line, Upload
from proctor.models.http_errors import one_line, read_problem
from proctor.models.openai_answers import decode_chat, decode_text
from proctor.types import Generate, Response

if TYPE_CHECKING:
    from proctor.models.openai import OpenAIModel

_PAGE, _LONGEST_SEARCH = 100, 86400.0  # batches listed at once; seconds before a record was written from which nothing can be its batch
_RESULTS_LIMIT = 4 * 2**30
_BOUNDARY = "proctor-7f3a91c2d4"


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Errors(msgspec.Struct):
    data: list[_Error] | None = None


class _Counts(msgspec.Struct):
    completed: int = 0


class _Batch(msgspec.Struct):
    """A batch as the API tells of it; times in Unix seconds."""

    id: str
    status: str = ""
    created_at: float | None = None
    completed_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None


class _File(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Name(msgspec.Struct):
    custom_id: str


class _Answered(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    """A line of a file of results."""

    response: _Answered | None = None
    error: _Error | None = None


_decode_name = msgspec.json.Decoder(_Name).decode
_decode_result = msgspec.json.Decoder(_Result).decode
_encode = msgspec.json.Encoder().encode
_UPLOAD = Call(msgspec.json.Decoder(_File).decode)
_CREATE = Call(msgspec.json.Decoder(_Batch).decode, tries=1)
_LOOK = Call(msgspec.json.Decoder(_Batch).decode, method="GET")
_LIST = Call(msgspec.json.Decoder(_Page).decode, method="GET")
_CONTENT: Call[bytes] = Call(bytes, method="GET", limit=_RESULTS_LIMIT)


class OpenAIBatches(BatchApi):
    """Batches for one model; they are known again by `proctor` in their metadata.

    Args:
        model: whose requests they hold.
        path: of the call each request stands for, after the base URL.
    """

    most_requests, most_bytes = 50_000, 200_000_000

    def __init__(self, model: OpenAIModel, path: str) -> None:
        self._model, self._endpoint = model, "/v1" + path
        self._decode = decode_text if path == "/completions" else decode_chat

    @property
    def left_out(self) -> list[str]:
        return sorted(self._model.not_sent)

    def draft(self, request: Generate, name: str) -> bytes:
        return _encode({"custom_id": name, "method": "POST", "url": self._endpoint, "body": self._model.body(request)})

    async def mark(self, line: Line) -> str:
        return ""

    async def create(self, line: Line, key: str, drafts: list[bytes]) -> str:
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="proctor-{key}.jsonl"\r\n',
            "Content-Type: application/jsonl\r\n\r\n",
        ]
        data = b"".join(["".join(parts).encode(), b"\n".join(drafts), f"\n\r\n--{_BOUNDARY}--\r\n".encode()])
        file = (await line.send("/files", Upload(data, f"multipart/form-data; boundary={_BOUNDARY}"), _UPLOAD)).value
        body = {"input_file_id": file.id, "endpoint": self._endpoint, "completion_window": "24h", "metadata": {"proctor": key}}
        return (await line.send("/batches", body, _CREATE)).value.id

    async def find(self, line: Line, record: Record, others: frozenset[str]) -> str | None:
        after = ""
        while True:
            page = (await line.send(f"/batches?limit={_PAGE}{after}", None, _LIST)).value
            for batch in page.data:
                if (batch.metadata or {}).get("proctor") == record.key:
                    return batch.id
            if not page.has_more or not page.data or (page.data[-1].created_at or time.time()) < record.at - _LONGEST_SEARCH:
                return None
            after = f"&after={page.data[-1].id}"

    async def look(self, line: Line, number: str) -> State:
        batch = (await line.send(f"/batches/{number}", None, _LOOK)).value
        if batch.status == "failed":
            errors = (batch.errors.data if batch.errors else None) or [_Error(message="no explanation")]
            said = "; ".join(error.message or error.code or "" for error in errors[:3])
            return State(True, refused=one_line(said), too_much=errors[0].code == "token_limit_exceeded")
        answered = batch.request_counts.completed if batch.request_counts else 0
        since = time.time() - (batch.completed_at or 0.0)
        if batch.status == "completed" and answered and not batch.output_file_id and since < SETTLED:
            return State(False)  # its file of answers is about to be there
        taken = max(0.0, (batch.completed_at or time.time()) - (batch.created_at or time.time()))
        files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
        return State(batch.status in ("completed", "expired", "cancelled"), taken, files, cancelled=batch.status == "cancelled")

    async def results(self, line: Line, state: State) -> list[bytes]:
        lines: list[bytes] = []
        for file in state.results:
            lines += (await line.send(f"/files/{file}/content", None, _CONTENT)).value.splitlines()
        return lines

    def name(self, line: bytes) -> str:
        return _decode_name(line).custom_id

    def read(self, request: Generate, line: bytes, left_out: list[str], facts: dict[str, Any]) -> Response | Again:
        from proctor.models.openai import OPTIONAL

        result = _decode_result(line)
        if result.error is not None and result.response is None:
            return Again(one_line(result.error.code or result.error.message or "no explanation"))
        if result.response is None:
            raise ValueError("neither response nor error")
        status, body = result.response.status_code, bytes(result.response.body)
        if status == 200:
            return self._model.read(request, self._decode(body), facts)
        problem = read_problem(status, body, self._model.endpoint.secret)
        if status >= 500 or status in (408, 409, 425, 429):
            return Again(f"HTTP {status}")
        refused = refused_parameter(problem, [name for name in OPTIONAL if name not in left_out])
        if refused is not None:
            self._model.not_sent.add(refused)
            return Again(f"the model refuses {refused}", counts=False)
        error = f"HTTP {status}: {problem.detail}"
        if problem.code in ("content_filter", "content_policy_violation"):
            return Response(text="", finish="refused", error=error, **facts)
        return Response(finish="error", error=error, **facts)
