"""Models that put found documents into order: `rerank:MODEL`. A cross-encoder, a server with `/rerank`, or a language model."""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.base import Ask, Kind, Model
from proctor.models.bm25 import BM25Options, Index
from proctor.models.encoder import Encoder
from proctor.models.encoder_files import encoder_fingerprint, find_encoder, local_folder
from proctor.models.options import read_options
from proctor.models.ranking import Latest, best, positions
from proctor.models.weights import OPTIONS, Options, default_dtype
from proctor.types import Item, Likelihood, Message, Prompt, Rank, Ranked, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LANGUAGE_MODELS = ("smollm2", "hf:", "gguf:", "python:")
WINDOW = 16
"""Queries whose pairs are scored together."""

# The wording of HELM's MS MARCO scenario, after Nogueira et al. (2020) and Liang et al. (2023).
_QUESTION = "Passage: {document}\nQuery: {query}\nDoes the passage answer the query?\nAnswer:"
_ANSWERS = ("Yes", "No")


class Depth(msgspec.Struct, frozen=True):
    """How many documents are put into order.

    Attributes:
        depth: of those BM25 finds; where an item names its candidates, all of them are put into order.
    """

    depth: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class Reranker(Model):
    """Scores each candidate beside the query. Where an item names no candidates, they are the first documents that BM25 finds.

    Args:
        depth: how many BM25 finds.
    """

    kinds: frozenset[Kind] = frozenset({"rank"})

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._index = Latest(lambda corpus: Index(corpus, BM25Options()))

    @abc.abstractmethod
    def scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> Sequence[Sequence[float]]:
        """Of each query and its documents, a number for each document, higher being better. May raise `ModelError`."""

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        source = iter(asks)
        while window := list(islice(source, WINDOW)):
            started, began = time.time(), time.perf_counter()
            found = [self._candidates(ask) for ask in window]
            scored = self.scores([(query, documents) for query, _, documents in found])
            latency = (time.perf_counter() - began) / len(window)
            for ask, (_, ids, _), values in zip(window, found, scored, strict=True):
                yield ask, Response(ranking=_order(ask, ids, values), started_at=started, latency=latency)

    def _candidates(self, ask: Ask) -> tuple[str, Sequence[str], list[str]]:
        """The query as a text, and ids and texts of the documents to be put into order."""
        request, corpus = ask.request, ask.corpus
        assert isinstance(request, Rank)
        assert corpus is not None
        ids: Sequence[str] = request.candidates
        if not ids:
            ids = [one.id for one in self._index.of(corpus).search(request.text, self.depth)]
        return request.text, ids, [corpus.texts[at] for at in positions(corpus, ids)]

    def close(self) -> None:
        self._index.forget()


def _order(ask: Ask, ids: Sequence[str], values: Sequence[float]) -> tuple[Ranked, ...]:
    import numpy as np

    assert isinstance(ask.request, Rank)
    return best(ids, np.array(values, dtype=np.float64), ask.request.top_k)


class CrossEncoder(Reranker):
    """A cross-encoder run here: query and document as one text, one number out.

    Args:
        path: a folder, an installed package that carries one, or org/name on the hub.
        options: of a local model.
        depth: how many documents BM25 finds.
        uri: as the user named it.
    """

    free = True

    def __init__(self, path: str, options: Options, depth: int, uri: str) -> None:
        super().__init__(depth)
        self.uri, self.options = uri, options
        self.files = find_encoder(path, options, uri)
        self.fingerprint = content_hash(["rerank 1", encoder_fingerprint(self.files, options.revision), default_dtype(options), depth])

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.files, local_folder(self.files, self.options), self.options, "AutoModelForSequenceClassification")

    def scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> Sequence[Sequence[float]]:
        rows = self.encoder.encode([(query, document) for query, documents in pairs for document in documents], _logits)
        values = _relevance(rows, self.uri)
        ends = list(_running(len(documents) for _, documents in pairs))
        return [values[end - len(documents) : end] for end, (_, documents) in zip(ends, pairs, strict=True)]

    def describe(self) -> dict[str, Any]:
        return {"device": self.encoder.device, "context": self.encoder.max_length, "depth": self.depth, "first": "bm25"}

    def close(self) -> None:
        super().close()
        self.__dict__.pop("encoder", None)


def _logits(output: Any, mask: Any) -> Any:
    return output.logits


def _relevance(rows: NDArray[np.float32], uri: str) -> list[float]:
    """One output is the relevance itself; of two, the second says yes and the first no."""
    if rows.shape[1] > 2:
        raise ModelError(f"model {uri}: a classifier of {rows.shape[1]} classes; expected one output, or two for no and yes")
    values = rows[:, 0] if rows.shape[1] == 1 else rows[:, 1] - rows[:, 0]
    return [float(value) for value in values]


def _running(sizes: Iterable[int]) -> Iterator[int]:
    total = 0
    for size in sizes:
        total += size
        yield total


class LanguageModelReranker(Reranker):
    """A language model asked of each document whether it answers the query; the score is its log-odds of Yes against No.

    Args:
        model: gives log-likelihoods.
        depth: how many documents BM25 finds.
        uri: as the user named it.
    """

    def __init__(self, model: Model, depth: int, uri: str) -> None:
        super().__init__(depth)
        if "likelihood" not in model.kinds:
            raise ModelError(f"model {uri}: {model.no_likelihood or 'it gives no log-likelihoods'}, which a reranker needs")
        self.uri, self.model, self.free = uri, model, model.free
        self.fingerprint = content_hash(["rerank by likelihood 1", model.fingerprint, depth])

    def scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> Sequence[Sequence[float]]:
        values = [[math.nan] * len(documents) for _, documents in pairs]
        places = [(row, column) for row, (_, documents) in enumerate(pairs) for column in range(len(documents))]

        def asks() -> Iterator[Ask]:
            for index, (row, column) in enumerate(places):
                query, documents = pairs[row]
                text = _QUESTION.format(document=documents[column], query=query)
                request = Likelihood((Prompt((Message("user", text),)),), _ANSWERS)
                yield Ask(index, "", Item(str(index), {}), 0, request)

        for ask, response in self.model.answer(asks()) if places else ():
            if response.loglikelihoods is None:
                raise ModelError(f"model {self.uri}: {response.error or 'no log-likelihoods came back'}")
            yes, no = response.loglikelihoods[0]
            row, column = places[ask.index]
            values[row][column] = yes - no
        return values

    def describe(self) -> dict[str, Any]:
        return {**self.model.describe(), "depth": self.depth, "first": "bm25"}

    def close(self) -> None:
        super().close()
        self.model.close()


def open_reranker(scheme: str, path: str, options: dict[str, str], uri: str) -> Model:
    """`rerank:FOLDER`, `rerank:PACKAGE`, `rerank:ORG/NAME`; `rerank:smollm2`, `rerank:hf:…`; `rerank:http(s)://HOST:PORT/v1#MODEL`."""
    if path.startswith(("http://", "https://")):
        from proctor.models.rerank_server import open_server

        return open_server(path, options, uri)
    depth = read_options(uri, {name: value for name, value in options.items() if name == "depth"}, Depth).depth
    rest = {name: value for name, value in options.items() if name != "depth"}
    if path.startswith(_LANGUAGE_MODELS):
        from proctor.models.open import open_model

        query = "&".join(f"{name}={value}" for name, value in rest.items())
        return LanguageModelReranker(open_model(f"{path}?{query}" if query else path), depth, uri)
    unknown = next((name for name in rest if name not in OPTIONS), None)
    if unknown is not None:
        read_options(uri, {unknown: ""}, Depth)  # names what there is
    return CrossEncoder(path, Options.parse(rest, f"model {uri}"), depth, uri)
