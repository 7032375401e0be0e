"""A pack: tokens of many sequences that go through the model together, each seeing its own past only.

A pack is flat, without padding: one row of tokens, the position of each, and the attention of a layer as a list of calls. A token sees
its ancestors: the segments whose keys and values were kept from earlier packs, the nodes of the pack above its own, and its own node up
to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proctor.models.attention import Shape, attend, merge, sink
from proctor.models.prefix_tree import Node

if TYPE_CHECKING:
    import torch

BLOCK_CPU, BLOCK_GPU = 128, 512
"""Neighbouring subtrees of together so many tokens are attended in one call with a mask; larger ones in calls without."""


class Segment:
    """Keys and values of a run of tokens, kept for what continues it.

    Attributes:
        start: position of the first token.
        length: tokens.
        keys, values: of each layer, shape (1, key-value heads, at least `length`, dim); filled by the pack that computes them.
    """

    def __init__(self, start: int, capacity: int) -> None:
        self.start = start
        self.capacity = capacity
        self.length = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def write(self, layer: int, at: int, k: torch.Tensor, v: torch.Tensor) -> None:
        """Keep keys and values of shape (1, key-value heads, tokens, dim) from the token `at` of this segment on."""
        if layer == len(self.keys):
            keys = k.new_empty(1, k.shape[1], self.capacity, k.shape[3])
            values = v.new_empty(1, v.shape[1], self.capacity, v.shape[3])
            self.keys.append(keys)
            self.values.append(values)
        end = at + k.shape[2]
        self.keys[layer][:, :, at:end] = k
        self.values[layer][:, :, at:end] = v

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` tokens."""
        if capacity <= self.capacity:
            return
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                if old.shape[2] < capacity:
                    new = old.new_empty(1, old.shape[1], capacity, old.shape[3])
                    new[:, :, : self.length] = old[:, :, : self.length]
                    tensors[layer] = new
        self.capacity = capacity  # last: where memory runs out half-way, the rest is made later


@dataclass(slots=True)
class Call:
    """One call of the attention kernel: some of the pack's tokens over a segment, or over some of the pack's own tokens.

    Attributes:
        rows: which tokens ask.
        keys: which are seen: of the segment where there is one, else of the pack.
        start: position of the first key.
        segment: where the keys are; None for the pack's own.
        visible: which of the rows sees which key, shape (rows, keys); None for all, "causal" for up to itself.
    """

    rows: slice
    keys: slice
    start: int
    segment: Segment | None = None
    visible: torch.Tensor | str | None = None


@dataclass(slots=True)
class Masked:
    """A call as the kernel takes it, for one window."""

    call: Call
    causal: bool = False
    mask: torch.Tensor | None = None
    blind: bool = False


Keep = Callable[[int, "torch.Tensor", "torch.Tensor"], None]
"""Is given a layer's number, keys and values of the pack, each of shape (1, key-value heads, tokens, dim)."""


@dataclass
class Pack:
    """Tokens, positions and who sees whom.

    Args:
        roots: siblings with all below them, laid out one after the other.
        past: kept segments that every token of the pack continues, in order.
        keep: is given each layer's keys and values.

    Attributes:
        tokens: ids.
        positions: of each token in its sequence.
        offsets: of each node laid out, (node, index of its first token).
    """

    roots: Sequence[Node]
    past: Sequence[Segment]
    device: torch.device
    keep: Keep | None = None
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    offsets: list[tuple[Node, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        ends: list[int] = []  # of each token, where the tokens below its node end
        for root in self.roots:
            for node in root.preorder():
                at = len(self.tokens)
                self.offsets.append((node, at))
                self.tokens += node.tokens
                self.positions += range(node.start, node.end)
                ends += [at + node.size] * len(node.tokens)
        self._ends = ends
        self._lowest, self._highest = min(self.positions), max(self.positions)
        self._block = BLOCK_CPU if self.device.type == "cpu" else BLOCK_GPU
        self._calls = self._lay_out()
        self._masked: dict[int | None, list[Masked]] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    # who sees whom

    def _lay_out(self) -> list[Call]:
        """The calls; the first ones give every token exactly one part of its attention, which sees at least itself."""
        own: list[Call] = []
        above: list[Call] = [
            Call(slice(0, len(self.tokens)), slice(0, segment.length), segment.start, segment) for segment in self.past if segment.length
        ]
        low = high = 0
        stack = list(reversed(self.roots))
        while stack:
            node = stack.pop()
            if node.size > self._block:
                self._block_of(low, high, own)
                at, below = high, high + len(node.tokens)
                own.append(Call(slice(at, below), slice(at, below), node.start, visible="causal"))
                if node.children:
                    above.append(Call(slice(below, at + node.size), slice(at, below), node.start))
                low = high = below
                stack += reversed(node.children)
                continue
            if high - low + node.size > self._block:
                self._block_of(low, high, own)
                low = high
            high += node.size
        self._block_of(low, high, own)
        return own + above

    def _block_of(self, low: int, high: int, own: list[Call]) -> None:
        import torch

        if low == high:
            return
        rows = slice(low, high)
        if self._ends[low] == high and self.positions[high - 1] - self.positions[low] == high - 1 - low:
            own.append(Call(rows, rows, self.positions[low], visible="causal"))
            return
        slots = torch.arange(low, high, device=self.device)
        ends = torch.tensor(self._ends[low:high], device=self.device)
        own.append(Call(rows, rows, -1, visible=(slots[:, None] >= slots) & (slots[:, None] < ends)))

    def _for(self, window: int | None, dtype: torch.dtype) -> list[Masked]:
        """The calls under a window, made once for all layers that have it."""
        first = min([self._lowest, *(s.start for s in self.past)])
        if window is not None and self._highest - first < window:
            window = None
        if window not in self._masked:
            self._masked[window] = [made for call in self._calls if (made := self._mask(call, window, dtype)) is not None]
        return self._masked[window]

    def _mask(self, call: Call, window: int | None, dtype: torch.dtype) -> Masked | None:
        import torch

        visible = call.visible
        if window is None:
            if visible is None or isinstance(visible, str):
                return Masked(call, causal=visible is not None)
            return Masked(call, mask=additive(visible, dtype))
        rows = torch.tensor(self.positions[call.rows], device=self.device)
        if call.segment is None:
            keys = torch.tensor(self.positions[call.keys], device=self.device)
        else:
            keys = torch.arange(call.start, call.start + call.keys.stop - call.keys.start, device=self.device)
        near = rows[:, None] - keys < window
        if visible is None:
            if bool(near.all()):
                return Masked(call)
            return Masked(call, mask=additive(near, dtype), blind=True) if bool(near.any()) else None
        if isinstance(visible, str):
            if bool(near.all()):
                return Masked(call, causal=True)
            visible = rows[:, None] >= keys
        return Masked(call, mask=additive(visible & near, dtype))

    # what a layer asks for

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, shape: Shape) -> torch.Tensor:
        """The attention of one layer.

        Args:
            layer: its number; layers come in order.
            q: shape (1, heads, tokens, dim), rotated where the architecture does so.
            k, v: shape (1, key-value heads, tokens, dim).
            shape: of the layer.

        Returns:
            shape (1, tokens, heads, dim of the values)
        """
        if self.keep is not None:
            self.keep(layer, k, v)
        out = q.new_empty(1, q.shape[2], q.shape[1], v.shape[3]).transpose(1, 2)
        lse = out.new_empty(1, q.shape[1], q.shape[2], dtype=_float32())
        for made in self._for(shape.window, q.dtype):
            call = made.call
            if call.segment is None:
                keys, values = k[:, :, call.keys], v[:, :, call.keys]
            else:
                keys, values = call.segment.keys[layer][:, :, call.keys], call.segment.values[layer][:, :, call.keys]
            part, norm = attend(q[:, :, call.rows], keys, values, shape, made.causal, made.mask, made.blind)
            if call.visible is not None:
                out[:, :, call.rows], lse[:, :, call.rows] = part, norm
            else:
                merge(out[:, :, call.rows], lse[:, :, call.rows], part, norm)
        if shape.sinks is not None:
            sink(out, lse, shape.sinks)
        return out.transpose(1, 2)


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where a key is seen, minus infinity elsewhere."""
    import torch

    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, -torch.inf)


def _float32() -> torch.dtype:
    import torch

    return torch.float32
