"""Embeddings from a server: the OpenAI API, and every server that has its `/embeddings` (vLLM, llama.cpp, text-embeddings-inference, …)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.connection import Call, CallFailed, Endpoint, HttpOptions, Line
from proctor.models.embedding import Embedder
from proctor.models.http import HttpModel
from proctor.models.openai import read_key
from proctor.models.options import read_options
from proctor.types import Corpus, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OFFICIAL = "https://api.openai.com/v1"
TEXTS, CHARACTERS = 64, 64_000  # of one request: far below what any server takes
AHEAD = 4096  # texts whose requests are under way together; bounds memory


class ServerOptions(HttpOptions, frozen=True, kw_only=True):
    """Options of an embeddings API; see `Prefixes` for those that change answers."""

    query_prefix: str = ""
    document_prefix: str = ""


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Vector]


_CALL = Call(msgspec.json.Decoder(_Answer).decode)


class ServedEmbedder(HttpModel, Embedder):
    """A model behind `/embeddings`. Vectors are compared by their cosine.

    Args:
        uri: as the user named it.
        base: URL up to and including `/v1`.
        model: the name the server knows it by.
        options: see `ServerOptions`.
        secret: the key; None where the server wants none.
    """

    def __init__(self, uri: str, base: str, model: str, options: ServerOptions, secret: str | None) -> None:
        Embedder.__init__(self)
        self.uri, self.model, self.options = uri, model, options
        self.prefixes = options  # as the base class knows only what all servers have
        self.endpoint = Endpoint(base.rstrip("/"), {"Authorization": f"Bearer {secret}"} if secret else {}, secret)
        self.fingerprint = content_hash(["embeddings-api 1", self.endpoint.base, model, options.query_prefix, options.document_prefix])

    answer = Embedder.answer

    async def respond(self, line: Line, ask: Ask) -> Response:
        raise NotImplementedError

    def documents(self, corpus: Corpus) -> NDArray[np.float32]:
        return self._embed([self.prefixes.document_prefix + text for text in corpus.texts])

    def queries(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int | None]]:
        return self._embed([self.prefixes.query_prefix + text for text in texts]), [None] * len(texts)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1. Raises `ModelError` where the server has none for a text."""
        import numpy as np

        async def all_of(line: Line) -> NDArray[np.float32]:
            done: list[NDArray[np.float32]] = []
            for start in range(0, len(texts), AHEAD):
                done += await asyncio.gather(*(self._some(line, part) for part in _parts(texts[start : start + AHEAD])))
            return np.concatenate(done)

        vectors = self.call(all_of)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    async def _some(self, line: Line, texts: list[str]) -> NDArray[np.float32]:
        import numpy as np

        try:
            # Some servers refuse an empty text.
            sent = await line.send("/embeddings", {"model": self.model, "input": [text or " " for text in texts]}, _CALL)
        except CallFailed as failed:
            raise ModelError(f"{self.uri}: no embeddings of {len(texts)} texts: {failed}") from None
        found = sorted(sent.value.data, key=lambda one: one.index)
        widths = {len(one.embedding) for one in found}
        if [one.index for one in found] != list(range(len(texts))) or len(widths) != 1 or 0 in widths:
            raise ModelError(f"{self.uri}: {len(texts)} texts were sent to {self.endpoint.base}/embeddings, {len(found)} vectors came back")
        return np.array([one.embedding for one in found], dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint.base, "model": self.model, "api": "embeddings", "similarity": "cosine"}


def _parts(texts: Sequence[str]) -> list[list[str]]:
    """Texts in requests of at most `TEXTS` texts and `CHARACTERS` characters, at least one text each."""
    parts: list[list[str]] = []
    room = 0
    for text in texts:
        room -= len(text)
        if not parts or room < 0 or len(parts[-1]) == TEXTS:
            parts.append([])
            room = CHARACTERS - len(text)
        parts[-1].append(text)
    return parts


def open_server(path: str, options: dict[str, str], uri: str) -> ServedEmbedder:
    """`embed:http(s)://HOST:PORT/v1#MODEL` or `embed:openai:MODEL`. Raises `ModelError` for a missing model name or key."""
    chosen = read_options(uri, options, ServerOptions)
    if chosen.batch or chosen.stream:
        raise ModelError(f"model {uri}: the options batch and stream are of generated text")
    base, model, secret = served(path, chosen.key_env, uri)
    return ServedEmbedder(uri, base, model, chosen, secret)


def served(path: str, key_env: str | None, uri: str) -> tuple[str, str, str | None]:
    """(URL, model, key) of `http(s)://HOST:PORT/v1#MODEL` or `openai:MODEL`. Raises `ModelError` for a missing model name or key."""
    if path.startswith("openai:"):
        base, model = os.environ.get("OPENAI_BASE_URL") or _OFFICIAL, path.removeprefix("openai:")
        key_env = key_env or "OPENAI_API_KEY"
    else:
        base, _, model = path.partition("#")
        url = urlsplit(base)
        if url.username is not None or url.password is not None:
            raise ModelError(
                f"model {url.scheme}://…@{url.hostname}: no secrets in the name; put the key in an environment variable (?key_env=NAME)"
            )
    if not model:
        raise ModelError(f"model {uri}: which model? write the name the server knows it by after '#': {base}#NAME")
    return base, model, read_key(uri, key_env, required=key_env is not None)
