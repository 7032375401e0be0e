"""From a prompt to the tokens a local model reads: chat templates, special tokens, and where a context ends and a continuation begins."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proctor.models.base import plain_text
from proctor.models.prefix_tree import Scored
from proctor.types import Message, Prompt

# A context's tokens stand fast where they begin a word so many characters before its end; nearer to it, what follows can change them.
SETTLED = 64
UNTRIED = "Proctor asks whether the template shows this."


class CannotRenderError(Exception):
    """A prompt or continuation that cannot be put to this model; `str()` says why, in one line."""


@dataclass(frozen=True)
class Rendered:
    """A prompt as the model's text.

    Attributes:
        text: as it will be tokenised.
        delimiter: what stands between it and a continuation.
        special: whether the tokenizer may add its special tokens (a chat template writes them itself).
        scores_bos: see `proctor.types.Prompt`.
    """

    text: str
    delimiter: str
    special: bool
    scores_bos: bool = False


@dataclass(frozen=True)
class _Begun:
    """A text that others begin with: its tokens, how many of them stand fast whatever follows, and the text of the others."""

    ids: list[int]
    fast: int
    rest: str


class Renderer:
    """Renders prompts with one tokenizer.

    Args:
        tokenizer: of `transformers`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @functools.cached_property
    def chat(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    @functools.cached_property
    def template_hash(self) -> str | None:
        """Of the chat template; None where the model has none."""
        if not self.chat:
            return None
        return hashlib.blake2b(str(self.tokenizer.chat_template).encode(), digest_size=8).hexdigest()

    @functools.cached_property
    def prefix_token(self) -> int | None:
        """What stands before a text without context: the BOS token, else EOS; None where the tokenizer has neither."""
        bos: int | None = self.tokenizer.bos_token_id
        return bos if bos is not None else self.tokenizer.eos_token_id

    @functools.cached_property
    def takes_system(self) -> bool:
        """Whether the chat template shows a system turn: some raise, some leave it out."""
        try:
            return UNTRIED in self._template([Message("system", UNTRIED), Message("user", "?")])
        except CannotRenderError:
            return False

    @functools.cached_property
    def end_tokens(self) -> frozenset[int]:
        """The tokenizer's EOS, and the token with which the chat template ends an assistant's turn."""
        ends = {self.tokenizer.eos_token_id}
        if self.chat:
            try:
                text = self._template([Message("user", "?"), Message("assistant", UNTRIED)], generation=False)
            except CannotRenderError:
                text = ""
            after = text.rpartition(UNTRIED)[2]
            tokens = self.encode(after, special=False) if after else []
            if tokens and tokens[0] in self.tokenizer.all_special_ids:
                ends.add(tokens[0])
        return frozenset(e for e in ends if e is not None)

    def render(self, prompt: Prompt) -> Rendered:
        """The text of `prompt`. Raises `CannotRenderError` where the model's chat template refuses it.

        After a chat template's generation prompt a continuation follows without a delimiter; after a prefill that does not end in white
        space the prompt's delimiter stands, as in running text. A template that takes no system turn gets it at the head of the first user
        turn.
        """
        if not prompt.messages or prompt.style == "plain" or not self.chat:
            text, delimiter = plain_text(prompt)
            return Rendered(text, delimiter, special=True, scores_bos=prompt.scores_bos)
        messages = list(prompt.messages)
        if messages[0].role == "system" and not self.takes_system and len(messages) > 1 and messages[1].role == "user":
            messages[:2] = [Message("user", messages[0].content + "\n\n" + messages[1].content)]
        text = self._template(messages) + prompt.prefill
        delimiter = prompt.delimiter if prompt.prefill and not prompt.prefill[-1].isspace() else ""
        return Rendered(text, delimiter, special=False)

    def _template(self, messages: list[Message], generation: bool = True) -> str:
        from jinja2 import TemplateError

        turns = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation))
        except (TemplateError, TypeError, ValueError) as error:
            raise CannotRenderError(f"the model's chat template refuses the prompt: {' '.join(str(error).split())}") from error

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids. The tokenizer's own special tokens are added where `special` says so and the text does not begin with BOS already."""
        ids: list[int] = self._encoded(text, special)["input_ids"]
        return ids

    def _encoded(self, text: str, special: bool) -> Any:
        bos = self.tokenizer.bos_token
        if special and bos and text.startswith(bos):
            special = False
        return self.tokenizer(text, add_special_tokens=special, verbose=False)

    def _begun(self, text: str, special: bool) -> _Begun:
        """The tokens of `text`, and where a text that goes on from it can be encoded from.

        A tokenizer works word by word (pre-token by pre-token), so that a word's tokens do not depend on the words after it. Where
        a word begins, `SETTLED` characters before the end, the rest is encoded by itself; only if that gives the very tokens that
        stand there are those before it kept. Otherwise (one word, a tokenizer without offsets, one that begins or ends a text in its
        own way) none are.
        """
        encoded = self._encoded(text, special)
        ids: list[int] = encoded["input_ids"]
        nothing_kept = _Begun(ids, 0, text)
        if not getattr(self.tokenizer, "is_fast", False) or len(text) <= SETTLED:
            return nothing_kept
        words, offsets = encoded.encodings[0].word_ids, encoded.encodings[0].offsets
        for first in range(len(ids) - 1, 0, -1):
            start = offsets[first][0]
            if start > len(text) - SETTLED or words[first] is None or words[first] == words[first - 1]:
                continue
            # Whether a word's space counts as its beginning depends on the tokenizer.
            for place in (start, start - 1, start + 1):
                if place > 0 and self.encode(text[place:], special=False) == ids[first:]:
                    return _Begun(ids, first, text[place:])
            return nothing_kept
        return nothing_kept

    def _going_on(self, begun: _Begun, more: str, special: bool) -> list[int]:
        if not begun.fast:
            return self.encode(begun.rest + more, special)
        return begun.ids[: begun.fast] + self.encode(begun.rest + more, special=False)

    def scored(self, rendered: Rendered, continuation: str, max_length: int) -> list[Scored]:
        """What is to be scored for one continuation; see `scored_all`."""
        return self.scored_all(rendered, [continuation], max_length)[0]

    def scored_all(self, rendered: Rendered, continuations: Sequence[str], max_length: int) -> list[list[Scored]]:
        """What is to be scored for each continuation of one context: one sequence, or windows where a text without context is longer than
        the model's.

        The rules are lm-evaluation-harness's. White space at the end of the context belongs to the continuation; both are encoded
        together, and cut at as many tokens as the context has alone. Too long a sequence keeps its last `max_length` + 1 tokens (the last
        is predicted, never read). Without context, the prefix token stands before the text; it is not scored.

        A long context is encoded once, and with each continuation only its last words again.

        Raises:
            CannotRenderError: nothing would be scored, or there is nothing to condition on.
        """
        context = rendered.text
        if not context.strip() and not (context and rendered.special is False):
            return [self._scored_alone(context + rendered.delimiter + one, max_length, rendered.scores_bos) for one in continuations]
        cut = len(context.rstrip())
        between = context[cut:] + rendered.delimiter
        begun = self._begun(context[:cut], rendered.special)
        if not begun.ids:
            return [self._scored_alone(between + one, max_length, rendered.scores_bos) for one in continuations]
        found = []
        for one in continuations:
            after = self._going_on(begun, between + one, rendered.special)[len(begun.ids) :]
            if not after:
                raise CannotRenderError("the continuation adds no tokens to the context")
            tokens = [*begun.ids, *after][-(max_length + 1) :]
            found.append([Scored(tuple(tokens), max(1, len(tokens) - len(after)), len(begun.ids) + len(after) - len(tokens))])
        return found

    def _scored_alone(self, text: str, max_length: int, scores_bos: bool) -> list[Scored]:
        if self.prefix_token is None:
            raise CannotRenderError("a text without context cannot be scored: the tokenizer has neither a BOS nor an EOS token")
        tokens = self.encode(text, special=scores_bos)
        if tokens and tokens[0] == self.prefix_token and not scores_bos:
            tokens = tokens[1:]
        if not tokens:
            raise CannotRenderError("the continuation has no tokens")
        return rolling(tokens, self.prefix_token, max_length)


def rolling(tokens: list[int], prefix: int, max_length: int) -> list[Scored]:
    """Windows over a text without context, in which every token is scored once (lm-evaluation-harness's rolling windows).

    The first window predicts up to `max_length` tokens after `prefix`; the later ones as many again, each read by a window of `max_length`
    tokens that begins one token before its first scored one; the last window is as long, so it has more context.

    Args:
        tokens: of the text, at least one.
        prefix: token before the text.
        max_length: tokens the model can read at once.
    """
    windows = [Scored((prefix, *tokens[:max_length]), 1)]
    done = min(max_length, len(tokens))
    while done < len(tokens):
        count = min(len(tokens) - done, max_length)
        end = done + count
        window = tuple(tokens[end - max_length - 1 : end])
        windows.append(Scored(window, len(window) - count))
        done = end
    return windows
