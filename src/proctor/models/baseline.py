"""What one gets without a model: guessing at random, and always giving the most frequent answer."""

from __future__ import annotations

import math
import random
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from proctor.canonical import canonical_json, content_hash, seeded
from proctor.errors import ModelError, nearest
from proctor.models.base import ALL_MEDIA, KINDS, Ask, Kind, Model
from proctor.models.options import read_options
from proctor.types import Item, Likelihood, Rank, Ranked, Response

_LN_256 = math.log(256)
_NAMES = ("random", "majority", "bm25")


class _RandomOptions(msgspec.Struct):
    seed: int = 0


class _NoOptions(msgspec.Struct):
    pass


class BaselineModel(Model):
    """Answers from the pool of a task's targets.

    `random`: a choice drawn uniformly; for free answers the target of another item, drawn uniformly. Depends on nothing but seed,
    task, item and epoch. `majority`: one answer for the whole task, the one that is right most often in the pool; of several the first in
    sorted order. (Leaving each item out of its own count would make the answer wrong on purpose wherever answers are balanced.)
    Targets that are no text, such as constraints, give an empty text.

    Log-likelihoods: the chosen continuation has 0, the others a little less the longer they are, so that the choice is the same under
    every normalisation and its probabilities are near uniform. A single continuation (rolling likelihood, a word to predict) has
    ln(1/256) per byte of UTF-8, and as many tokens as bytes.

    Rankings: `random` shuffles, `majority` puts first the documents that answer most queries of the pool.

    Args:
        which: `random` or `majority`.
        seed: of `random`.
        uri: as the user named it.
    """

    kinds: frozenset[Kind] = KINDS
    by_request = False
    media = ALL_MEDIA
    free = True

    def __init__(self, which: Literal["random", "majority"], seed: int, uri: str) -> None:
        self.uri, self._which, self._seed = uri, which, seed
        self.fingerprint = content_hash(["baseline 1", which, seed if which == "random" else None])
        self._answering: dict[str, tuple[tuple[Item, ...], Counter[str]]] = {}
        self._majority: dict[tuple[str, bool], tuple[tuple[Item, ...], Any]] = {}

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            yield ask, self._respond(ask)

    def _respond(self, ask: Ask) -> Response:
        request = ask.request
        if isinstance(request, Likelihood):
            texts = request.continuations
            if len(texts) == 1 and len(request.prompts) > 1:  # the choices stand in the prompts
                picked = self._choice(ask, len(request.prompts))
                return Response(loglikelihoods=tuple((-1.0 if place == picked else -2.0,) for place in range(len(request.prompts))))
            chosen = self._choice(ask, len(texts)) if len(texts) > 1 else None
            return _likelihoods(texts, len(request.prompts), chosen)
        if isinstance(request, Rank):
            order = self._order(ask, request)
            return Response(ranking=tuple(Ranked(name, 1 / place) for place, name in enumerate(order, 1)))
        if ask.item.choices:
            return Response(text=_letter(self._choice(ask, len(ask.item.choices)), ask.item))
        return Response(text=self._text(ask))

    def _choice(self, ask: Ask, count: int) -> int:
        if self._which == "random":
            return self._draws(ask).randrange(count)
        index: int = self._most_frequent(ask, choice=True)
        return index if index < count else 0

    def _text(self, ask: Ask) -> str:
        if self._which == "majority":
            text: str = self._most_frequent(ask, choice=False)
            return text
        if all(item.id == ask.item.id for item in ask.pool):
            return ""
        draws = self._draws(ask)
        while (other := draws.choice(ask.pool)).id == ask.item.id:
            pass
        return _target_text(other.target)

    def _most_frequent(self, ask: Ask, *, choice: bool) -> Any:
        """The most frequent target of the pool; the first in sorted order of several. Counted once for each task."""
        pool, answer = self._majority.get((ask.task, choice), (None, None))
        if pool is not ask.pool:
            targets = [item.target for item in ask.pool]
            counts: Counter[Any] = Counter(
                (index for target in targets for index in _indices(target)) if choice else map(_target_text, targets)
            )
            answer = min(counts, key=lambda value: (-counts[value], value), default=0 if choice else "")
            self._majority[ask.task, choice] = (ask.pool, answer)
        return answer

    def _order(self, ask: Ask, request: Rank) -> list[str]:
        assert ask.corpus is not None
        documents = request.candidates or ask.corpus.ids
        if self._which == "random":
            return self._draws(ask).sample(documents, min(request.top_k, len(documents)))
        pool, counts = self._answering.get(ask.task, (None, Counter[str]()))
        if pool is not ask.pool:
            counts = Counter(name for item in ask.pool for name in _answering(item.target))
            self._answering[ask.task] = (ask.pool, counts)
        frequent = [name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
        if request.candidates:
            frequent = [name for name in frequent if name in set(request.candidates)]
        return frequent[: request.top_k]

    def _draws(self, ask: Ask) -> random.Random:
        return random.Random(seeded("baseline:random", self._seed, ask.task, ask.item.id, ask.epoch))


def _indices(target: Any) -> list[int]:
    found = target if isinstance(target, list | tuple) else [target]
    return [index for index in found if isinstance(index, int) and not isinstance(index, bool) and index >= 0]


def _answering(target: Any) -> list[str]:
    """The documents a target judges relevant: a mapping to grades, or a list."""
    if isinstance(target, dict):
        return [name for name, grade in target.items() if grade > 0]
    return [str(one) for one in (target if isinstance(target, list | tuple) else [target])]


def _target_text(target: Any) -> str:
    """A target as an answer: itself, the first of several accepted texts, its `answer` (of `fields`); empty for others of structure."""
    if isinstance(target, dict) and "answer" in target and "metric" in target:
        answer = target["answer"]
        return answer if isinstance(answer, str) else canonical_json(answer).decode()
    if isinstance(target, list | tuple) and target:
        target = target[0]
    if isinstance(target, str):
        return target
    return str(target) if isinstance(target, int | float) else ""


def _letter(index: int, item: Item) -> str:
    return string.ascii_uppercase[index] if len(item.choices) <= len(string.ascii_uppercase) else item.choices[index]


def _likelihoods(texts: tuple[str, ...], prompts: int, chosen: int | None) -> Response:
    lengths = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
    if chosen is None:
        values = [-length * _LN_256 for length in lengths]
    else:
        values = [-1e-6 * (length or 1) for length in lengths]
        values[chosen] = 0.0
    # The same without the question would take the choice away again: there, all are alike.
    rows = (tuple(values), *[(0.0,) * len(texts)] * (prompts - 1))
    greedy = (tuple([i == chosen for i in range(len(texts))]),) * prompts
    return Response(loglikelihoods=rows, greedy=greedy, token_counts=tuple([length or 1 for length in lengths]))


def open_baseline(scheme: str, path: str, options: dict[str, str], uri: str) -> Model:
    """`baseline:random` (option `seed`), `baseline:majority` or `baseline:bm25`. Raises `ModelError` for another name or option."""
    if path == "random":
        return BaselineModel("random", read_options(uri, options, _RandomOptions).seed, uri)
    if path == "majority":
        read_options(uri, options, _NoOptions)
        return BaselineModel("majority", 0, uri)
    if path == "bm25":
        from proctor.models.bm25 import open_bm25

        return open_bm25(options, uri)
    names = ", ".join(f"baseline:{name}" for name in _NAMES)
    raise ModelError(f"model {uri}: unknown baseline '{path}'{nearest(path, _NAMES)}; there are: {names}")
