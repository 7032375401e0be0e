"""Texts written side by side: a finished one leaves at once, a waiting one takes its place.

What waiting prompts begin with alike is computed once and stays where it is (`stems.py`); of each text only what is its own stands in a
slot, which is written in place (`slots.py`). Prompts are read packed, without padding. What a text becomes does not depend on its
neighbours, beyond the rounding of a matrix product of another shape: greedy decoding takes the most likely token, sampling draws from a
generator of the request's own.

Models whose attention cannot be told whom a token sees (see `likelihood.py`) write one text at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError
from proctor.models.decoder import Packed
from proctor.models.likelihood import SMALLEST_CHUNK, LikelihoodEngine
from proctor.models.memory import SMALLER, free_memory, out_of_memory
from proctor.models.next_token import Generated, Text, Wanted
from proctor.models.prefill import Row, read
from proctor.models.slots import STRIDE, Slots, Step
from proctor.models.stems import Live, Stem, chains

if TYPE_CHECKING:
    import torch

ROWS_CPU, ROWS_GPU = 64, 256
"""Most texts written side by side."""


class GenerationEngine:
    """Generates texts with one model.

    Args:
        likelihood: the engine for the same model; its probe says how packs are computed, its chunk bounds a forward pass.
        decode: token ids to text, special tokens left out.
        rows: most texts written side by side; default: what suits the device.
    """

    def __init__(self, likelihood: LikelihoodEngine, decode: Callable[[list[int]], str], rows: int | None = None) -> None:
        self.engine = likelihood
        self.device = likelihood.device
        self.decode = decode
        self.rows = self._most = rows or (ROWS_CPU if self.device.type == "cpu" else ROWS_GPU)
        self._waiting: deque[Row] = deque()
        self._alone: deque[Row] = deque()
        self._active: list[Row] = []
        self._slots = Slots()
        self._live: Live = {}

    def generate(self, wanted: Sequence[Wanted]) -> Iterator[tuple[int, Generated]]:
        """Generate every text once, in the order in which it gets finished. Yields (index, what was generated)."""
        self.add(list(enumerate(wanted)))
        for index, _, generated in self.run():
            yield index, generated

    def add(self, wanted: Sequence[tuple[Any, Wanted]]) -> None:
        """Let texts wait to be written, each under a key of the caller's."""
        longest = 0
        if self.engine.decoder is not None:
            longest = self.engine.decoder.longest or max((len(w.tokens) + w.max_tokens for _, w in wanted), default=0)
        packed = [i for i, (_, w) in enumerate(wanted) if len(w.tokens) + w.max_tokens <= longest]
        most = self.engine.budget.prefixes // self.engine.token_bytes
        self._live = {path: stem for path, stem in self._live.items() if stem.users}
        for i, chain in chains([wanted[at][1].tokens for at in packed], most, self._live):
            key, want = wanted[packed[i]]
            for stem in chain:
                stem.users += 1
            self._waiting.append(Row(key, Text(want, self.decode), chain, chain[-1].start + len(chain[-1].tokens) if chain else 0))
        taken = set(packed)
        self._alone.extend(Row(key, Text(want, self.decode), (), 0) for i, (key, want) in enumerate(wanted) if i not in taken)

    def run(self, leave: int = -1) -> Iterator[tuple[Any, Wanted, Generated]]:
        """Write until no more than `leave` texts wait; by default until all are written. Yields (key, what was asked for, what came).

        With something left to wait, the texts being written stay under way: more may be added before it is called again.
        """
        while self._alone:
            row = self._alone.popleft()
            yield row.key, row.text.wanted, self._one(row.text)
        while len(self._waiting) > max(leave, 0) or (leave < 0 and self._active):
            # Reading few prompts costs nearly as much as reading several, so it waits until there is room for some.
            if self._waiting and len(self._active) <= self.rows - max(1, self.rows // 8):
                while self._waiting and self._has_room():
                    yield from self._take_in()
            if self._active:
                yield from self._step()
            if not self._active:
                self._slots, self.rows = Slots(), self._most

    def forget(self) -> None:
        """Drop whatever waits or is being written."""
        self._waiting.clear()
        self._alone.clear()
        self._active, self._slots, self.rows = [], Slots(), self._most
        self._live.clear()

    def _leave(self, row: Row) -> None:
        """A text is finished: so are stems that nobody else uses."""
        for stem in row.chain:
            stem.users -= 1
            if not stem.users:
                stem.drop()

    # memory

    def _has_room(self) -> bool:
        count = len(self._active)
        return count < self.rows and (not count or self._fits(count + 1, self._room_for(self._waiting[0])))

    def _room_for(self, row: Row) -> int:
        """Tokens a slot should hold when a text begins."""
        return max(self._slots.room, len(row.own) + min(row.text.wanted.max_tokens, STRIDE))

    def _fits(self, count: int, room: int) -> bool:
        held = sum(stem.length for stem in self._live.values())
        return (count * room + held) * self.engine.token_bytes <= self.engine.budget.written

    def _more_room(self) -> int:
        """Room in a slot for the next token of every text; where memory does not allow that, the last ones wait again."""
        need = max(row.length for row in self._active) + 1
        if need <= self._slots.room:
            return self._slots.room
        most = max(len(row.own) + row.text.wanted.max_tokens for row in self._active)
        room = min(most, need + max(STRIDE, need // 2))
        if not self._fits(len(self._active), room):
            room = min(most, need + STRIDE)
        while len(self._active) > 1 and not self._fits(len(self._active), room):
            self._put_back([self._active.pop()])
            self.rows = len(self._active)
        return room

    def _put_back(self, rows: list[Row]) -> None:
        """Let texts wait again, first in line; they start over."""
        for row in reversed(rows):
            row.length = 0
            row.text.start_over()
            self._waiting.appendleft(row)

    # prompts

    def _take_in(self) -> Iterator[tuple[Any, Wanted, Generated]]:
        """Read the prompts of the next waiting texts, as many as fit one forward pass, and begin them."""
        import torch

        group = self._group()
        blocks: list[torch.Tensor] | None = None
        try:
            with torch.inference_mode():
                self._slots.reserve(len(self._active) + len(group), max(map(self._room_for, group)))
                blocks = read(group, len(self._active), self._slots, self._logits, self.engine.chunk, self.device)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if len(group) == 1 and not self._active and self.engine.chunk <= SMALLEST_CHUNK:
                raise ModelError(f"not enough memory on {self.device} for {len(group[0].text.wanted.tokens)} tokens; {SMALLER}") from error
        if blocks is None:  # out of the handler, which holds what the failed pass had made
            self._put_back(group)
            if self._active:
                self.rows = len(self._active)
            else:
                self.rows, self._slots = max(1, len(group) // 2), Slots()
                self.engine.chunk = max(SMALLEST_CHUNK, self.engine.chunk // 2)
            free_memory(self.device)
            return
        first = len(self._active)
        self._active += group
        yield from self._grow(range(first, first + len(group)), blocks)

    def _group(self) -> list[Row]:
        """The next texts that continue the same computed stems, as far as they fit a forward pass and the memory."""
        group: list[Row] = []
        fresh: set[Stem] = set()
        size = room = 0
        while self._waiting and len(self._active) + len(group) < self.rows:
            row = self._waiting[0]
            more = {stem for stem in row.chain if not stem.computed} - fresh
            size += len(row.own) + sum(len(stem.tokens) for stem in more)
            room = max(room, self._room_for(row))
            if group:
                same = [s for s in row.chain if s.computed] == [s for s in group[0].chain if s.computed]
                if not same or size > self.engine.chunk or not self._fits(len(self._active) + len(group) + 1, room):
                    break
            fresh |= more
            group.append(self._waiting.popleft())
        return group

    def _logits(self, pack: Packed, tokens: Sequence[int], positions: Sequence[int], slots: Sequence[int]) -> Iterator[torch.Tensor]:
        assert self.engine.decoder is not None
        return self.engine.decoder.logits(pack, tokens, positions, slots)

    # texts

    def _step(self) -> Iterator[tuple[Any, Wanted, Generated]]:
        """One token more for every text."""
        import torch

        room = self._more_room()
        active = self._active
        users: dict[Stem, list[int]] = {}
        for i, row in enumerate(active):
            for stem in row.chain:
                users.setdefault(stem, []).append(i)
        blocks: list[torch.Tensor] | None = None
        try:
            with torch.inference_mode():
                self._slots.reserve(len(active), room)
                step = Step(self._slots, [r.start for r in active], [r.length for r in active], list(users.items()), self.device)
                tokens = [row.text.new[-1] for row in active]
                blocks = list(self._logits(step, tokens, [r.start + r.length for r in active], range(len(active))))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if len(active) == 1:
                raise ModelError(
                    f"not enough memory on {self.device} for {active[0].start + active[0].length} tokens; {SMALLER}"
                ) from error
        if blocks is None:
            # The later half starts over, later and beside fewer others.
            half = len(active) // 2
            self._put_back(active[half:])
            self._active, self.rows = active[:half], half
            free_memory(self.device)
            return
        for row in active:
            row.length += 1
        yield from self._grow(range(len(active)), blocks)

    def _grow(self, slots: range, blocks: Sequence[torch.Tensor]) -> Iterator[tuple[Any, Wanted, Generated]]:
        """Add the next token to the texts in `slots`, from the logits after them; those that are finished leave."""
        finished: list[tuple[Row, Generated]] = []
        number = 0
        for block in blocks:
            for likeliest, logits in zip(block.argmax(-1).tolist(), block, strict=True):
                row = self._active[slots[number]]
                number += 1
                done = row.text.advance(likeliest, logits)
                if done is not None:
                    finished.append((row, done))
        self._vacate({row for row, _ in finished})
        for row, done in finished:
            self._leave(row)
            yield row.key, row.text.wanted, done

    def _vacate(self, left: set[Row]) -> None:
        """Close the gaps that finished texts leave: the last one moves into each."""
        import torch

        for slot in range(len(self._active) - 1, -1, -1):
            if self._active[slot] not in left:
                continue
            last = self._active.pop()
            if slot < len(self._active):
                with torch.inference_mode():
                    self._slots.move(len(self._active), slot, last.length)
                self._active[slot] = last

    # one text

    def _one(self, text: Text) -> Generated:
        """Generate with nothing but the model's own cache: the way that fits every architecture."""
        import torch

        tokens = torch.tensor([text.wanted.tokens], device=self.device)
        cache: Any = None
        while True:
            try:
                with torch.inference_mode():
                    output = self.engine.model(input_ids=tokens, use_cache=True, **({} if cache is None else {cache[0]: cache[1]}))
                    logits = output.logits[0, -1].float()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                length = len(text.wanted.tokens) + len(text.new)
                raise ModelError(f"not enough memory on {self.device} for {length} tokens; {SMALLER}") from error
            done = text.advance(int(logits.argmax()), logits)
            if done is not None:
                return done
            tokens = torch.tensor([[text.new[-1]]], device=self.device)
            for name in ("cache", "past_key_values", "cache_params"):
                if cache is None and getattr(output, name, None) is not None:
                    cache = (name, getattr(output, name))
            if cache is None:
                tokens = torch.tensor([[*text.wanted.tokens, *text.new]], device=self.device)
