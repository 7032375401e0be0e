"""Log-likelihoods from a completions API: the text is sent back (`echo`) with the log-probability of each of its tokens.

Which tokens are the continuation is found in the server's answer, as there is no tokenizer here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proctor.models.base import plain_text
from proctor.types import Prompt


class Logprobs(msgspec.Struct):
    """`choices[0].logprobs` of a completions API. One entry per token; the first token has no log-probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    text_offset: list[int]
    top_logprobs: list[dict[str, float] | None] | None = None


class Scored(msgspec.Struct, frozen=True):
    """A continuation's log-likelihood (natural logarithm, summed), whether each token (and the first) was the most likely one, and how many
    tokens it has."""

    loglikelihood: float
    greedy: bool
    first_greedy: bool
    tokens: int


def echo_body(text: str | list[str], model: str) -> dict[str, Any]:
    """The request that has `text`, or several, scored.

    One token is generated and dropped: 0 is refused by some servers and means "no limit" to others.
    """
    return {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}


def join(prompt: Prompt, continuation: str) -> tuple[str, int]:
    """The text to score, and where in it (in characters) the continuation begins.

    White space at the end of the context goes to the continuation, as it is part of the continuation's first token.
    """
    context, delimiter = plain_text(prompt)
    return context + delimiter + continuation, len(context.rstrip())


def score_tail(logprobs: Logprobs, text: str, start: int, generated: int | None) -> Scored:
    """Sum what belongs to `text[start:]`.

    A token that straddles `start` belongs to the continuation. The first token of a text has no log-probability and is left out of sum
    and count; it matters only where the context is empty (rolling and unconditional likelihood).

    Args:
        logprobs: of the echoed text and whatever was generated after it.
        text: what was sent.
        start: where the continuation begins, in characters.
        generated: how many tokens were generated, where the server says so.

    Raises:
        ValueError: lists of unlike length, tokens that do not spell the text, or no token with a log-probability.
    """
    count = len(logprobs.tokens)
    if not count or len(logprobs.token_logprobs) != count or len(logprobs.text_offset) != count:
        raise ValueError("tokens, token_logprobs and text_offset differ in length")
    first, end = _find(logprobs, text, start, generated)
    values = logprobs.token_logprobs[first:end]
    tops = (logprobs.top_logprobs or [None] * count)[first:end]
    if first == 0:
        values, tops = values[1:], tops[1:]
    if not values:
        raise ValueError("no log-probability to score: a server gives none for the first token, and this text has only that")
    total = 0.0
    greedy: list[bool] = []
    for value, top in zip(values, tops, strict=True):
        if value is None:
            raise ValueError("a token within the text has no log-probability")
        if not top:
            raise ValueError("a token comes without top_logprobs")
        total += value
        greedy.append(value >= max(top.values()))
    return Scored(total, all(greedy), greedy[0], len(values))


def _find(logprobs: Logprobs, text: str, start: int, generated: int | None) -> tuple[int, int]:
    """(first token of the continuation, one past its last token)."""
    tokens, offsets = logprobs.tokens, logprobs.text_offset
    end = sum(offset < len(text) for offset in offsets) if generated is None else len(tokens) - generated
    reach = offsets[end] if end < len(offsets) else offsets[-1] + len(tokens[-1])
    if end > 0 and reach == len(text) and offsets[0] == 0:
        # Offsets count characters of the text. Tokens that are parts of one character share its offset.
        ends = [*offsets[1:end], reach]
        return next((i for i in range(end) if offsets[i] >= start or ends[i] > start), end), end
    # Offsets count something else too, such as a start token's name (vLLM): spell the continuation backwards.
    first, at = end, len(text)
    while first > 0 and at > start:
        first -= 1
        if not text.endswith(tokens[first], 0, at):
            raise ValueError("the server's tokens do not spell the text that was sent")
        at -= len(tokens[first])
    if at > start:
        raise ValueError("the server's tokens do not spell the text that was sent")
    return first, end
