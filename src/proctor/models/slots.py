"""The keys and values of texts being written: a slot for each, written in place, and the step that makes every text a token longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proctor.models.attention import Shape, attend, merge, sink
from proctor.models.pack import Segment, additive

if TYPE_CHECKING:
    import torch

STRIDE = 64
"""Slots grow by so many tokens at least."""


class Slots:
    """Keys and values of several sequences, each from its own first token on.

    Attributes:
        keys, values: of each layer, shape (slots, key-value heads, room, dim).
    """

    def __init__(self) -> None:
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.count = 0
        self.room = 0

    def reserve(self, count: int, room: int) -> None:
        """Make room for the first so many sequences, of so many tokens each; what stands in slots beyond may be lost."""
        room = max(room, self.room)
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                # Each by its own shape: an earlier call may have run out of memory half-way.
                if old.shape[0] < count or old.shape[2] < room:
                    new = old.new_zeros(count, old.shape[1], room, old.shape[3])
                    new[: old.shape[0], :, : old.shape[2]] = old[:count]
                    tensors[layer] = new
        self.count, self.room = count, room

    def write(self, layer: int, slot: int, at: int, k: torch.Tensor, v: torch.Tensor) -> None:
        """Keep keys and values of one sequence, shape (1, key-value heads, tokens, dim), from its token `at` on."""
        self._layer(layer, k, v)
        end = at + k.shape[2]
        self.keys[layer][slot, :, at:end] = k[0]
        self.values[layer][slot, :, at:end] = v[0]

    def _layer(self, layer: int, k: torch.Tensor, v: torch.Tensor) -> None:
        # Zeros, since a masked value still takes part in the product, where 0 times what was left in memory may not be 0.
        if layer == len(self.keys):
            keys = k.new_zeros(self.count, k.shape[1], self.room, k.shape[3])
            values = v.new_zeros(self.count, v.shape[1], self.room, v.shape[3])
            self.keys.append(keys)
            self.values.append(values)

    def append(self, layer: int, lengths: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
        """Keep one token more of each of the first sequences: `lengths` of shape (sequences,), keys and values as of a pack."""
        import torch

        self._layer(layer, k, v)
        rows = torch.arange(len(lengths), device=lengths.device)
        self.keys[layer][rows, :, lengths] = k[0].transpose(0, 1)
        self.values[layer][rows, :, lengths] = v[0].transpose(0, 1)

    def move(self, source: int, target: int, length: int) -> None:
        """Move a sequence of so many tokens to another slot."""
        for tensors in (self.keys, self.values):
            for tensor in tensors:
                tensor[target, :, :length] = tensor[source, :, :length]

    def segment(self, slot: int, start: int, length: int) -> Segment:
        """The first tokens of one sequence, as what other tokens continue; `start` is the position of its first token."""
        segment = Segment(start, self.room)
        segment.length = length
        segment.keys = [tensor[slot : slot + 1] for tensor in self.keys]
        segment.values = [tensor[slot : slot + 1] for tensor in self.values]
        return segment


@dataclass
class Step:
    """One new token of each sequence; whom it sees: the stems of its chain, and its own slot.

    Args:
        slots: of the sequences, in order.
        starts: of each sequence, the position of the first token in its slot.
        lengths: of each sequence, how many tokens are in its slot.
        stems: the segments before, with the sequences that continue each.
        device: of the model.
    """

    slots: Slots
    starts: Sequence[int]
    lengths: Sequence[int]
    stems: Sequence[tuple[Segment, Sequence[int]]]
    device: torch.device

    def __post_init__(self) -> None:
        import torch

        self._lengths = torch.tensor(self.lengths, device=self.device)
        self._positions = self._lengths + torch.tensor(self.starts, device=self.device)
        self._longest = max(self.lengths) + 1
        rows = len(self.lengths)
        self._members = [
            (stem, None if len(members) == rows else torch.tensor(members, device=self.device)) for stem, members in self.stems if members
        ]
        self._masks: dict[tuple[int | None, int], torch.Tensor | None] = {}

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, shape: Shape) -> torch.Tensor:
        """See `pack.Pack.attend`; the tokens are those of the sequences, in order."""
        self.slots.append(layer, self._lengths, k, v)
        rows = len(self.lengths)
        keys, values = self.slots.keys[layer][:rows, :, : self._longest], self.slots.values[layer][:rows, :, : self._longest]
        own, norm = attend(q[0].transpose(0, 1)[:, :, None], keys, values, shape, mask=self._own_mask(shape.window, q.dtype))
        out, lse = own[:, :, 0].transpose(0, 1)[None], norm[:, :, 0].transpose(0, 1)[None].contiguous()
        for number, (stem, members) in enumerate(self._members):
            mask = self._stem_mask(number, shape.window, q.dtype)
            stem_keys, stem_values = stem.keys[layer][:, :, : stem.length], stem.values[layer][:, :, : stem.length]
            if members is None:
                merge(out, lse, *attend(q, stem_keys, stem_values, shape, mask=mask, blind=mask is not None))
                continue
            some, some_norm = out[:, :, members], lse[:, :, members]
            merge(some, some_norm, *attend(q[:, :, members], stem_keys, stem_values, shape, mask=mask, blind=mask is not None))
            out[:, :, members], lse[:, :, members] = some, some_norm
        if shape.sinks is not None:
            sink(out, lse, shape.sinks)
        return out.transpose(1, 2)

    def _own_mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        import torch

        if (window, -1) not in self._masks:
            at = torch.arange(self._longest, device=self.device)
            seen = at <= self._lengths[:, None]
            if window is not None:
                seen &= self._lengths[:, None] - at < window
            self._masks[window, -1] = additive(seen, dtype)[:, None, None]
        return self._masks[window, -1]

    def _stem_mask(self, number: int, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        import torch

        if window is None:
            return None
        if (window, number) not in self._masks:
            stem, members = self._members[number]
            positions = self._positions if members is None else self._positions[members]
            near = positions[:, None] - torch.arange(stem.start, stem.start + stem.length, device=self.device) < window
            self._masks[window, number] = None if bool(near.all()) else additive(near, dtype)
        return self._masks[window, number]
