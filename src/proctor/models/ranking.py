"""What everything that ranks documents has in common: the best of many scores, and one corpus at a time made ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from proctor.types import Corpus, Ranked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


def best(ids: Sequence[str], scores: NDArray[np.floating[Any]], top_k: int) -> tuple[Ranked, ...]:
    """The `top_k` documents with the highest scores, best first; of equal ones those that come first.

    Args:
        ids: the documents.
        scores: of each, shape (documents,).
        top_k: how many.
    """
    import numpy as np

    order: NDArray[np.intp]
    if top_k < len(scores):
        edge = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        above, level = np.flatnonzero(scores > edge), np.flatnonzero(scores == edge)
        kept = np.sort(np.concatenate([above, level[: top_k - len(above)]]))
    else:
        kept = np.arange(len(scores))
    order = kept[np.argsort(-scores[kept], kind="stable")]
    return tuple(Ranked(ids[i], float(scores[i])) for i in order)


def among(
    corpus: Corpus, scores: NDArray[np.floating[Any]], candidates: tuple[str, ...]
) -> tuple[Sequence[str], NDArray[np.floating[Any]]]:
    """Ids and scores of the candidates; where there are none, of all documents."""
    if not candidates:
        return corpus.ids, scores
    return candidates, scores[positions(corpus, candidates)]


def positions(corpus: Corpus, ids: Sequence[str]) -> list[int]:
    """Where documents stand in the corpus."""
    table = _tables.of(corpus)
    return [table[one] for one in ids]


class Latest(Generic[T]):
    """What was made of the corpus asked about last. A run goes task by task, so that one is enough, and memory holds one.

    Args:
        make: from the corpus to what is kept.
    """

    def __init__(self, make: Callable[[Corpus], T]) -> None:
        self._make = make
        self._kept: tuple[str, T] | None = None

    def of(self, corpus: Corpus) -> T:
        """Made where it is not the one kept."""
        if self._kept is None or self._kept[0] != corpus.hash:
            self._kept = None  # gone before the next is made
            self._kept = corpus.hash, self._make(corpus)
        return self._kept[1]

    def forget(self) -> None:
        """Let go of it."""
        self._kept = None


_tables: Latest[dict[str, int]] = Latest(lambda corpus: {name: at for at, name in enumerate(corpus.ids)})
