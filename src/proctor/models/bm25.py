"""BM25, the baseline of retrieval: `baseline:bm25`, by the library `bm25s`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import MissingExtra
from proctor.models.base import Ask, Kind, Model
from proctor.models.options import read_options
from proctor.models.ranking import Latest, among, best
from proctor.types import Corpus, Rank, Ranked, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_METHOD = "lucene"


class BM25Options(msgspec.Struct, frozen=True):
    """Options of BM25; by default those of Anserini, which BEIR's published figures are of.

    Attributes:
        k1: how soon further occurrences of a word stop counting.
        b: how much long documents are held down.
    """

    k1: Annotated[float, msgspec.Meta(ge=0)] = 0.9
    b: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.4


class Index:
    """A corpus indexed for BM25: words of two letters or more, lower case, without Lucene's English stop words, not stemmed.

    Scores are Lucene's: idf = ln(1 + (N − n + 0.5) / (n + 0.5)), times tf / (tf + k1 · (1 − b + b · length / mean length)).

    Args:
        corpus: the documents.
        options: k1 and b.

    Raises:
        MissingExtra: bm25s is not installed.
    """

    def __init__(self, corpus: Corpus, options: BM25Options) -> None:
        try:
            import bm25s
        except ImportError:
            raise MissingExtra("The model 'baseline:bm25'", "retrieval") from None
        self.corpus = corpus
        self._size = len(corpus.ids)
        self._tokenize: Any = lambda texts: bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
        tokens = self._tokenize(list(corpus.texts))
        self._index: Any = None
        if any(tokens):
            self._index = bm25s.BM25(method=_METHOD, k1=options.k1, b=options.b)
            self._index.index(tokens, show_progress=False)

    def scores(self, query: str) -> NDArray[np.float32]:
        """Of every document, shape (documents,); 0 where it shares no word with the query."""
        import numpy as np

        known = [] if self._index is None else [word for word in self._tokenize([query])[0] if word in self._index.vocab_dict]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)

    def search(self, query: str, top_k: int, candidates: tuple[str, ...] = ()) -> tuple[Ranked, ...]:
        """The documents that share a word with the query, best first."""
        ids, scores = among(self.corpus, self.scores(query), candidates)
        return tuple(one for one in best(ids, scores, top_k) if one.score > 0)


class BM25Model(Model):
    """Ranks documents by the words they share with the query (and its instruction); knows nothing else.

    Args:
        options: k1 and b.
        uri: as the user named it.
    """

    kinds: frozenset[Kind] = frozenset({"rank"})
    free = True

    def __init__(self, options: BM25Options, uri: str) -> None:
        self.uri = uri
        self.fingerprint = content_hash(["bm25 1", options.k1, options.b])
        self._index = Latest(lambda corpus: Index(corpus, options))

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            assert isinstance(ask.request, Rank)
            assert ask.corpus is not None
            started, began = time.time(), time.perf_counter()
            ranking = self._index.of(ask.corpus).search(ask.request.text, ask.request.top_k, ask.request.candidates)
            yield ask, Response(ranking=ranking, started_at=started, latency=time.perf_counter() - began)

    def describe(self) -> dict[str, Any]:
        import bm25s

        return {"method": _METHOD, "bm25s": bm25s.__version__}


def open_bm25(options: dict[str, str], uri: str) -> BM25Model:
    """`baseline:bm25`, with the options `k1` and `b`."""
    return BM25Model(read_options(uri, options, BM25Options), uri)
