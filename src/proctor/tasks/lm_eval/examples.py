"""Which examples go before a document: by Proctor's rules, or by the harness's to the letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from proctor.errors import TaskError
from proctor.tasks.shots import Shots
from proctor.tasks.spec import PromptSpec
from proctor.types import Item

SEED = 1234  # of the harness's draw
Row = Mapping[str, Any]


class HarnessExamples:
    """The harness's draw: one generator for the task, used up document after document in their order, whatever is left out later.

    Where examples come from the split that is asked (or both are unnamed), one more is drawn and those equal to the document are dropped;
    otherwise a document can stand before itself with its answer, and does.

    Args:
        pool: documents that examples are taken from.
        rows: the documents that are asked, all of them, in order.
        shots: how many examples.
        sampler: `default` (drawn) or `first_n`.
        excluding: whether a document is kept out of its own examples.
        where: the task, for messages.
    """

    def __init__(self, pool: Sequence[Row], rows: Sequence[Row], shots: int, sampler: str, excluding: bool, where: str) -> None:
        self._pool, self._rows, self._shots, self._excluding, self._where = pool, rows, shots, excluding, where
        self._first = sampler == "first_n"
        self._rng = Random(SEED)
        self._drawn: list[list[Row]] = []

    def of(self, position: int) -> list[Row]:
        """The examples before the document at `position`. Raises `TaskError` where there are too few."""
        if self._shots == 0:
            return []
        if self._first:
            row = self._rows[position]
            pool = [one for one in self._pool if one != row] if self._excluding else list(self._pool)
            if len(pool) < self._shots:
                raise self._too_few(len(pool))
            return pool[: self._shots]
        while len(self._drawn) <= position:
            self._drawn.append(self._draw(self._rows[len(self._drawn)]))
        return self._drawn[position]

    def _draw(self, row: Row) -> list[Row]:
        wanted = self._shots + (1 if self._excluding else 0)
        if wanted > len(self._pool):
            raise self._too_few(len(self._pool))
        found = [self._pool[index] for index in self._rng.sample(range(len(self._pool)), wanted)]
        if self._excluding:
            found = [one for one in found if one != row][: self._shots]
            if len(found) < self._shots:
                rest = [one for one in self._pool if one != row]
                if len(rest) < self._shots:
                    raise self._too_few(len(rest))
                found = [rest[index] for index in self._rng.sample(range(len(rest)), self._shots)]
        return found

    def _too_few(self, count: int) -> TaskError:
        return TaskError(f"{self._where}: {self._shots} examples asked for, and there are {count} to draw from; lower --shots")


class OwnExamples:
    """Proctor's choice: it depends on the seed, the task and the item alone, and no item stands before itself under any name.

    Args:
        pool: items that examples are taken from.
        rows: their documents.
        shots: how many.
        seed: of the choice.
        sampler: `default` (drawn) or `first_n`.
        task: the task's name; part of the seed.
        question: an item's question, by which one is recognised under another id.
    """

    def __init__(
        self, pool: Sequence[Item], rows: Sequence[Row], shots: int, seed: int, sampler: str, task: str, question: Callable[[Item], str]
    ) -> None:
        spec = PromptSpec(template="", shots=shots, choose="first" if sampler == "first_n" else "random", seed=seed)
        self._shots = Shots(pool, question, spec, task) if shots else None
        self._rows = {item.id: row for item, row in zip(pool, rows, strict=True)}
        self._question = question

    def of(self, item: Item) -> list[Row]:
        """The examples before `item`. Raises `TaskError` where there are too few."""
        return [self._rows[one.id] for one in self._shots.of(item, self._question(item))] if self._shots else []
