"""One copy of a local model's weights, and the two engines that answer with it.

Latency in a response is the request's share of the time that was computed since the response before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Protocol, TypeVar

from proctor.models.base import Ask
from proctor.models.generation import GenerationEngine
from proctor.models.likelihood import LikelihoodEngine
from proctor.models.memory import Budget
from proctor.models.next_token import Wanted
from proctor.models.prefix_tree import Scored
from proctor.models.rendering import CannotRenderError
from proctor.types import Generate, Likelihood, Response

T = TypeVar("T")


class Tokens(Protocol):
    """Requests as tokens, and tokens as text."""

    def to_score(self, request: Likelihood) -> list[list[Scored]]:
        """Of each prompt × continuation, the sequences to score. Raises `CannotRenderError`."""
        ...

    def to_write(self, request: Generate) -> Wanted:
        """The text to be generated. Raises `CannotRenderError`."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """Tokens as text, without special tokens."""
        ...


class Engines:
    """The weights on one device, and what answers with them.

    Args:
        model: of `transformers`, on its device.
        tokens: of the same model.
        budget: of memory besides the weights; default: a share of what is free.
    """

    def __init__(self, model: Any, tokens: Tokens, budget: Budget | None = None) -> None:
        self.model = model
        self.tokens = tokens
        self.budget = budget

    @cached_property
    def likelihood(self) -> LikelihoodEngine:
        return LikelihoodEngine(self.model, budget=self.budget)

    @cached_property
    def generation(self) -> GenerationEngine:
        return GenerationEngine(self.likelihood, self.tokens.decode)

    def answer(self, windows: Iterable[list[Ask]]) -> Iterator[tuple[Ask, Response]]:
        """Answer the asks of every window. Texts go on being written while the next window is read."""
        try:
            for window in windows:
                yield from self._likelihoods([a for a in window if isinstance(a.request, Likelihood)])
                yield from self._texts([a for a in window if isinstance(a.request, Generate)])
            yield from self._written(-1)
        finally:
            if "generation" in self.__dict__:
                self.generation.forget()

    def _likelihoods(self, asks: list[Ask]) -> Iterator[tuple[Ask, Response]]:
        began = time.time()
        sequences: list[Scored] = []
        cells: list[tuple[int, int]] = []  # of each sequence: ask, and which prompt × continuation
        open_cells: dict[int, int] = {}  # of each ask: sequences still to come
        inputs: dict[int, int] = {}
        counts: dict[int, tuple[int, ...]] = {}
        cuts: dict[int, int] = {}
        for at, ask in enumerate(asks):
            assert isinstance(ask.request, Likelihood)
            try:
                found = self.tokens.to_score(ask.request)
            except CannotRenderError as error:
                yield ask, Response(finish="error", error=str(error), started_at=began)
                continue
            for cell, windows in enumerate(found):
                sequences += windows
                cells += [(at, cell)] * len(windows)
            open_cells[at] = sum(map(len, found))
            inputs[at] = sum(len(w.tokens) - 1 for windows in found for w in windows)
            cuts[at] = max(w.cut for windows in found for w in windows)
            counts[at] = tuple(sum(len(w.tokens) - w.start for w in windows) for windows in found[: len(ask.request.continuations)])
        totals = {at: [0.0] * (len(asks[at].request.prompts) * len(counts[at])) for at in open_cells}  # type: ignore[union-attr]
        greedy = {at: [True] * len(totals[at]) for at in open_cells}
        clock = Clock()
        for index, total, best in self.likelihood.score(sequences) if sequences else ():
            at, cell = cells[index]
            totals[at][cell] += total
            greedy[at][cell] &= best
            open_cells[at] -= 1
            if open_cells[at]:
                continue
            width = len(counts[at])
            yield (
                asks[at],
                Response(
                    loglikelihoods=_rows(totals[at], width),
                    greedy=_rows(greedy[at], width),
                    token_counts=counts[at],
                    input_tokens=inputs[at],
                    output_tokens=0,
                    cut_tokens=cuts[at] or None,
                    started_at=began,
                    latency=clock.lap(),
                ),
            )

    def _texts(self, asks: list[Ask]) -> Iterator[tuple[Ask, Response]]:
        """Begin to write, and go on until there is room for more to be asked."""
        began = time.time()
        taken: list[tuple[tuple[Ask, float], Wanted]] = []
        for ask in asks:
            assert isinstance(ask.request, Generate)
            try:
                taken.append(((ask, began), self.tokens.to_write(ask.request)))
            except CannotRenderError as error:
                yield ask, Response(finish="error", error=str(error), started_at=began)
        if taken:
            self.generation.add(taken)
            yield from self._written(self.generation.rows)

    def _written(self, leave: int) -> Iterator[tuple[Ask, Response]]:
        if "generation" not in self.__dict__:
            return
        clock = Clock()
        for (ask, began), wanted, generated in self.generation.run(leave):
            yield (
                ask,
                Response(
                    text=generated.text,
                    finish="length" if generated.length else "stop",
                    input_tokens=len(wanted.tokens),
                    output_tokens=len(generated.tokens),
                    cut_tokens=wanted.cut or None,
                    started_at=began,
                    latency=clock.lap(),
                ),
            )


class Clock:
    """Seconds since the lap before."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        self._last, passed = now, now - self._last
        return passed


def _rows(flat: list[T], width: int) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(flat[i : i + width]) for i in range(0, len(flat), width))
