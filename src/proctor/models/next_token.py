"""What a text becomes: its next token, where it ends, and what of it counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TOP = 512
"""Most likely tokens that are sorted first; a draw seldom needs more."""


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
class Text:
    """A text that is being written.

    Args:
        wanted: what is asked for.
        decode: token ids to text, special tokens left out.
    """

    wanted: Wanted
    decode: Callable[[list[int]], str]
    new: list[int] = field(default_factory=list)
    generator: Any = None

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """Forget what was written."""
        import torch

        self.new = []
        self.generator = torch.Generator().manual_seed(self.wanted.seed % (1 << 63)) if self.wanted.temperature > 0 else None

    def advance(self, likeliest: int, logits: torch.Tensor) -> Generated | None:
        """Add the next token; what was generated where that ends the text, else None.

        Args:
            likeliest: the most likely token.
            logits: shape (vocabulary,); read where the next token is drawn.
        """
        wanted = self.wanted
        token = likeliest if self.generator is None else draw(logits, wanted.temperature, wanted.top_p, self.generator)
        self.new.append(token)
        if token in wanted.end_tokens:
            return Generated(self.decode(self.new[:-1]), tuple(self.new), length=False)
        full = len(self.new) >= wanted.max_tokens
        if wanted.stop and (full or self._may_stop()):
            text = self.decode(self.new)
            at = first_stop(text, wanted.stop)
            if at is not None:
                return Generated(text[:at], tuple(self.new), length=False)
        if full:
            return Generated(self.decode(self.new), tuple(self.new), length=True)
        return None

    def _may_stop(self) -> bool:
        """Whether a stop text may have just been completed, from the last tokens only: decoding all of them each time is quadratic."""
        # A token holds at least a byte, so these are enough, and some for special tokens, which hold none.
        tail = max(len(s.encode()) for s in self.wanted.stop) + 16
        return len(self.new) <= tail or first_stop(self.decode(self.new[-tail:]), self.wanted.stop) is not None


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins in `text`, or None."""
    found = [at for s in stop if s and (at := text.find(s)) >= 0]
    return min(found, default=None)


def draw(logits: torch.Tensor, temperature: float, top_p: float, generator: Any) -> int:
    """A token drawn from the softmax of `logits` / `temperature`, restricted to its nucleus.

    The nucleus is the smallest set of most likely tokens whose probabilities sum to at least `top_p` (Holtzman et al. 2020, The Curious
    Case of Neural Text Degeneration). One uniform number is drawn per token, and the tokens stand in the order of their probabilities:
    only as many are sorted as the draw reaches.

    Args:
        logits: shape (vocabulary,).
        generator: a `torch.Generator` on the CPU.
    """
    import torch

    probabilities = (logits.cpu().double() / temperature).softmax(-1)
    at = torch.rand(1, generator=generator, dtype=torch.float64)
    for count in (min(TOP, len(probabilities)), len(probabilities)):
        if count < len(probabilities):
            most, order = torch.topk(probabilities, count)
        else:
            most, order = torch.sort(probabilities, descending=True, stable=True)
        sums = most.cumsum(-1)
        whole = count == len(probabilities)
        if top_p < 1 and (whole or float(sums[-1]) >= top_p):
            sums = sums[: min(int((sums < top_p).sum()) + 1, len(sums))]
            aim = at * sums[-1]
        elif top_p < 1:
            continue
        else:
            aim = at * (sums[-1] if whole else 1.0)
        if whole or float(aim) < float(sums[-1]):
            return int(order[min(int(torch.searchsorted(sums, aim, right=True)), len(sums) - 1)])
    raise AssertionError("all tokens were sorted")
