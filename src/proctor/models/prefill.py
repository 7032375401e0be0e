"""Reading the prompts of texts that are about to be written: their stems where those are new, and their own tokens into slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proctor.models.decoder import Packed
from proctor.models.next_token import Text
from proctor.models.pack import Keep, Pack, Segment
from proctor.models.prefix_tree import Node
from proctor.models.slots import Slots
from proctor.models.stems import Chain, Stem

if TYPE_CHECKING:
    import torch

Logits = Callable[[Packed, Sequence[int], Sequence[int], Sequence[int]], "Iterator[torch.Tensor]"]
"""See `decoder.Decoder.logits`."""


@dataclass(slots=True, eq=False)
class Row:
    """One text.

    Attributes:
        key: whatever it was added under.
        chain: the stems it begins with.
        start: position of its first own token.
        length: how many of its own tokens are in its slot.
    """

    key: Any
    text: Text
    chain: Chain
    start: int
    length: int = 0

    @property
    def own(self) -> tuple[int, ...]:
        """The prompt's tokens after the stems."""
        return self.text.wanted.tokens[self.start :]


def read(group: list[Row], slot: int, slots: Slots, logits: Logits, chunk: int, device: torch.device) -> list[torch.Tensor]:
    """Compute the prompts of some texts and the stems they need; what was computed is kept.

    Args:
        group: texts that continue the same computed stems; reordered to the order of the logits and slots.
        slot: of the first; the others follow.
        slots: with room for them.
        logits: computes a pack.
        chunk: most tokens in a forward pass; more only come alone.
        device: of the model.

    Returns:
        logits after each text, in blocks of shape (texts, vocabulary)
    """
    first = group[0]

    def piece(tokens: tuple[int, ...], past: list[Segment], keep: Keep) -> None:
        """A forward pass that is only for its keys and values."""
        pack = Pack([Node(past[-1].start + past[-1].length, tokens, [], [], len(tokens))], past, device, keep)
        for _ in logits(pack, pack.tokens, pack.positions, []):
            pass

    if len(first.own) + sum(len(stem.tokens) for stem in first.chain if not stem.computed) > chunk:
        # Larger than a forward pass, so alone in its group: read in pieces, all but the last here.
        for above, stem in enumerate(first.chain):
            while not stem.computed:
                piece(stem.tokens[stem.length : stem.length + chunk], [*first.chain[:above], stem], _into_stem(stem))
                stem.length += min(chunk, len(stem.tokens) - stem.length)
        while len(first.own) - first.length > chunk:
            own = slots.segment(slot, first.start, first.length)
            piece(first.own[first.length : first.length + chunk], [*first.chain, own], _into_slot(slots, slot, first.length))
            first.length += chunk
    past: list[Segment] = [stem for stem in first.chain if stem.computed]
    if first.length:
        past.append(slots.segment(slot, first.start, first.length))
    roots, fresh, leaves = _nodes(group)
    pack = Pack(roots, past, device)
    at = {id(node): slice(offset, offset + len(node.tokens)) for node, offset in pack.offsets}
    order = sorted(range(len(group)), key=lambda i: at[id(leaves[i])].start)
    group[:], leaves = [group[i] for i in order], [leaves[i] for i in order]
    kept = [(_into_stem(stem), at[id(node)]) for stem, node in fresh.items()]
    kept += [(_into_slot(slots, slot + i, row.length), at[id(leaf)]) for i, (row, leaf) in enumerate(zip(group, leaves, strict=True))]

    def keep(layer: int, k: torch.Tensor, v: torch.Tensor) -> None:
        for into, tokens in kept:
            into(layer, k[:, :, tokens], v[:, :, tokens])

    pack.keep = keep
    blocks = list(logits(pack, pack.tokens, pack.positions, [at[id(leaf)].stop - 1 for leaf in leaves]))
    for stem in fresh:
        stem.length = len(stem.tokens)
    for row, leaf in zip(group, leaves, strict=True):
        row.length += len(leaf.tokens)
    return blocks


def _nodes(group: Sequence[Row]) -> tuple[list[Node], dict[Stem, Node], list[Node]]:
    """What is to be computed as trees: their roots, the node of each stem that is not computed, and of each text its last node."""
    roots: list[Node] = []
    fresh: dict[Stem, Node] = {}
    leaves: list[Node] = []
    for row in group:
        siblings = roots
        for stem in row.chain:
            if stem.computed:
                continue
            if stem not in fresh:
                fresh[stem] = Node(stem.start, stem.tokens, [], [])
                siblings.append(fresh[stem])
            siblings = fresh[stem].children
        tokens = row.own[row.length :]
        leaves.append(Node(row.start + row.length, tokens, [], [], len(tokens)))
        siblings.append(leaves[-1])
    for node in reversed(fresh.values()):
        node.size = len(node.tokens) + sum(child.size for child in node.children)
    return roots, fresh, leaves


def _into_stem(stem: Stem) -> Keep:
    start = stem.length
    return lambda layer, k, v: stem.write(layer, start, k, v)


def _into_slot(slots: Slots, slot: int, start: int) -> Keep:
    return lambda layer, k, v: slots.write(layer, slot, start, k, v)
