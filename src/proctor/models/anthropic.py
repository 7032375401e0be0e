"""The Anthropic Messages API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models.anthropic_answers import Answer, Usage, begun, decode, decode_stream, total_tokens
from proctor.models.base import Ask, Kind, Preview, plain_text
from proctor.models.chat import finished_text, preview_turns, refused_parameter, turns
from proctor.models.connection import Call, CallFailed, Endpoint, HttpOptions, Line, check_batch
from proctor.models.http import HttpModel
from proctor.models.media_parts import anthropic_content
from proctor.models.openai import read_key
from proctor.models.options import read_options
from proctor.models.prices import BATCH_SHARE, price
from proctor.types import Generate, Likelihood, Media, MediaKind, Request, Response

if TYPE_CHECKING:
    from proctor.models.batch import BatchApi

_OFFICIAL = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_LARGEST_IMAGE = 5 << 20
_FINISH = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refused"}
_WHOLE = Call(decode, tokens=total_tokens)
_STREAM = Call(decode_stream, begun, total_tokens)


class AnthropicModel(HttpModel):
    """A model behind the Anthropic Messages API (https://docs.anthropic.com/en/api/messages).

    The prefill is the last assistant turn, without white space at its end, which the API refuses; models that refuse prefill
    altogether get it at the end of the user's turn. Seeds do not exist there and are not sent.

    Args:
        uri: as the user named it.
        base: URL before `/v1/messages`.
        model: the model's name.
        options: see `HttpOptions`.
        secret: the key.
    """

    def __init__(self, uri: str, base: str, model: str, options: HttpOptions, secret: str) -> None:
        self.uri, self.model, self.options = uri, model, options
        base = base.rstrip("/")
        self.endpoint = Endpoint(base, {"x-api-key": secret, "anthropic-version": _VERSION}, secret)
        self.fingerprint = content_hash(["anthropic-api 1", base, model])
        self.kinds: frozenset[Kind] = frozenset({"generate"})
        self.media: frozenset[MediaKind] = frozenset({"image", "document"})
        self.not_sent: set[str] = set()  # parameters the model refuses

    def refuses(self, media: Media) -> str | None:
        if media.kind == "image" and media.size > _LARGEST_IMAGE:
            return f"the Anthropic API takes pictures of at most {_LARGEST_IMAGE >> 20} MiB; make it smaller"
        return None

    async def respond(self, line: Line, ask: Ask) -> Response:
        request = ask.request
        if not isinstance(request, Generate):
            return Response(finish="error", error="the Anthropic API gives no log-likelihoods")
        while True:
            body = self.body(request)
            try:
                sent = await line.send("/v1/messages", body, _STREAM if self.options.stream else _WHOLE)
                break
            except CallFailed as failed:
                name = refused_parameter(failed.problem, optional_parameters(body))
                if name is None:
                    raise
                self.not_sent.add(name)
        return self.read(request, sent.value, sent.facts())

    def read(self, request: Generate, answer: Answer, facts: dict[str, Any]) -> Response:
        """An answer as a response; `facts` are the fields that tell how it was sent."""
        content = "".join(block.text for block in answer.content if block.type == "text")
        thinking = "".join(block.thinking for block in answer.content if block.type == "thinking")
        text, finish = finished_text(content, thinking, request.stop, _FINISH.get(answer.stop_reason or "", "stop"))
        usage = answer.usage or Usage()
        given = usage.input_tokens
        if given is not None:  # the API counts cached tokens apart
            given += (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        response = Response(
            text=text,
            finish=finish,
            input_tokens=given,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cache_read_input_tokens,
            served_by=answer.model,
            **facts,
        )
        cost = price(self.model, "anthropic", response, self._share)
        return response if cost is None else msgspec.structs.replace(response, cost=cost)

    def body(self, request: Generate) -> dict[str, Any]:
        """What is sent, without the parameters the model is known to refuse."""
        messages, prefill = turns(request.prompt, keep_prefill="prefill" not in self.not_sent)
        said = [{"role": m.role, "content": anthropic_content(m)} for m in messages if m.role != "system"]
        if prefill.rstrip():
            said.append({"role": "assistant", "content": prefill.rstrip()})
        body: dict[str, Any] = {"model": self.model, "max_tokens": request.max_tokens, "messages": said, "temperature": request.temperature}
        system = "\n\n".join(m.content for m in messages if m.role == "system")
        if system:
            body["system"] = system
        if request.top_p != 1.0:
            body["top_p"] = request.top_p
        stops = [s for s in request.stop if s.strip()]  # the API refuses stop texts that are only white space; they are cut here
        if stops:
            body["stop_sequences"] = stops
        if self.options.stream:
            body["stream"] = True
        return {key: value for key, value in body.items() if key not in self.not_sent}

    def cost(self, input_tokens: int, output_tokens: int) -> float | None:
        return price(self.model, "anthropic", Response(input_tokens=input_tokens, output_tokens=output_tokens), self._share)

    @property
    def _share(self) -> float:
        """Of the list price."""
        return BATCH_SHARE if self.options.batch else 1.0

    def batch_api(self) -> BatchApi:
        from proctor.models.anthropic_batch import AnthropicBatches

        return AnthropicBatches(self)

    def preview(self, request: Request) -> Preview:
        if isinstance(request, Likelihood):
            return Preview(tuple(plain_text(p)[0] for p in request.prompts), None, "not sent: the Anthropic API gives no log-likelihoods")
        return preview_turns(request, keep_prefill="prefill" not in self.not_sent)

    def describe(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"endpoint": self.endpoint.base, "model": self.model, "api": "messages", "version": _VERSION}
        if self.not_sent:
            facts["not_sent"] = sorted(self.not_sent)
        return facts


def optional_parameters(body: dict[str, Any]) -> list[str]:
    """Which parameters of a body some models refuse and can be left out."""
    prefilled = body["messages"] and body["messages"][-1]["role"] == "assistant"
    return [*(name for name in ("temperature", "top_p", "stop_sequences") if name in body), *(["prefill"] if prefilled else [])]


def open_anthropic(scheme: str, path: str, options: dict[str, str], uri: str) -> AnthropicModel:
    """`anthropic:MODEL`. Raises `ModelError` for a missing model name or key."""
    chosen = read_options(uri, options, HttpOptions)
    check_batch(uri, chosen)
    if not path:
        raise ModelError("model anthropic: which model? for example anthropic:claude-sonnet-4-5")
    secret = read_key(uri, chosen.key_env or "ANTHROPIC_API_KEY", required=True)
    assert secret is not None
    return AnthropicModel(uri, os.environ.get("ANTHROPIC_BASE_URL") or _OFFICIAL, path, chosen, secret)
