"""Log-likelihoods of many token sequences, each shared token computed once.

The sequences of a window form a prefix tree, walked depth first. A subtree that fits a chunk is packed flat into one forward pass, without
padding (`pack.py`; tree attention: Miao et al. 2024, SpecInfer, arXiv:2305.09781). A larger node is computed once; its keys and values
stand in one buffer, the path from the root to where the walk is, until the walk leaves it. What the path holds at the end of a window
serves the next, so a prefix is not computed again because a window ended.

Models whose attention cannot be told whom a token sees (ALiBi, recurrent states) are found out by a probe and take the plain way: one
forward pass for each sequence that is not the beginning of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError
from proctor.models.decoder import UNFIT, Decoder, Head
from proctor.models.llama_decoder import LlamaDecoder, llama_decoder
from proctor.models.memory import SMALLER, Budget, default_budget, free_memory, out_of_memory
from proctor.models.pack import Pack, Segment
from proctor.models.prefix_tree import Node, Scored, build, common_prefix, push_down

if TYPE_CHECKING:
    import torch

CHUNK_CPU, CHUNK_GPU = 1024, 8192
"""Most tokens in one forward pass; on a CPU, more make it no faster."""

TOO_SMALL = 16
"""A node that saves fewer tokens than this is not worth a boundary between forward passes: those who share it compute it again."""

SMALLEST_CHUNK = 32

Found = list[tuple[int, float, bool]]
"""(sequence, log-probability of one token, whether it was the most likely)"""


class LikelihoodEngine:
    """Scores token sequences with one model.

    Args:
        model: a `transformers` decoder-only model with a language-model head, in evaluation mode.
        chunk: most tokens in one forward pass; default: what suits the device and fits the budget.
        budget: of memory; default: a share of what is free.

    Attributes:
        decoder: computes packs; None where the architecture takes the plain way, as the probe found.
        computed: tokens computed so far.
        token_bytes: bytes of one token's keys and values in all layers.
    """

    def __init__(self, model: Any, chunk: int | None = None, budget: Budget | None = None) -> None:
        self.model = model
        self.device = model.device
        self.budget = budget or default_budget(self.device)
        self.chunk = chunk or self.budget.chunk(model, CHUNK_CPU if self.device.type == "cpu" else CHUNK_GPU)
        self.computed = 0
        self.token_bytes = 1
        self.head = Head(model)
        self._sequences: list[tuple[int, ...]] = []
        self._scored: list[Scored] = []
        self._forget()
        self.decoder: Decoder | LlamaDecoder | None = None
        self.decoder = self._choose()

    @property
    def tree(self) -> bool:
        """Whether the prefix tree is used."""
        return self.decoder is not None

    def score(self, sequences: Sequence[Scored]) -> Iterator[tuple[int, float, bool]]:
        """Score every sequence once, in the order in which it gets finished.

        Yields:
            (index of the sequence, sum of the natural-log probabilities of its scored tokens, whether each was the most likely token)
        """
        self._scored = list(sequences)
        self._sequences = [s.inputs for s in self._scored]
        totals = [0.0] * len(self._scored)
        greedy = [True] * len(self._scored)
        left = [len(s.tokens) - s.start for s in self._scored]
        longest = 0 if self.decoder is None else self.decoder.longest or max(map(len, self._sequences), default=0)
        packed = [i for i, inputs in enumerate(self._sequences) if len(inputs) <= longest]
        alone = [i for i, inputs in enumerate(self._sequences) if len(inputs) > longest]
        for ways in (self._walk(packed), self._one_by_one(alone)):
            for part in ways:
                for index, logprob, best in part:
                    totals[index] += logprob
                    greedy[index] &= best
                    left[index] -= 1
                    if not left[index]:
                        yield index, totals[index], greedy[index]

    # the tree

    def _forget(self) -> None:
        self._path = Segment(0, 0)
        self._held: tuple[int, ...] = ()  # the tokens whose keys and values are in the path

    @property
    def _room(self) -> int:
        """Tokens whose keys and values the path may hold."""
        return self.budget.prefixes // self.token_bytes

    def _walk(self, members: list[int]) -> Iterator[Found]:
        if not members:
            return
        root = build([self._sequences[i] for i in members])
        for node in root.preorder():
            node.members = [members[i] for i in node.members]
        # (nodes that continue the path, as far as which token)
        stack = [(root.children, 0)]
        while stack:
            nodes, past = stack.pop()
            large: list[Node] = []
            batch: list[Node] = []
            total = 0
            pending = list(reversed(nodes))
            while pending:
                node = pending.pop()
                if node.size > self.chunk and (node.children or node.end <= self._room):
                    saved = (len(node.children) - 1) * len(node.tokens)
                    if node.children and (saved < TOO_SMALL or node.end > self._room):
                        pending.extend(reversed(push_down(node, self._sequences)))
                    else:
                        large.append(node)
                    continue
                if batch and total + node.size > self.chunk:
                    yield self._forward(batch, past)
                    batch, total = [], 0
                batch.append(node)
                total += node.size
            if batch:
                yield self._forward(batch, past)
            # First what the path holds already, then the others, the last of which is left in it.
            held = self._held[past : past + 1]
            large.sort(key=lambda node: node.tokens[:1] != held)
            stack.extend(([node], past) for node in reversed(large[1:]))
            if large:
                yield from self._large(large[0], past, stack)

    def _large(self, node: Node, past: int, stack: list[tuple[list[Node], int]]) -> Iterator[Found]:
        """Compute a node that does not fit a chunk with what continues it, in pieces; the last takes as many children along as fit."""
        position = self._known(node, past)
        while len(node.tokens) - position > self.chunk:
            piece = Node(node.start + position, node.tokens[position : position + self.chunk], node.members, [], self.chunk)
            yield self._forward([piece], piece.start, keep=self.chunk)
            position += len(piece.tokens)
        children = node.children
        if position < len(node.tokens):
            rest = Node(node.start + position, node.tokens[position:], node.members, [], len(node.tokens) - position)
            taken, room = 0, self.chunk - len(rest.tokens)
            while taken < len(children) and children[taken].size <= room:
                room -= children[taken].size
                taken += 1
            rest.children, children = children[:taken], children[taken:]
            rest.size = self.chunk - room
            yield self._forward([rest], rest.start, keep=len(rest.tokens))
        if children:
            stack.append((children, node.end))

    def _known(self, node: Node, past: int) -> int:
        """How many of a node's first tokens the path holds from before; none of those whose logits are asked for."""
        held = self._held[past : past + len(node.tokens)]
        if not held or held[0] != node.tokens[0]:
            return 0
        unscored = min(self._scored[i].start for i in node.members) - 1 - node.start
        return max(0, min(common_prefix(node.tokens, held), unscored))

    def _forward(self, nodes: list[Node], past: int, keep: int = 0) -> Found:
        """One forward pass over `nodes` and all below them. Halves the chunk and goes on in parts where memory runs out.

        Args:
            nodes: siblings, which continue the first `past` tokens of the path.
            past: tokens.
            keep: the number of tokens of a single node, to be kept in the path.
        """
        try:
            return self._forward_once(nodes, past, keep)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if sum(node.size for node in nodes) <= SMALLEST_CHUNK:
                raise ModelError(f"not enough memory on {self.device} for {SMALLEST_CHUNK} tokens; {SMALLER}") from error
        free_memory(self.device)
        self.chunk = max(SMALLEST_CHUNK, self.chunk // 2)
        if len(nodes) > 1:
            half = len(nodes) // 2
            return self._forward(nodes[:half], past) + self._forward(nodes[half:], past)
        node = nodes[0]
        if node.children:
            found = self._forward([Node(node.start, node.tokens, node.members, [], len(node.tokens))], past, len(node.tokens))
            return found + self._forward(node.children, node.end)
        half = len(node.tokens) // 2
        found = self._forward([Node(node.start, node.tokens[:half], node.members, [], half)], past, half)
        rest = Node(node.start + half, node.tokens[half:], node.members, [], len(node.tokens) - half)
        return found + self._forward([rest], rest.start, len(rest.tokens) if keep else 0)

    def _forward_once(self, nodes: list[Node], past: int, keep: int) -> Found:
        import torch

        assert self.decoder is not None
        self._path.length = past
        if keep:
            self._held = self._held[:past]

        def kept(layer: int, k: torch.Tensor, v: torch.Tensor) -> None:
            self._path.write(layer, past, k[:, :, :keep], v[:, :, :keep])

        with torch.inference_mode():
            if keep:
                self._path.grow(past + keep)
            pack = Pack(nodes, [self._path] if past else [], self.device, kept if keep else None)
            wanted: list[tuple[int, int, int]] = []  # slot, token scored there, sequence
            for node, offset in pack.offsets:
                for index in node.members:
                    scored = self._scored[index]
                    depths = range(max(node.start, scored.start - 1), min(node.end, len(scored.tokens) - 1))
                    wanted.extend((offset + depth - node.start, scored.tokens[depth + 1], index) for depth in depths)
            slots = sorted({slot for slot, _, _ in wanted})
            found = picked(self.decoder.logits(pack, pack.tokens, pack.positions, slots), slots, wanted)
        self.computed += len(pack)
        if keep:
            self._held += tuple(nodes[0].tokens[:keep])
        return found

    # the plain way

    def _one_by_one(self, members: list[int]) -> Iterator[Found]:
        import torch

        leaves: list[list[int]] = []
        for index in sorted(members, key=self._sequences.__getitem__, reverse=True):
            inputs = self._sequences[index]
            if leaves and self._sequences[leaves[-1][0]][: len(inputs)] == inputs:
                leaves[-1].append(index)
            else:
                leaves.append([index])
        for ending in leaves:
            inputs = self._sequences[ending[0]]
            wanted = [
                (depth, self._scored[i].tokens[depth + 1], i)
                for i in ending
                for depth in range(self._scored[i].start - 1, len(self._scored[i].tokens) - 1)
            ]
            slots = sorted({slot for slot, _, _ in wanted})
            try:
                with torch.inference_mode():
                    ids = torch.tensor([inputs], device=self.device)
                    found = picked(self.head.logits(ids, slots, use_cache=False), slots, wanted)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                raise ModelError(f"not enough memory on {self.device} for {len(inputs)} tokens; {SMALLER}") from error
            self.computed += len(inputs)
            yield found

    # which way

    def _choose(self) -> Decoder | LlamaDecoder | None:
        """The fastest decoder that agrees with the plain way, or None."""
        expected = self._probe(None)
        for make in (llama_decoder, Decoder):
            decoder = make(self.model, self.head)
            if decoder is None or not decoder.fits:
                continue
            try:
                found = self._probe(decoder)
            except UNFIT as error:
                if isinstance(error, RuntimeError) and out_of_memory(error):
                    raise ModelError(f"not enough memory on {self.device} for a few tokens; {SMALLER}") from error
                continue
            tolerance = 1e-3 if self.model.dtype.itemsize >= 4 else 0.25
            if all(abs(found[i] - total) <= tolerance * count**0.5 for i, (total, count) in enumerate(zip(expected, PROBED, strict=True))):
                return decoder
        return None

    def _probe(self, decoder: Decoder | LlamaDecoder | None) -> list[float]:
        """Log-likelihoods of a few made-up sequences: with a kept prefix, branches, and a branch within a branch."""
        config = self.model.config.get_text_config(decoder=True)
        vocabulary = int(self.model.get_input_embeddings().weight.shape[0])
        window = getattr(config, "sliding_window", None) or 0
        stem_length = window + 9 if 0 < window <= 512 else 24
        draw = [(7919 * i * i + 104729 * i + 31) % vocabulary for i in range(stem_length + 40)]
        stem, rest = tuple(draw[:stem_length]), draw[stem_length:]
        middle = (*stem, *rest[:5])
        probes = [
            Scored((*middle, *rest[5:10]), len(stem)),
            Scored((*middle, *rest[10:14]), len(middle)),
            Scored((*stem, *rest[14:20]), len(stem)),
            Scored((*stem, *rest[20:22]), len(stem) - 3),
            Scored(tuple(rest[22:30]), 1),
        ]
        before, self.decoder = (self.decoder, self.chunk, self.budget), decoder
        self.chunk, self.budget = stem_length + 8, Budget(1 << 60)
        try:
            found = {i: total for i, total, _ in self.score(probes)}
            self.token_bytes = sum(t[:, :, :1].nbytes for t in (*self._path.keys, *self._path.values)) or 1
        except UNFIT as error:
            if decoder is None:
                raise ModelError(f"the model cannot score a sequence of tokens: {type(error).__name__}: {error}") from error
            raise
        finally:
            self.decoder, self.chunk, self.budget = before
            self.computed = 0
            self._forget()
        return [found[i] for i in range(len(probes))]


PROBED = (10, 4, 6, 5, 7)
"""How many tokens each probe scores."""


def picked(blocks: Iterable[torch.Tensor], slots: Sequence[int], wanted: Sequence[tuple[int, int, int]]) -> Found:
    """What was asked for among logits.

    Args:
        blocks: logits after each of `slots`, some rows at a time, each of shape (rows, vocabulary); used up.
        slots: ascending.
        wanted: (slot, token whose log-probability is asked for there, sequence).
    """
    import torch

    row_of = {slot: row for row, slot in enumerate(slots)}
    wanted = sorted(wanted)
    found: Found = []
    at = low = 0
    for block in blocks:
        low += len(block)
        mine: list[tuple[int, int, int]] = []
        while at < len(wanted) and row_of[wanted[at][0]] < low:
            slot, token, index = wanted[at]
            mine.append((row_of[slot] - low + len(block), token, index))
            at += 1
        row = torch.tensor([m[0] for m in mine], device=block.device)
        tokens = torch.tensor([m[1] for m in mine], device=block.device)
        asked, highest = block[row, tokens], block.amax(-1)
        # Of equally likely tokens the first counts; only where the token may be it, all are looked through.
        best = asked == highest[row]
        may = best.nonzero()[:, 0]
        best[may] = block[row[may]].argmax(-1) == tokens[may]
        norm = highest + block.sub_(highest[:, None]).exp_().sum(-1).log_()
        logprobs = asked - norm[row]
        found += [(m[2], logprob, most) for m, logprob, most in zip(mine, logprobs.tolist(), best.tolist(), strict=True)]
    return found
