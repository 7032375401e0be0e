"""Answers of the OpenAI API and its kin: completions whole, and streamed as server-sent events."""

from __future__ import annotations

from typing import Any

import msgspec

from proctor.models import echo
from proctor.models.server_sent_events import events


class Part(msgspec.Struct):
    """A piece of a message."""

    type: str = "text"
    text: str = ""


class Message(msgspec.Struct):
    """What the model says."""

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def words(self) -> str:
        """What it says, without the thinking."""
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content if part.type == "text")


class Details(msgspec.Struct):
    """Of which tokens a count is made up."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """Tokens in and out."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class Choice(msgspec.Struct):
    """`message` of a chat completion, `text` of a completion; exactly one must be there."""

    message: Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    index: int = 0


class Completion(msgspec.Struct):
    """A whole answer."""

    choices: list[Choice]
    usage: Usage | None = None
    model: str | None = None


_decode_completion = msgspec.json.Decoder(Completion).decode


def decode_chat(data: bytes) -> Completion:
    """A chat completion. Raises `ValueError` where it holds no message."""
    answer = _decode_completion(data)
    if not answer.choices or answer.choices[0].message is None or answer.choices[0].finish_reason == "error":
        raise ValueError("no message in it")
    return answer


def decode_text(data: bytes) -> Completion:
    """A completion. Raises `ValueError` where it holds no text."""
    answer = _decode_completion(data)
    if not answer.choices or answer.choices[0].text is None:
        raise ValueError("no text in it")
    return answer


def decode_echo(data: bytes) -> tuple[Completion, echo.Logprobs]:
    """A completion that echoes its prompt, and the log-probabilities of its tokens."""
    answer = decode_text(data)
    return answer, msgspec.convert(answer.choices[0].logprobs, echo.Logprobs)


def decode_echoes(data: bytes) -> tuple[Completion, list[echo.Logprobs]]:
    """The same for several prompts of one request, in their order."""
    answer = _decode_completion(data)
    choices = sorted(answer.choices, key=lambda choice: choice.index)
    if [choice.index for choice in choices] != list(range(len(choices))):
        raise ValueError("its choices are not numbered")
    return answer, [msgspec.convert(choice.logprobs, echo.Logprobs) for choice in choices]


class _Chunk(msgspec.Struct):
    """One event of a stream."""

    choices: list[_ChunkChoice] = []
    usage: Usage | None = None
    model: str | None = None
    error: Any = None


class _ChunkChoice(msgspec.Struct):
    """`delta` of a chat completion, `text` of a completion."""

    delta: Message | None = None
    text: str | None = None
    finish_reason: str | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def decode_chat_stream(data: bytes) -> Completion:
    """A streamed chat completion put together; one that came whole after all is taken as well."""
    return decode_chat(data) if data.lstrip()[:1] == b"{" else _joined(data, chat=True)


def decode_text_stream(data: bytes) -> Completion:
    """The same of a completion."""
    return decode_text(data) if data.lstrip()[:1] == b"{" else _joined(data, chat=False)


def _joined(data: bytes, *, chat: bool) -> Completion:
    parts: dict[str, list[str]] = {"content": [], "reasoning": [], "refusal": [], "text": []}
    whole = Completion([])
    reason, ended = None, False
    for event in events(data):
        if event == b"[DONE]":
            ended = True
            break
        chunk = _decode_chunk(event)
        if chunk.error:
            raise ValueError(f"an error within the stream: {msgspec.json.encode(chunk.error)[:300].decode(errors='replace')}")
        whole.usage, whole.model = chunk.usage or whole.usage, chunk.model or whole.model
        for choice in chunk.choices[:1]:
            reason = choice.finish_reason or reason
            parts["text"].append(choice.text or "")
            if choice.delta is not None:
                parts["content"].append(choice.delta.words)
                parts["reasoning"].append(choice.delta.reasoning_content or choice.delta.reasoning or "")
                parts["refusal"].append(choice.delta.refusal or "")
    if reason is None and not ended:
        raise ValueError("the stream broke off")
    if reason == "error":
        raise ValueError("no message in it")
    if chat:
        message = Message(
            content="".join(parts["content"]), reasoning="".join(parts["reasoning"]) or None, refusal="".join(parts["refusal"]) or None
        )
        whole.choices = [Choice(message=message, finish_reason=reason)]
    else:
        whole.choices = [Choice(text="".join(parts["text"]), finish_reason=reason)]
    return whole


def begun(data: bytes) -> bool:
    """Whether the stream so far holds the first token: of the answer, or of the thinking before it."""
    for event in events(data):
        try:
            chunk = _decode_chunk(event)
        except ValueError:  # [DONE], or an error that decoding will tell
            continue
        for choice in chunk.choices[:1]:
            delta = choice.delta or Message()
            if choice.text or delta.words or delta.reasoning_content or delta.reasoning or delta.refusal:
                return True
    return False


def total_tokens(answer: Completion) -> int | None:
    """Tokens in and out, as the server counts them."""
    usage = answer.usage
    if usage is None or usage.prompt_tokens is None:
        return None
    return usage.prompt_tokens + (usage.completion_tokens or 0)
