"""The OpenAI API, and every server that speaks it: chat completions, completions, log-likelihoods by echo.

`openai:MODEL` is the official API: chat only. `http(s)://host:port/v1#MODEL` is any other server; whether it can give log-likelihoods
is found out by asking it, once, when that is first needed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError
from proctor.models import echo
from proctor.models.base import ALL_MEDIA, Ask, Kind, Preview, plain_text
from proctor.models.chat import finished_text, preview_texts, preview_turns, refused_parameter, turns
from proctor.models.connection import Call, CallFailed, Endpoint, HttpOptions, Line, Sent, check_batch
from proctor.models.http import HttpModel
from proctor.models.media_parts import openai_content
from proctor.models.openai_answers import (
    Completion,
    Details,
    Usage,
    begun,
    decode_chat,
    decode_chat_stream,
    decode_echo,
    decode_echoes,
    decode_text,
    decode_text_stream,
    total_tokens,
)
from proctor.models.options import read_options
from proctor.models.prices import BATCH_SHARE, price
from proctor.types import Generate, Likelihood, Media, MediaKind, Prompt, Request, Response

if TYPE_CHECKING:
    from proctor.models.batch import BatchApi

_OFFICIAL = "https://api.openai.com/v1"
_MAX_STOPS = 4  # of the official API; the rest is cut here
_NOT_READY = (0, 408, 425, 429, 502, 503, 504, 529)  # say nothing of what the server can do; 0: no complete answer
OPTIONAL = ("temperature", "top_p", "seed", "stop", "stream_options")  # parameters that some models refuse
_SAME = 0.02  # what batching may change of a log-likelihood, relatively, in a server that computes in 16 bits
_PROBE_TEXT = "1 2 3 4 5 6 7 8"
_CHAT = Call(decode_chat, tokens=total_tokens)
_CHAT_STREAM = Call(decode_chat_stream, begun, total_tokens)
_TEXT = Call(decode_text, tokens=total_tokens)
_TEXT_STREAM = Call(decode_text_stream, begun, total_tokens)
_ECHO = Call(decode_echo, tokens=lambda answer: total_tokens(answer[0]))
_ECHOES = Call(decode_echoes, tokens=lambda answer: total_tokens(answer[0]))
_ECHOES_ONCE = Call(decode_echoes, tries=1)


class OpenAIOptions(HttpOptions, frozen=True, kw_only=True):
    """Options of an OpenAI-compatible API.

    Attributes:
        api: `chat` sends everything as chat messages, `completions` everything as running text; `auto` sends prompts of style `plain`
            as running text where the server takes it, and the rest as chat messages.
    """

    api: Literal["auto", "chat", "completions"] = "auto"


class OpenAIModel(HttpModel):
    """A model behind an OpenAI-compatible API.

    Args:
        uri: as the user named it.
        base: URL up to and including `/v1`.
        model: the name the server knows it by.
        official: the API of OpenAI itself, or a stand-in for it: chat only, `max_completion_tokens`, at most four stop texts.
        options: see `OpenAIOptions`.
        secret: the key; None where the server wants none.
    """

    def __init__(self, uri: str, base: str, model: str, official: bool, options: OpenAIOptions, secret: str | None) -> None:
        self.uri, self.model, self.official, self.options = uri, model, official, options
        self.endpoint = Endpoint(base.rstrip("/"), {"Authorization": f"Bearer {secret}"} if secret else {}, secret)
        self._api = "chat" if (official or options.batch) and options.api == "auto" else options.api
        self.fingerprint = content_hash(["openai-api 1", self.endpoint.base, model, official, self._api])
        self.not_sent: set[str] = set()  # parameters the model refuses
        self.no_likelihood = "the OpenAI chat API gives no log-likelihoods of a text" if self._api == "chat" else None
        if options.batch and self._api == "completions":
            self.no_likelihood = "batches are asked for texts only"
        self._takes_text = self._api == "completions"
        self._takes_lists = False  # several texts to score in one request
        self._kinds: frozenset[Kind] | None = frozenset({"generate"}) if self.no_likelihood else None

    @property
    def media(self) -> frozenset[MediaKind]:  # type: ignore[override]
        """All, in chat messages; which of them the model behind the server takes, it says itself."""
        return frozenset() if self._api == "completions" else ALL_MEDIA

    def refuses(self, media: Media) -> str | None:
        if self.official and media.kind == "audio" and media.type not in ("audio/wav", "audio/mpeg"):
            return "the OpenAI API takes WAV and MP3"
        return None

    @property
    def kinds(self) -> frozenset[Kind]:  # type: ignore[override]
        """`generate`; also `likelihood` where the server echoes log-probabilities.

        The first look asks the server, with three small requests. Raises `ModelError` where none answers, or none is ready to.
        """
        if self._kinds is None:
            self.no_likelihood = self.call(self._probe)  # raises where the server is dead
            self._kinds = frozenset({"generate"} if self.no_likelihood else {"generate", "likelihood"})
        return self._kinds

    async def _probe(self, line: Line) -> str | None:
        """Why the server gives no log-likelihoods, or None where it does.

        The text the server itself thinks most likely is sent back to it: if its first token is not the most likely one by its
        log-probabilities, they are not those of the tokens they stand beside (llama-cpp-python, for models without a start token).
        """
        try:
            body = {"model": self.model, "prompt": _PROBE_TEXT, "max_tokens": 4, "temperature": 0.0}
            said = (await line.send("/completions", body, _TEXT)).value.choices[0].text or ""
            self._takes_text = True
            text = _PROBE_TEXT + (said or " 9")
            answer, logprobs = (await line.send("/completions", echo.echo_body(text, self.model), _ECHO)).value
            scored = echo.score_tail(logprobs, text, len(_PROBE_TEXT), _generated(answer))
        except CallFailed as failed:
            if failed.problem.status == 404 and "model" in failed.problem.detail.lower():
                raise ModelError(f"{self.uri}: {failed.problem.detail}") from None
            if failed.problem.status in _NOT_READY:
                raise ModelError(f"{self.uri}: the server is not ready: {failed}; try again") from None
            return f"the server does not echo log-probabilities ({failed})"
        except ValueError as error:
            return f"the log-probabilities the server echoes cannot be used: {error}"
        if said and not scored.first_greedy:
            return (
                "the log-probabilities the server echoes are not those of its tokens: by them, its own greedy answer is not the likeliest"
            )
        self._takes_lists = await self._probe_lists(line, text, scored)
        return None

    async def _probe_lists(self, line: Line, text: str, alone: echo.Scored) -> bool:
        """Whether the server scores several texts in one request, and as it scores each alone (vLLM does, llama-cpp-python does not)."""
        pairs = [(_PROBE_TEXT, 0), (text, len(_PROBE_TEXT))]
        try:
            sent = await line.send("/completions", echo.echo_body([one for one, _ in pairs], self.model), _ECHOES_ONCE)
            together = _scored_together(sent.value, pairs)[1]
        except (CallFailed, ValueError):
            return False
        close = abs(together.loglikelihood - alone.loglikelihood) <= _SAME * max(1.0, abs(alone.loglikelihood))
        return close and together.tokens == alone.tokens

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        _ = self.kinds  # what the server takes must be known by now
        yield from super().answer(asks)

    def in_order(self, asks: list[Ask]) -> list[Ask]:
        """Contexts with a common beginning side by side, so that a server that keeps prefixes finds them there still."""
        if not any(isinstance(ask.request, Likelihood) for ask in asks):
            return asks
        return sorted(asks, key=_context)

    async def respond(self, line: Line, ask: Ask) -> Response:
        request = ask.request
        if isinstance(request, Likelihood):
            return await self._likelihood(line, request)
        assert isinstance(request, Generate)
        if self._as_text(request.prompt):
            return await self._complete(line, request)
        return await self._chat(line, request)

    def _as_text(self, prompt: Prompt) -> bool:
        if self._api != "auto":
            return self._api == "completions"
        if any(message.media for message in prompt.messages):
            return False
        return prompt.style == "plain" and self._takes_text

    async def _chat(self, line: Line, request: Generate) -> Response:
        body = self.body(request)
        try:
            sent = await self._send(line, "/chat/completions", body, _CHAT_STREAM if self.options.stream else _CHAT)
        except CallFailed as failed:
            if failed.problem.code in ("content_filter", "content_policy_violation"):
                return Response(text="", finish="refused", error=str(failed), **failed.facts())
            raise
        return self.read(request, sent.value, sent.facts())

    async def _complete(self, line: Line, request: Generate) -> Response:
        sent = await self._send(line, "/completions", self.body(request), _TEXT_STREAM if self.options.stream else _TEXT)
        return self.read(request, sent.value, sent.facts())

    def body(self, request: Generate) -> dict[str, Any]:
        """What is sent for a text, without the parameters the model is known to refuse."""
        if self._as_text(request.prompt):
            body = {"prompt": plain_text(request.prompt)[0], "max_tokens": request.max_tokens, **self._decoding(request)}
        else:
            messages, _ = turns(request.prompt, keep_prefill=False)
            body = {
                "messages": [{"role": m.role, "content": openai_content(m)} for m in messages],
                "max_completion_tokens" if self.official else "max_tokens": request.max_tokens,
                **self._decoding(request),
            }
        return {key: value for key, value in body.items() if key not in self.not_sent} if self.not_sent else body

    def read(self, request: Generate, answer: Completion, facts: dict[str, Any]) -> Response:
        """A completion as a response; `facts` are the fields that tell how it was sent."""
        choice = answer.choices[0]
        message = choice.message
        if message is None:
            text, finish = finished_text(choice.text or "", "", request.stop, _finish(choice.finish_reason))
            return self._response(answer, facts, text=text, finish=finish)
        content = message.words
        thinking = message.reasoning_content or message.reasoning or ""
        finish = _finish(choice.finish_reason)
        if message.refusal:
            content, finish = content or message.refusal, "refused"
        text, finish = finished_text(content, thinking, request.stop, finish)
        return self._response(answer, facts, text=text, finish=finish)

    def _decoding(self, request: Generate) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "temperature": request.temperature}
        if request.top_p != 1.0:
            body["top_p"] = request.top_p
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = request.stop[:_MAX_STOPS] if self.official else request.stop
        if self.options.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    async def _send(self, line: Line, path: str, body: dict[str, Any], call: Call[Completion]) -> Sent[Completion]:
        """Send; where the model refuses a parameter (temperature, of reasoning models), send without it, now and ever after."""
        while True:
            try:
                return await line.send(path, body, call)
            except CallFailed as failed:
                name = refused_parameter(failed.problem, [n for n in OPTIONAL if n in body])
                if name is None:
                    raise
                self.not_sent.add(name)
            body = {key: value for key, value in body.items() if key not in self.not_sent}

    async def _likelihood(self, line: Line, request: Likelihood) -> Response:
        if "likelihood" not in (self._kinds or ()):
            return Response(finish="error", error=self.no_likelihood)
        pairs = [echo.join(prompt, continuation) for prompt in request.prompts for continuation in request.continuations]
        sent: list[Sent[Any]]
        try:
            if self._takes_lists and len(pairs) > 1:
                # One request: the server sees at once what the texts have in common.
                sent = [await line.send("/completions", echo.echo_body([text for text, _ in pairs], self.model), _ECHOES)]
                scored = _scored_together(sent[0].value, pairs)
            else:
                sent = list(
                    await asyncio.gather(*(line.send("/completions", echo.echo_body(text, self.model), _ECHO) for text, _ in pairs))
                )
                scored = [echo.score_tail(s.value[1], *pair, _generated(s.value[0])) for s, pair in zip(sent, pairs, strict=True)]
        except ValueError as error:
            return Response(finish="error", error=f"log-probabilities that cannot be used: {error}", started_at=sent[0].started_at)
        n = len(request.continuations)
        rows = [scored[i : i + n] for i in range(0, len(scored), n)]
        usages = [s.value[0].usage or Usage() for s in sent]
        given = [u.prompt_tokens for u in usages if u.prompt_tokens is not None]
        generated = [u.completion_tokens for u in usages if u.completion_tokens is not None]
        response = Response(
            loglikelihoods=tuple(tuple(s.loglikelihood for s in row) for row in rows),
            greedy=tuple(tuple(s.greedy for s in row) for row in rows),
            token_counts=tuple(s.tokens for s in rows[0]),
            input_tokens=sum(given) if len(given) == len(sent) else None,
            output_tokens=sum(generated) if len(generated) == len(sent) else None,
            started_at=min(s.started_at for s in sent),
            latency=max(s.latency for s in sent),
            retries=sum(len(s.reasons) for s in sent),
            retry_reasons="; ".join(reason for s in sent for reason in s.reasons) or None,
            hedged=any(s.hedged for s in sent),
            served_by=sent[0].value[0].model,
        )
        return self._priced(response)

    def _response(self, answer: Completion, facts: dict[str, Any], *, text: str, finish: Any) -> Response:
        usage = answer.usage or Usage()
        given, generated = usage.prompt_tokens_details or Details(), usage.completion_tokens_details or Details()
        return self._priced(
            Response(
                text=text,
                finish=finish,
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
                cached_tokens=given.cached_tokens,
                reasoning_tokens=generated.reasoning_tokens,
                served_by=answer.model,
                **facts,
            )
        )

    def _priced(self, response: Response) -> Response:
        cost = price(self.model, self._provider, response, self._share)
        return response if cost is None else msgspec.structs.replace(response, cost=cost)

    @property
    def _share(self) -> float:
        """Of the list price. What other servers than OpenAI's own give off for batches is not known."""
        return BATCH_SHARE if self.options.batch and self.official else 1.0

    @property
    def _provider(self) -> str:
        return "openai" if self.official else self.endpoint.base

    def cost(self, input_tokens: int, output_tokens: int) -> float | None:
        return price(self.model, self._provider, Response(input_tokens=input_tokens, output_tokens=output_tokens), self._share)

    def batch_api(self) -> BatchApi:
        from proctor.models.openai_batch import OpenAIBatches

        return OpenAIBatches(self, "/completions" if self._api == "completions" else "/chat/completions")

    def preview(self, request: Request) -> Preview:
        if not isinstance(request, Generate) or request.prompt.style == "plain" or self._as_text(request.prompt):
            return preview_texts(request)
        return preview_turns(request, keep_prefill=False)

    def describe(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"endpoint": self.endpoint.base, "model": self.model, "api": self._api}
        if self.not_sent:
            facts["not_sent"] = sorted(self.not_sent)
        if self.no_likelihood:
            facts["no_likelihood"] = self.no_likelihood
        return facts


def _finish(reason: str | None) -> Literal["stop", "length", "refused"]:
    if reason in ("length", "max_tokens", "max_output_tokens"):
        return "length"
    return "refused" if reason in ("content_filter", "refusal", "safety") else "stop"


def _context(ask: Ask) -> str:
    return plain_text(ask.request.prompts[0])[0] if isinstance(ask.request, Likelihood) else ""


def _scored_together(value: tuple[Completion, list[echo.Logprobs]], pairs: list[tuple[str, int]]) -> list[echo.Scored]:
    """The scores of several texts of one request. Raises `ValueError` where they cannot be told.

    The server counts generated tokens over all of them: one each, or some have none, and their offsets must do.
    """
    answer, echoed = value
    if len(echoed) != len(pairs):
        raise ValueError(f"{len(echoed)} texts came back of {len(pairs)}")
    generated = 1 if _generated(answer) == len(pairs) else None
    return [echo.score_tail(logprobs, *pair, generated) for logprobs, pair in zip(echoed, pairs, strict=True)]


def _generated(answer: Completion) -> int | None:
    return answer.usage.completion_tokens if answer.usage else None


def open_openai(scheme: str, path: str, options: dict[str, str], uri: str) -> OpenAIModel:
    """`openai:MODEL` and `http(s)://host:port/v1#MODEL`. Raises `ModelError` for a missing model name or key."""
    chosen = read_options(uri, options, OpenAIOptions)
    check_batch(uri, chosen)
    if scheme != "openai":
        base, _, model = path.partition("#")
        if not model:
            raise ModelError(f"model {uri}: which model? write the name the server knows it by after '#': {base}#NAME")
        return OpenAIModel(uri, base, model, False, chosen, read_key(uri, chosen.key_env, required=chosen.key_env is not None))
    if not path:
        raise ModelError("model openai: which model? for example openai:gpt-4.1-mini")
    base = os.environ.get("OPENAI_BASE_URL") or _OFFICIAL
    return OpenAIModel(uri, base, path, True, chosen, read_key(uri, chosen.key_env or "OPENAI_API_KEY", required=True))


def read_key(uri: str, variable: str | None, *, required: bool) -> str | None:
    """The key in the environment variable `variable`. Raises `ModelError` naming it where it is needed and not set."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if required and not key:
        raise ModelError(f"model {uri}: set the environment variable {variable} to the key of the API")
    return key or None
