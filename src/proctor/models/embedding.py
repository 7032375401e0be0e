"""Models that embed, as retrievers: `embed:MODEL`. Documents and query become vectors; the nearest are the answer."""

from __future__ import annotations

import abc
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.canonical import content_hash
from proctor.models.base import Ask, Kind, Model
from proctor.models.encoder_files import encoder_fingerprint, find_encoder, local_folder
from proctor.models.options import read_options
from proctor.models.ranking import Latest, best, positions
from proctor.models.sentence_encoder import SentenceEncoder
from proctor.models.weights import OPTIONS, Options, default_dtype
from proctor.types import Corpus, Rank, Ranked, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 256
"""Queries that are embedded together."""

SCORES = 1 << 25
"""Similarities that are in memory at once."""


class Prefixes(msgspec.Struct, frozen=True):
    """What goes before texts; None for the model's own settings.

    Attributes:
        query_prefix: before a query; what the model calls the instruction of a query may stand here too.
        document_prefix: before a document.
    """

    query_prefix: str | None = None
    document_prefix: str | None = None


class Embedder(Model):
    """Ranks documents by the similarity of vectors; subclasses make the vectors.

    A corpus is embedded once, at its first query, and kept until another is asked about. A query is the instruction and the query as one
    text, after the prefix.
    """

    kinds: frozenset[Kind] = frozenset({"rank"})

    def __init__(self) -> None:
        self._vectors = Latest(self.documents)

    @abc.abstractmethod
    def documents(self, corpus: Corpus) -> NDArray[np.float32]:
        """The documents as vectors, shape (documents, dimensions); comparable by their products."""

    @abc.abstractmethod
    def queries(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int | None]]:
        """Queries likewise, and how many tokens each has where that is known."""

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        source = iter(asks)
        while window := list(islice(source, WINDOW)):
            for _, group in groupby(window, key=lambda ask: ask.corpus.hash if ask.corpus is not None else ""):
                yield from self._answer(list(group))

    def _answer(self, asks: list[Ask]) -> Iterator[tuple[Ask, Response]]:
        corpus = asks[0].corpus
        assert corpus is not None
        vectors = self._vectors.of(corpus)
        started, began = time.time(), time.perf_counter()
        requests = [ask.request for ask in asks if isinstance(ask.request, Rank)]
        queries, tokens = self.queries([request.text for request in requests])
        rankings = list(nearest(corpus, vectors, queries, requests))
        latency = (time.perf_counter() - began) / len(asks)
        for ask, ranking, count in zip(asks, rankings, tokens, strict=True):
            yield ask, Response(ranking=ranking, input_tokens=count, started_at=started, latency=latency)

    def close(self) -> None:
        self._vectors.forget()


def nearest(
    corpus: Corpus, vectors: NDArray[np.float32], queries: NDArray[np.float32], requests: Sequence[Rank]
) -> Iterator[tuple[Ranked, ...]]:
    """The ranking of each request.

    Args:
        corpus: the documents.
        vectors: of the documents, shape (documents, dimensions).
        queries: shape (requests, dimensions).
        requests: which candidates, and how many.
    """
    step = max(1, SCORES // max(1, len(vectors)))
    for start in range(0, len(requests), step):
        part = requests[start : start + step]
        scores = None if all(request.candidates for request in part) else queries[start : start + step] @ vectors.T
        for offset, request in enumerate(part):
            if not request.candidates:
                assert scores is not None
                yield best(corpus.ids, scores[offset], request.top_k)
                continue
            chosen = vectors[positions(corpus, request.candidates)] @ queries[start + offset]
            yield best(request.candidates, chosen, request.top_k)


class LocalEmbedder(Embedder):
    """A sentence-transformers folder, run here.

    Args:
        path: a folder, an installed package that carries one, or org/name on the hub.
        options: of a local model.
        prefixes: what goes before texts.
        uri: as the user named it.
    """

    free = True

    def __init__(self, path: str, options: Options, prefixes: Prefixes, uri: str) -> None:
        super().__init__()
        self.uri, self.options, self._given = uri, options, prefixes
        self.files = find_encoder(path, options, uri)
        self.fingerprint = content_hash(
            [
                "embed 1",
                encoder_fingerprint(self.files, options.revision),
                default_dtype(options),
                prefixes.query_prefix,
                prefixes.document_prefix,
            ]
        )

    @cached_property
    def encoder(self) -> SentenceEncoder:
        return SentenceEncoder(self.files, local_folder(self.files, self.options), self.options)

    def documents(self, corpus: Corpus) -> NDArray[np.float32]:
        prefix = self.encoder.prefixes[1] if self._given.document_prefix is None else self._given.document_prefix
        return self.encoder.encode([prefix + text for text in corpus.texts] if prefix else corpus.texts)

    def queries(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int | None]]:
        prefix = self.encoder.prefixes[0] if self._given.query_prefix is None else self._given.query_prefix
        counts: list[int] = []
        vectors = self.encoder.encode([prefix + text for text in texts], counts)
        return vectors, list(counts)

    def describe(self) -> dict[str, Any]:
        return self.encoder.describe()

    def close(self) -> None:
        super().close()
        self.__dict__.pop("encoder", None)


def open_embedding(scheme: str, path: str, options: dict[str, str], uri: str) -> Model:
    """`embed:FOLDER`, `embed:PACKAGE`, `embed:ORG/NAME`; `embed:http(s)://HOST:PORT/v1#MODEL` and `embed:openai:MODEL`."""
    if path.startswith(("http://", "https://", "openai:")):
        from proctor.models.embedding_server import open_server

        return open_server(path, options, uri)
    names = {field.name for field in msgspec.structs.fields(Prefixes)}
    prefixes = read_options(uri, {name: value for name, value in options.items() if name in names}, Prefixes)
    rest = {name: value for name, value in options.items() if name not in names}
    unknown = next((name for name in rest if name not in OPTIONS), None)
    if unknown is not None:
        read_options(uri, {unknown: ""}, Prefixes)  # names what there is
    return LocalEmbedder(path, Options.parse(rest, f"model {uri}"), prefixes, uri)
