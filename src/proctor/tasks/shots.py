"""Few-shot examples: which of the pool go before an item.

The choice depends on the seed, the task's name and the item's id alone, so that order, sharding and limits never change a
prompt. The item under test is never among its own examples: not by id, not by the same question under another id, and not by an item
of its group (the same passage, the same concept in another language).
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from random import Random

from proctor.canonical import canonical_json, seeded
from proctor.errors import TaskError, nearest
from proctor.tasks.spec import PromptSpec
from proctor.types import Item

DRAWS_KEPT = 1 << 16  # a draw takes 30 µs, and every request is rendered three times: to check it, to ask it, to write it down


class Shots:
    """Chooses examples for any item of a task.

    Args:
        pool: items examples are taken from, in data order.
        question: renders the question of one, to recognise the same question under another id.
        spec: the task file's `prompt`.
        task: the task's name; part of the seed.

    Raises:
        TaskError: fixed ids that are not in the pool, or too few of them.
    """

    def __init__(self, pool: Sequence[Item], question: Callable[[Item], str], spec: PromptSpec, task: str) -> None:
        self.spec = spec
        self.task = task
        # A seeded draw must not depend on the order of the data; "first" is about that order.
        order = range(len(pool)) if spec.choose == "first" else sorted(range(len(pool)), key=lambda i: pool[i].id)
        self.pool = [pool[i] for i in order]
        self.question = question
        self.hashes = array("q", (hash(question(item)) for item in self.pool))  # the texts of a large pool would take its memory again
        self.by_target: list[list[int]] = []
        self._draws: dict[str, tuple[int, ...]] = {}
        if spec.choose == "fixed":
            self._fix()
        elif spec.choose == "stratified":
            strata: dict[bytes, list[int]] = defaultdict(list)
            for index, item in enumerate(self.pool):
                strata[canonical_json(item.target)].append(index)
            self.by_target = [strata[key] for key in sorted(strata)]

    def _fix(self) -> None:
        positions = {item.id: index for index, item in enumerate(self.pool)}
        if len(self.spec.ids) < self.spec.shots:
            raise TaskError(f"task '{self.task}': prompt.shots is {self.spec.shots} but prompt.ids names {len(self.spec.ids)} examples")
        chosen = self.spec.ids[: self.spec.shots]
        for name in chosen:
            if name not in positions:
                raise TaskError(f"task '{self.task}': prompt.ids: no example has the id '{name}'{nearest(name, positions)}")
        self.hashes = array("q", (self.hashes[positions[name]] for name in chosen))
        self.pool = [self.pool[positions[name]] for name in chosen]

    def of(self, item: Item, question: str) -> list[Item]:
        """The examples for `item`, whose rendered question is `question`. Raises `TaskError` where the pool is too small."""
        drawn = self._draws.get(item.id)
        if drawn is None:
            drawn = tuple(self._draw(item, question))
            if len(self._draws) < DRAWS_KEPT:
                self._draws[item.id] = drawn
        return [self.pool[index] for index in drawn]

    def _draw(self, item: Item, question: str) -> list[int]:
        wanted = self.spec.shots
        if wanted == 0:
            return []
        its_hash = hash(question)

        def fits(index: int) -> bool:
            other = self.pool[index]
            if other.id == item.id or (item.group and other.group == item.group):
                return False
            return self.hashes[index] != its_hash or self.question(other) != question

        if self.spec.choose == "fixed":
            # An item that is itself one of the fixed examples is asked with the others.
            return [index for index in range(len(self.pool)) if fits(index)]
        rng = Random(seeded("shots", self.spec.seed, self.task, item.id))
        found: list[int] = []
        for index in self._candidates(rng, fits):
            found.append(index)
            if len(found) == wanted:
                return found
        raise TaskError(
            f"task '{self.task}': {wanted} examples asked for, but only {len(found)} can go before item '{item.id}'; "
            "lower prompt.shots or give more examples with data.shots"
        )

    def _candidates(self, rng: Random, fits: Callable[[int], bool]) -> Iterator[int]:
        if self.spec.choose == "first":
            yield from filter(fits, range(len(self.pool)))
        elif self.spec.choose == "random":
            yield from filter(fits, self._drawn(range(len(self.pool)), rng))
        else:
            # One example of each target in turn, then a second of each, and so on.
            strata: list[Iterator[int]] = []
            for stratum in self._drawn(range(len(self.by_target)), rng):
                strata.append(filter(fits, self._drawn(self.by_target[stratum], rng)))
                yield from islice(strata[-1], 1)
            while strata:
                found = [list(islice(stratum, 1)) for stratum in strata]
                strata = [stratum for stratum, more in zip(strata, found, strict=True) if more]
                yield from chain.from_iterable(found)

    def _drawn(self, indices: Sequence[int], rng: Random) -> Iterator[int]:
        """`indices` in a seeded order: a few more than wanted are enough almost always, and the rest of many is shuffled only if not."""
        few = rng.sample(indices, min(len(indices), self.spec.shots + 8))
        yield from few
        rest = sorted(set(indices).difference(few))
        rng.shuffle(rest)
        yield from rest
