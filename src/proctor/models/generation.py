"""Text generation in batches that change while they run: a finished sequence leaves, a waiting one takes its place.

Prompts of like length are read together, in sorted order; what they begin with alike is computed once.
Sequences of a batch are aligned at their ends (left padding); each keeps its own positions. What a sequence becomes does not depend on
its neighbours, beyond the rounding of a matrix product of another shape: greedy decoding takes the most likely token, sampling draws from
a generator of the request's own.

Models whose attention cannot be told a mask and positions (see `likelihood.py`) generate one sequence at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError
from proctor.models.likelihood import SMALLER, LikelihoodEngine, cut, fork, free_memory, new_cache, out_of_memory
from proctor.models.prefix_tree import common_prefix

if TYPE_CHECKING:
    import torch

ROWS_CPU, ROWS_GPU = 64, 128
"""Most sequences in a batch."""

CACHE_BYTES = 2 << 30
"""Keys and values of a batch may take this much memory on CPU; on a GPU, half of what is free."""

REUSE = 16
"""A shared beginning shorter than this is not worth reusing."""

WORTH_A_PASS = 64
"""A beginning that prompts share gets a forward pass of its own where that saves so many tokens: each pass reads all weights."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text to be generated.

    Attributes:
        tokens: of the prompt, at least one.
        max_tokens: at most this many new tokens, at least one.
        stop: texts at whose first occurrence the answer ends.
        end_tokens: token ids that end the answer.
        temperature: 0 is greedy.
        top_p: mass of the most likely tokens that are drawn from.
        seed: of the draws.
        cut: how many tokens of the prompt were left out before the first, for want of room.
    """

    tokens: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    end_tokens: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated: `text` without stop text or special tokens, all new `tokens`, and whether the token limit cut it (`length`)."""

    text: str
    tokens: tuple[int, ...]
    length: bool


@dataclass(slots=True)
class _Row:
    """One sequence of the running batch."""

    index: int
    wanted: Wanted
    position: int  # of the next token
    new: list[int] = field(default_factory=list)
    generator: Any = None


def _size(wanted: Wanted) -> int:
    """Tokens a row may come to."""
    return len(wanted.tokens) + wanted.max_tokens


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins in `text`, or None."""
    found = [at for s in stop if s and (at := text.find(s)) >= 0]
    return min(found, default=None)


class GenerationEngine:
    """Generates texts with one model.

    Args:
        likelihood: the engine for the same model; its probe says whether batches work, and its chunk bounds a forward pass.
        decode: token ids to text, special tokens left out.
    """

    def __init__(self, likelihood: LikelihoodEngine, decode: Callable[[list[int]], str]) -> None:
        self.engine = likelihood
        self.model = likelihood.model
        self.device = likelihood.device
        self.decode = decode
        self.rows = ROWS_CPU if self.device.type == "cpu" else ROWS_GPU
        self.prompts = self.rows  # most prompts read together; less after running out of memory
        self._prompt: tuple[int, ...] = ()
        self._prompt_cache: Any = None

    def generate(self, wanted: Sequence[Wanted]) -> Iterator[tuple[int, Generated]]:
        """Generate every text once, in the order in which it gets finished. Yields (index, what was generated)."""
        # Taken from the end. Rows of like length go together, since a batch is padded to its longest; the long ones first, since
        # short ones fill what they leave. Among those, neighbours share the beginnings of their prompts.
        waiting = sorted(range(len(wanted)), key=lambda i: (_size(wanted[i]).bit_length(), wanted[i].tokens))
        try:
            if self.engine.tree:
                yield from self._batched(wanted, waiting)
            else:
                while waiting:
                    index = waiting.pop()
                    yield index, self._alone(wanted[index])
        finally:
            self._prompt, self._prompt_cache = (), None

    # batches

    def _batched(self, wanted: Sequence[Wanted], waiting: list[int]) -> Iterator[tuple[int, Generated]]:
        budget = self._budget()
        rows: list[_Row] = []
        cache: Any = None
        shown: Any = None  # positions of the cached tokens, -1 for padding; shape (rows, length)
        while waiting or rows:
            # Taking in a row copies the whole batch, so it waits until there is room for several.
            if waiting and len(rows) <= self.rows * 3 // 4:
                caches: list[Any] = []
                news: list[_Row] = []
                for index, logits, own in self._read(wanted, waiting, rows, budget):
                    row = _Row(index, wanted[index], len(wanted[index].tokens), generator=self._generator(wanted[index]))
                    done = self._advance(row, logits)
                    if done is not None:
                        yield index, done
                    else:
                        news.append(row)
                        caches.append(own)
                if news:
                    cache, shown = self._join(cache, shown, caches, [r.position for r in news])
                    rows += news
            if not rows:
                continue
            try:
                logits, cache, shown = self._step(rows, cache, shown)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise ModelError(f"not enough memory on {self.device} for {rows[0].position} tokens; {SMALLER}") from error
                logits = None
            if logits is None:
                # The later half starts over, later and in a smaller batch.
                free_memory(self.device)
                half = len(rows) // 2
                waiting += [r.index for r in reversed(rows[half:])]
                rows, self.rows = rows[:half], half
                cache, shown = self._select(cache, shown, list(range(half)))
                continue
            staying = []
            for i, row in enumerate(rows):
                row.position += 1
                done = self._advance(row, logits[i])
                if done is None:
                    staying.append(i)
                else:
                    yield row.index, done
            if len(staying) < len(rows):
                rows = [rows[i] for i in staying]
                cache, shown = self._select(cache, shown, staying) if rows else (None, None)

    def _budget(self) -> int:
        """Tokens whose keys and values may be held at a time."""
        import torch

        _, (cache,) = self._prefill([(0,)])
        self._prompt, self._prompt_cache = (), None
        each = sum(layer.keys.numel() * layer.keys.element_size() * 2 for layer in cache.layers)
        room = CACHE_BYTES
        if self.device.type == "cuda":
            room = torch.cuda.mem_get_info(self.device)[0] // 2
        return int(room // each)

    def _read(self, wanted: Sequence[Wanted], waiting: list[int], rows: list[_Row], budget: int) -> Iterator[tuple[int, torch.Tensor, Any]]:
        """Read the prompts of as many waiting sequences as the batch has room for. Yields (index, logits, cache)."""
        taken: list[int] = []
        longest = max((_size(row.wanted) for row in rows), default=0)
        while waiting and len(rows) + len(taken) < self.rows:
            longest = max(longest, _size(wanted[waiting[-1]]))
            members = len(rows) + len(taken) + 1
            if members > 1 and longest * members > budget:
                break
            taken.append(waiting.pop())
        running = len(rows)
        while taken:
            group = self._together([wanted[i].tokens for i in taken])
            try:
                logits, caches = self._prefill([wanted[i].tokens for i in taken[:group]])
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                free_memory(self.device)
                if group > 1:
                    self.prompts = group // 2
                    continue
                if not running:
                    raise ModelError(f"not enough memory on {self.device} for {len(wanted[taken[0]].tokens)} tokens; {SMALLER}") from error
                waiting += reversed(taken)
                self.rows = running
                return
            read, taken = taken[:group], taken[group:]
            running += group
            yield from zip(read, logits, caches, strict=True)

    def _together(self, prompts: Sequence[tuple[int, ...]]) -> int:
        """How many of the first prompts fit one forward pass, padded to the longest."""
        stem = longest = len(prompts[0])
        for count, tokens in enumerate(prompts[: self.prompts]):
            stem = common_prefix(prompts[0][:stem], tokens)
            longest = max(longest, len(tokens))
            if count and (count + 1) * (longest - stem) > self.engine.chunk:
                return count
        return min(len(prompts), self.prompts)

    def _prefill(self, prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, list[Any]]:
        """Logits after each of some prompts, shape (prompts, vocabulary), and a cache for each.

        What they all begin with is read once (or not at all, where the prompts before began so too), the rest side by side.
        """
        import torch

        stem = min(map(len, prompts)) - 1
        for tokens in prompts:
            stem = common_prefix(prompts[0][:stem], tokens)
        shared = min(common_prefix(prompts[0], self._prompt), stem)
        shared = shared if shared >= REUSE else 0
        if (len(prompts) - 1) * (stem - shared) < WORTH_A_PASS:
            stem = shared
        cache = cut(self._prompt_cache, shared) if shared else new_cache()
        with torch.inference_mode():
            at = shared
            # A long prompt is read in pieces: all but the last here.
            last = stem if len(prompts) > 1 else max(stem, (len(prompts[0]) - 1 - at) // self.engine.chunk * self.engine.chunk + at)
            while at < last:
                piece = prompts[0][at : min(last, at + self.engine.chunk)]
                self._extend(cache, [piece], at)
                at += len(piece)
            if at and len(prompts) > 1:
                for layer in cache.layers:
                    layer.keys = layer.keys.expand(len(prompts), -1, -1, -1)
                    layer.values = layer.values.expand(len(prompts), -1, -1, -1)
            logits = self._extend(cache, [tokens[at:] for tokens in prompts], at)
            caches = [self._row(cache, i, len(tokens)) for i, tokens in enumerate(prompts)]
        self._prompt, self._prompt_cache = prompts[-1], fork(caches[-1])
        return logits, caches

    def _extend(self, cache: Any, pieces: Sequence[tuple[int, ...]], at: int) -> torch.Tensor:
        """Read one piece of each row, all from position `at`; logits after each, shape (rows, vocabulary). Shorter pieces are padded."""
        import torch

        longest = max(map(len, pieces))
        ids = torch.tensor([[*piece, *[0] * (longest - len(piece))] for piece in pieces], device=self.device)
        positions = torch.arange(at, at + longest, device=self.device).expand(len(pieces), -1)
        visible = torch.ones(longest, longest, dtype=torch.bool, device=self.device).tril().expand(len(pieces), -1, -1)
        mask = self.engine.mask.make(visible, positions, at, self.engine.dtype)
        ends = torch.tensor([len(piece) - 1 for piece in pieces], device=self.device)
        return self._forward(ids, ends, position_ids=positions, attention_mask=mask, past_key_values=cache)

    def _row(self, cache: Any, row: int, length: int) -> Any:
        """One row of a batch's cache, without its padding."""
        new = fork(cache)
        for layer in new.layers:
            layer.keys = layer.keys[row : row + 1, :, :length]
            layer.values = layer.values[row : row + 1, :, :length]
        return new

    def _step(self, rows: list[_Row], cache: Any, shown: torch.Tensor) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """One token more for every row: logits of shape (rows, vocabulary), the grown cache and what it shows."""
        import torch

        with torch.inference_mode():
            positions = torch.tensor([[r.position] for r in rows], device=self.device)
            visible = torch.ones(len(rows), 1, 1, dtype=torch.bool, device=self.device)
            mask = self.engine.mask.make(visible, positions, shown.shape[1], self.engine.dtype, shown)
            grown = fork(cache)
            tokens = torch.tensor([[r.new[-1]] for r in rows], device=self.device)
            logits = self._forward(tokens, position_ids=positions, attention_mask=mask, past_key_values=grown)
            return logits, grown, torch.cat([shown, positions], dim=1)

    def _forward(self, tokens: torch.Tensor, ends: torch.Tensor | None = None, **arguments: Any) -> torch.Tensor:
        """Logits at one position of each row, shape (rows, vocabulary): at `ends`, shape (rows,), or the last."""
        import torch

        if ends is None:
            if self.engine.selects:
                arguments["logits_to_keep"] = 1
            return self.model(input_ids=tokens, **arguments).logits[:, -1].float()
        rows = torch.arange(len(ends), device=self.device)
        if not self.engine.selects:
            return self.model(input_ids=tokens, **arguments).logits[rows, ends].float()
        kept, which = torch.unique(ends, return_inverse=True)
        return self.model(input_ids=tokens, logits_to_keep=kept, **arguments).logits[rows, which].float()

    def _join(self, cache: Any, shown: Any, caches: list[Any], lengths: list[int]) -> tuple[Any, torch.Tensor]:
        """The batch of `cache` and new rows, aligned at the end."""
        import torch
        from torch.nn.functional import pad

        old = 0 if shown is None else shown.shape[1]
        longest = max(old, *lengths)
        with torch.inference_mode():
            parts = [] if shown is None else [pad(shown, (longest - old, 0), value=-1)]
            parts += [pad(torch.arange(n, device=self.device)[None], (longest - n, 0), value=-1) for n in lengths]
            joined = fork(caches[0])
            for i, layer in enumerate(joined.layers):
                for name in ("keys", "values"):
                    tensors = ([getattr(cache.layers[i], name)] if cache is not None else []) + [getattr(c.layers[i], name) for c in caches]
                    setattr(layer, name, torch.cat([pad(t, (0, 0, longest - t.shape[2], 0)) for t in tensors]))
            return joined, torch.cat(parts)

    def _select(self, cache: Any, shown: torch.Tensor, rows: list[int]) -> tuple[Any, torch.Tensor]:
        """The batch of some of the rows, without padding that they all share."""
        import torch

        with torch.inference_mode():
            chosen = torch.tensor(rows, device=self.device)
            shown = shown[chosen]
            padding = int((shown < 0).sum(1).min())
            new = fork(cache)
            for layer in new.layers:
                layer.keys = layer.keys[chosen, :, padding:]
                layer.values = layer.values[chosen, :, padding:]
            return new, shown[:, padding:]

    # one sequence

    def _alone(self, wanted: Wanted) -> Generated:
        """Generate with nothing but the model's own cache: the way that fits every architecture."""
        import torch

        row = _Row(0, wanted, len(wanted.tokens), generator=self._generator(wanted))
        tokens = torch.tensor([wanted.tokens], device=self.device)
        cache: Any = None
        while True:
            with torch.inference_mode():
                output = self.model(input_ids=tokens, use_cache=True, **({} if cache is None else {cache[0]: cache[1]}))
            done = self._advance(row, output.logits[0, -1].float())
            if done is not None:
                return done
            tokens = torch.tensor([[row.new[-1]]], device=self.device)
            for name in ("past_key_values", "cache_params"):
                if getattr(output, name, None) is not None:
                    cache = (name, getattr(output, name))
            if cache is None:
                tokens = torch.tensor([[*wanted.tokens, *row.new]], device=self.device)

    # the next token

    def _generator(self, wanted: Wanted) -> Any:
        if wanted.temperature <= 0:
            return None
        import torch

        return torch.Generator().manual_seed(wanted.seed % (1 << 63))

    def _advance(self, row: _Row, logits: torch.Tensor) -> Generated | None:
        """Choose a row's next token from its logits; what was generated where that ends it, else None."""
        wanted = row.wanted
        token = int(logits.argmax()) if row.generator is None else draw(logits, wanted.temperature, wanted.top_p, row.generator)
        row.new.append(token)
        if token in wanted.end_tokens:
            text = self.decode(row.new[:-1])
            return Generated(text, tuple(row.new), length=False)
        full = len(row.new) >= wanted.max_tokens
        if wanted.stop and (full or self._may_stop(row)):
            text = self.decode(row.new)
            at = first_stop(text, wanted.stop)
            if at is not None:
                return Generated(text[:at], tuple(row.new), length=False)
        if full:
            return Generated(self.decode(row.new), tuple(row.new), length=True)
        return None

    def _may_stop(self, row: _Row) -> bool:
        """Whether a stop text may have just been completed, from the last tokens only: decoding all of them each time is quadratic."""
        # A token holds at least a byte, so these are enough, and some for special tokens, which hold none.
        tail = max(len(s.encode()) for s in row.wanted.stop) + 16
        return len(row.new) <= tail or first_stop(self.decode(row.new[-tail:]), row.wanted.stop) is not None


def draw(logits: torch.Tensor, temperature: float, top_p: float, generator: Any) -> int:
    """A token drawn from the softmax of `logits` / `temperature`, restricted to its nucleus.

    The nucleus is the smallest set of most likely tokens whose probabilities sum to at least `top_p` (Holtzman et al. 2020, The Curious
    Case of Neural Text Degeneration). One uniform number is drawn per token.

    Args:
        logits: shape (vocabulary,).
        generator: a `torch.Generator` on the CPU.
    """
    import torch

    probabilities, order = torch.sort((logits.cpu().double() / temperature).softmax(-1), descending=True, stable=True)
    sums = probabilities.cumsum(-1)
    if top_p < 1:
        size = min(int((sums < top_p).sum()) + 1, len(sums))
        sums = sums[:size]
    at = torch.rand(1, generator=generator, dtype=torch.float64) * sums[-1]
    return int(order[min(int(torch.searchsorted(sums, at, right=True)), len(sums) - 1)])
