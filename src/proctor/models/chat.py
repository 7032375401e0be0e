"""What chat APIs have in common: prompts as turns, answers as text, parameters a model refuses."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from proctor.models.base import Preview, described, described_text, plain_text
from proctor.models.http_errors import Problem
from proctor.types import PLACE, Generate, Message, Prompt, Request, prompts_of

_REFUSED = re.compile(r"support|deprecated|not permitted|not allowed|unknown|unrecognized|removed", re.IGNORECASE)


def turns(prompt: Prompt, *, keep_prefill: bool) -> tuple[list[Message], str]:
    """A prompt as the turns a chat API is sent, and the beginning of the answer where the API can be given one.

    Style `plain` is one user turn that holds the whole running text. Where an API cannot continue an answer (`keep_prefill` false), the
    prefill is put at the end of the last user turn, after the prompt's delimiter, as in running text: every server takes that,
    and none answers a turn that is not there.
    """
    if prompt.style == "plain":
        shown = tuple(media for one in prompt.messages for media in one.media)
        if shown:  # places are counted; those of texts that show nothing are none
            texts = tuple(one if one.media else Message(one.role, one.content.replace(PLACE, "\ufffd")) for one in prompt.messages)
            prompt = replace(prompt, messages=texts)
        return [Message("user", plain_text(prompt)[0], shown)], ""
    messages = list(prompt.messages)
    if not prompt.prefill or keep_prefill:
        return messages, prompt.prefill
    last = messages.pop() if messages and messages[-1].role == "user" else Message("user", "")
    joined = plain_text(Prompt((last,) if last.content else (), prompt.prefill, delimiter=prompt.delimiter))[0]
    return [*messages, Message("user", joined, last.media)], ""


def finished_text(content: str, thinking: str, stop: tuple[str, ...], finish: Any) -> tuple[str, Any]:
    """Thinking in <think> tags before the content, the content cut at the first stop text, and how it ended after that."""
    cut = min((at for s in stop if s and (at := content.find(s)) >= 0), default=-1)
    if cut >= 0:
        content, finish = content[:cut], "stop"
    return (f"<think>{thinking}</think>\n{content}" if thinking else content), finish


def refused_parameter(problem: Problem, candidates: list[str]) -> str | None:
    """Which of `candidates` a 400 complains about as such (not about its value): sending without it may do."""
    if problem.status != 400 or not _REFUSED.search(problem.detail):
        return None
    for name in candidates:
        if problem.param == name or re.search(rf"\b{name}\b", problem.detail):
            return name
    return None


def preview_turns(request: Request, *, keep_prefill: bool) -> Preview:
    """The turns as text, for a person to read."""
    assert isinstance(request, Generate)
    messages, prefill = turns(request.prompt, keep_prefill=keep_prefill)
    text = "\n\n".join(f"[{m.role}]\n{described_text(m)}" for m in messages)
    if prefill:
        text += f"\n\n[assistant]\n{prefill}"
    return Preview((text,), None, "sent as chat messages; the server applies its template")


def preview_texts(request: Request) -> Preview:
    """The running texts that a completions API is sent."""
    return Preview(tuple(plain_text(described(p))[0] for p in prompts_of(request)), None, "sent as running text")
