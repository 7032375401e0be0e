"""Rerankers behind a server: `/rerank` as Jina, Cohere and vLLM have it, one request for each query."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.connection import Call, CallFailed, Endpoint, HttpOptions, Line
from proctor.models.embedding_server import served
from proctor.models.http import HttpModel
from proctor.models.options import read_options
from proctor.models.rerank import Reranker
from proctor.types import Response


class ServerOptions(HttpOptions, frozen=True, kw_only=True):
    """Options of a rerank API; see `Depth`."""

    depth: int = 100


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct):
    results: list[_Result]


_CALL = Call(msgspec.json.Decoder(_Answer).decode)


class ServedReranker(HttpModel, Reranker):
    """A model behind `/rerank`.

    Args:
        uri: as the user named it.
        base: URL up to and including `/v1`.
        model: the name the server knows it by.
        options: see `ServerOptions`.
        secret: the key; None where the server wants none.
    """

    def __init__(self, uri: str, base: str, model: str, options: ServerOptions, secret: str | None) -> None:
        Reranker.__init__(self, options.depth)
        self.uri, self.model, self.options = uri, model, options
        self.endpoint = Endpoint(base.rstrip("/"), {"Authorization": f"Bearer {secret}"} if secret else {}, secret)
        self.fingerprint = content_hash(["rerank-api 1", self.endpoint.base, model, options.depth])

    answer = Reranker.answer

    async def respond(self, line: Line, ask: Ask) -> Response:
        raise NotImplementedError

    def scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> Sequence[Sequence[float]]:
        async def all_of(line: Line) -> list[list[float]]:
            return await asyncio.gather(*(self._one(line, query, documents) for query, documents in pairs))

        return self.call(all_of)

    async def _one(self, line: Line, query: str, documents: Sequence[str]) -> list[float]:
        if not documents:
            return []
        body = {"model": self.model, "query": query, "documents": list(documents), "top_n": len(documents)}
        try:
            found = (await line.send("/rerank", body, _CALL)).value.results
        except CallFailed as failed:
            raise ModelError(f"{self.uri}: {len(documents)} documents are not put into order: {failed}") from None
        scores = {one.index: one.relevance_score for one in found}
        if set(scores) != set(range(len(documents))):
            raise ModelError(f"{self.uri}: {len(documents)} documents were sent to {self.endpoint.base}/rerank, {len(scores)} came back")
        return [scores[index] for index in range(len(documents))]

    def describe(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint.base, "model": self.model, "api": "rerank", "depth": self.depth, "first": "bm25"}


def open_server(path: str, options: dict[str, str], uri: str) -> ServedReranker:
    """`rerank:http(s)://HOST:PORT/v1#MODEL`. Raises `ModelError` for a missing model name or key."""
    chosen = read_options(uri, options, ServerOptions)
    if chosen.batch or chosen.stream:
        raise ModelError(f"model {uri}: the options batch and stream are of generated text")
    if not 1 <= chosen.depth <= 10_000:
        raise ModelError(f"model {uri}: option depth={chosen.depth}: expected 1 to 10,000")
    base, model, secret = served(path, chosen.key_env, uri)
    return ServedReranker(uri, base, model, chosen, secret)
