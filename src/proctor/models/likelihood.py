"""Log-likelihoods of many token sequences, each shared token computed once.

The sequences of a window form a prefix tree. A subtree that fits a chunk is packed flat into one forward pass of batch size 1, without
padding: positions are depths in the tree, and the attention mask lets a token see its ancestors only (tree attention; Miao et al. 2024,
SpecInfer, arXiv:2305.09781). A larger node is computed once, its keys and values are kept while what continues it is computed, then
dropped.

Models whose attention cannot be told such a mask (ALiBi, recurrent states) are found out by a probe and take the plain way: one forward
pass for each sequence that is not the beginning of another.
"""

from __future__ import annotations

import copy
import gc
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError
from proctor.models.prefix_tree import Node, Scored, build, push_down

if TYPE_CHECKING:
    import torch

ROWS = 128
"""Positions whose logits are held at a time."""

TOO_SMALL = 32
"""A node that saves fewer tokens than this is not worth a boundary between forward passes: those who share it compute it again."""

SMALLEST_CHUNK = 32

SMALLER = "choose a smaller dtype or another device, as in 'hf:NAME?dtype=bfloat16'"

UNFIT = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError)
"""What an architecture raises that cannot take a given position, mask or cache."""


SQUASHING = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")
"""Settings under which logits are not just the output matrix times the last state."""


class LikelihoodEngine:
    """Scores token sequences with one model.

    Args:
        model: a `transformers` decoder-only model with a language-model head, in evaluation mode.
        chunk: most tokens in one forward pass; default 512 on CPU, where the mask makes larger ones slower, 4,096 elsewhere.

    Attributes:
        tree: whether the prefix tree is used, as the probe found.
        computed: tokens computed so far.
    """

    def __init__(self, model: Any, chunk: int | None = None) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        self.chunk = chunk or (512 if self.device.type == "cpu" else 4096)
        self.computed = 0
        self.mask = MaskShape(model.config)
        self.selects = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._body, self._head = self._find_head()
        self._sequences: list[tuple[int, ...]] = []
        self._scored: list[Scored] = []
        self.tree = self.mask.known and self._probe()

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
        for part in self._walk() if self.tree else self._one_by_one():
            for index, logprob, best in part:
                totals[index] += logprob
                greedy[index] &= best
                left[index] -= 1
                if not left[index]:
                    yield index, totals[index], greedy[index]

    # the tree

    def _walk(self) -> Iterator[list[tuple[int, float, bool]]]:
        # (nodes that continue what is cached, their common past)
        stack: list[tuple[list[Node], Any]] = [(build(self._sequences).children, None)]
        while stack:
            nodes, past = stack.pop()
            large: list[Node] = []
            batch: list[Node] = []
            total = 0
            pending = list(reversed(nodes))
            while pending:
                node = pending.pop()
                if node.size > self.chunk:
                    if node.children and (len(node.children) - 1) * len(node.tokens) < TOO_SMALL:
                        pending.extend(reversed(push_down(node, self._sequences)))
                    else:
                        large.append(node)
                    continue
                if total + node.size > self.chunk:
                    yield self._forward(batch, past)[0]
                    batch, total = [], 0
                batch.append(node)
                total += node.size
            if batch:
                yield self._forward(batch, past)[0]
            stack.extend(([node], past) for node in reversed(large[1:]))
            if large:
                yield from self._large(large[0], past, stack)

    def _large(self, node: Node, past: Any, stack: list[tuple[list[Node], Any]]) -> Iterator[list[tuple[int, float, bool]]]:
        """Compute a node that does not fit a chunk with what continues it, in pieces; the last takes as many children along as fit."""
        position = 0
        while len(node.tokens) - position > self.chunk:
            piece = Node(node.start + position, node.tokens[position : position + self.chunk], node.members, [], self.chunk)
            found, past = self._forward([piece], past, keep=self.chunk)
            position += len(piece.tokens)
            yield found
        rest = Node(node.start + position, node.tokens[position:], node.members, [], len(node.tokens) - position)
        taken, room = 0, self.chunk - len(rest.tokens)
        while taken < len(node.children) and node.children[taken].size <= room:
            room -= node.children[taken].size
            taken += 1
        rest.children = node.children[:taken]
        rest.size = self.chunk - room
        found, past = self._forward([rest], past, keep=len(rest.tokens))
        yield found
        if node.children[taken:]:
            stack.append((node.children[taken:], past))

    def _forward(self, nodes: list[Node], past: Any, keep: int = 0) -> tuple[list[tuple[int, float, bool]], Any]:
        """One forward pass over `nodes` and all below them. Halves the chunk and goes on in parts where memory runs out.

        Args:
            nodes: siblings, which continue `past`.
            past: cache of their ancestors, or None; it is not changed.
            keep: the number of tokens of a single node, to be returned as a cache on top of `past`; 0 returns None.
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
            return self._forward(nodes[:half], past)[0] + self._forward(nodes[half:], past)[0], None
        node = nodes[0]
        if node.children:
            found, kept = self._forward([Node(node.start, node.tokens, node.members, [], len(node.tokens))], past, len(node.tokens))
            return found + self._forward(node.children, kept)[0], kept if keep else None
        half = len(node.tokens) // 2
        found, kept = self._forward([Node(node.start, node.tokens[:half], node.members, [], half)], past, half)
        rest = Node(node.start + half, node.tokens[half:], node.members, [], len(node.tokens) - half)
        more, kept = self._forward([rest], kept, len(rest.tokens) if keep else 0)
        return found + more, kept

    def _forward_once(self, nodes: list[Node], past: Any, keep: int) -> tuple[list[tuple[int, float, bool]], Any]:
        import torch

        tokens: list[int] = []
        positions: list[int] = []
        ends: list[int] = []  # for each slot, where the slots below its node end
        wanted: list[tuple[int, int, int]] = []  # slot, token scored there, sequence
        for root in nodes:
            for node in root.preorder():
                offset = len(tokens)
                tokens += node.tokens
                positions += range(node.start, node.end)
                ends += [offset + node.size] * len(node.tokens)
                for index in node.members:
                    scored = self._scored[index]
                    depths = range(max(node.start, scored.start - 1), min(node.end, len(scored.tokens) - 1))
                    wanted.extend((offset + depth - node.start, scored.tokens[depth + 1], index) for depth in depths)
        length = positions[0] if past is not None else 0
        with torch.inference_mode():
            cache = new_cache() if past is None else fork(past)
            position_ids = torch.tensor([positions], device=self.device)
            slots = torch.arange(len(tokens), device=self.device)
            below = torch.tensor(ends, device=self.device)
            visible = (slots[:, None] >= slots) & (slots[:, None] < below)
            mask = self.mask.make(visible[None], position_ids, length, self.dtype)
            found = self._run(
                torch.tensor([tokens], device=self.device), wanted, position_ids=position_ids, attention_mask=mask, past_key_values=cache
            )
            self.computed += len(tokens)
            if not keep:
                return found, None
            return found, cut(cache, length + keep)

    # the plain way

    def _one_by_one(self) -> Iterator[list[tuple[int, float, bool]]]:
        import torch

        leaves: list[list[int]] = []
        order = sorted(range(len(self._sequences)), key=self._sequences.__getitem__, reverse=True)
        for index in order:
            inputs = self._sequences[index]
            if leaves and self._sequences[leaves[-1][0]][: len(inputs)] == inputs:
                leaves[-1].append(index)
            else:
                leaves.append([index])
        for members in leaves:
            inputs = self._sequences[members[0]]
            wanted = [
                (depth, self._scored[i].tokens[depth + 1], i)
                for i in members
                for depth in range(self._scored[i].start - 1, len(self._scored[i].tokens) - 1)
            ]
            try:
                with torch.inference_mode():
                    found = self._run(torch.tensor([inputs], device=self.device), wanted, use_cache=False)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                raise ModelError(f"not enough memory on {self.device} for {len(inputs)} tokens; {SMALLER}") from error
            self.computed += len(inputs)
            yield found

    # the head

    def _run(self, tokens: torch.Tensor, wanted: list[tuple[int, int, int]], **arguments: Any) -> list[tuple[int, float, bool]]:
        """A forward pass, and (sequence, log-probability, whether most likely) of each wanted (slot, token, sequence).

        The head is by far the largest matrix of a small model, so it sees only the rows that are asked for.
        """
        import torch

        slots = sorted({slot for slot, _, _ in wanted})
        chosen = torch.tensor(slots, device=self.device, dtype=torch.long)
        if self._head is not None:
            states = self._body(input_ids=tokens, **arguments).last_hidden_state[0]
        elif self.selects:
            states = self.model(input_ids=tokens, logits_to_keep=chosen if slots else 1, **arguments).logits[0]
            chosen = torch.arange(len(slots), device=self.device)
        else:
            states = self.model(input_ids=tokens, **arguments).logits[0]
        row_of = {slot: row for row, slot in enumerate(slots)}
        wanted = sorted(wanted)
        found: list[tuple[int, float, bool]] = []
        at = 0
        for low in range(0, len(slots), ROWS):
            part = states[chosen[low : low + ROWS]]
            part = (part if self._head is None else self._head(part)).float()
            mine: list[tuple[int, int, int]] = []
            while at < len(wanted) and row_of[wanted[at][0]] < low + ROWS:
                slot, token, index = wanted[at]
                mine.append((row_of[slot] - low, token, index))
                at += 1
            row = torch.tensor([m[0] for m in mine], device=self.device)
            token_ids = torch.tensor([m[1] for m in mine], device=self.device)
            logprobs = (part[row, token_ids] - part.logsumexp(-1)[row]).tolist()
            best = (part.argmax(-1)[row] == token_ids).tolist()
            found += [(m[2], logprob, most) for m, logprob, most in zip(mine, logprobs, best, strict=True)]
        return found

    def _find_head(self) -> tuple[Any, Any]:
        """The decoder and the output matrix, where applying one after the other is what the model does; else (None, None).

        Some models scale or squash their logits, or put something between the two.
        """
        import torch

        if any(getattr(self.model.config.get_text_config(decoder=True), name, None) for name in SQUASHING):
            return None, None
        tokens = torch.arange(1, 9, device=self.device)[None]
        try:
            body, head = self.model.get_decoder(), self.model.get_output_embeddings()
            with torch.inference_mode():
                logits = self.model(input_ids=tokens, use_cache=False).logits
                same = torch.allclose(head(body(input_ids=tokens, use_cache=False).last_hidden_state), logits, rtol=1e-5, atol=1e-6)
        except UNFIT:
            return None, None
        return (body, head) if same else (None, None)

    # the probe

    def _probe(self) -> bool:
        """Whether tree and plain way agree on a few made-up sequences: with a kept cache, branches, and a branch within a branch."""
        vocabulary = int(self.model.get_input_embeddings().weight.shape[0])
        window = self.mask.window or 0
        stem_length = window + 9 if 0 < window <= 512 else 24
        draw = [(7919 * i * i + 104729 * i + 31) % vocabulary for i in range(stem_length + 40)]
        stem, rest = tuple(draw[:stem_length]), draw[stem_length:]
        middle = (*stem, *rest[:5])
        probes = [
            Scored((*middle, *rest[5:10]), len(stem)),
            Scored((*middle, *rest[10:14]), len(middle)),
            Scored((*stem, *rest[14:20]), len(stem)),
            Scored((*stem, *rest[20:22]), 3),
            Scored(tuple(rest[22:30]), 1),
        ]
        chunk, self.chunk = self.chunk, stem_length + 8
        tolerance = 1e-3 if self.model.dtype.itemsize >= 4 else 0.25
        try:
            self.tree = False
            plain = {i: (total, len(probes[i].tokens) - probes[i].start) for i, total, _ in self.score(probes)}
            self.tree = True
            tree = {i: total for i, total, _ in self.score(probes)}
        except UNFIT as error:
            if not self.tree:
                raise ModelError(f"the model cannot score a sequence of tokens: {type(error).__name__}: {error}") from error
            return False
        finally:
            self.chunk = chunk
            self.computed = 0
        return all(abs(total - tree[i]) <= tolerance * count**0.5 for i, (total, count) in plain.items())


class MaskShape:
    """How the layers of an architecture want to be told what each token may see.

    Args:
        config: of the model.

    Attributes:
        known: False where a layer attends in a way that a mask of visible positions does not say.
        window: sliding window of the layers that have one, in tokens; None where none has.
    """

    def __init__(self, config: Any) -> None:
        config = config.get_text_config(decoder=True)
        layers = set(getattr(config, "layer_types", None) or ())
        self.window: int | None = getattr(config, "sliding_window", None)
        if not layers:
            layers = {"sliding_attention" if self.window else "full_attention"}
        if "sliding_attention" not in layers:
            self.window = None
        self.known = layers <= {"full_attention", "sliding_attention"} and not (self.window is None and "sliding_attention" in layers)
        self._kinds = sorted(layers)

    def make(self, visible: torch.Tensor, positions: torch.Tensor, past: int, dtype: torch.dtype, shown: torch.Tensor | None = None) -> Any:
        """The additive attention mask, or one for each kind of layer.

        Args:
            visible: which of the new tokens sees which, shape (batch, new, new).
            positions: of the new tokens, shape (batch, new).
            past: number of cached tokens; they stand at positions 0 .. past-1, unless `shown` says otherwise.
            dtype: of the mask.
            shown: positions of the cached tokens, negative for padding; shape (batch, past).
        """
        import torch

        batch, new = positions.shape
        before = torch.arange(past, device=positions.device).expand(batch, past) if shown is None else shown
        keys = torch.cat([before, positions], dim=1)
        allowed = torch.cat([(before >= 0)[:, None].expand(batch, new, past), visible], dim=2)

        def additive(allowed: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
            return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]

        masks: dict[str, torch.Tensor] = {}
        for kind in self._kinds:
            if kind == "sliding_attention" and self.window is not None:
                masks[kind] = additive(allowed & (positions[:, :, None] - keys[:, None, :] < self.window))
            else:
                masks[kind] = additive(allowed)
        return masks if len(masks) > 1 else next(iter(masks.values()))


def new_cache() -> Any:
    """An empty cache that keeps every position of every layer, sliding ones too: the mask says what they see."""
    from transformers import DynamicCache

    return DynamicCache()


def fork(cache: Any) -> Any:
    """A cache that grows on its own. Layers grow by concatenation, so the tensors themselves can be shared."""
    new = copy.copy(cache)
    new.layers = [copy.copy(layer) for layer in cache.layers]
    return new


def cut(cache: Any, length: int) -> Any:
    """A fork of `cache` with its first `length` positions."""
    new = fork(cache)
    for layer in new.layers:
        layer.keys = layer.keys[:, :, :length]
        layer.values = layer.values[:, :, :length]
    return new


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a runtime error of torch says that memory could not be had."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "alloc" in str(error).lower() or "out of memory" in str(error).lower()


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt left behind."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
