"""Streamed answers (OpenAI's and Anthropic's server-sent events) read as the same answers sent whole; hedged requests."""

import asyncio
import json
import random
import time

import pytest
from aiohttp import web
from faulty_server import FaultyServer
from hypothesis import given
from hypothesis import strategies as st

from proctor.models import anthropic_answers, connection, openai_answers
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.models.server_sent_events import events
from proctor.types import Generate, Item, Message, Prompt


def asks(n, **options):
    for i in range(n):
        yield Ask(i, "t", Item(str(i), {}), 0, Generate(Prompt((Message("user", f"question {i}"),), **options), max_tokens=16))


def chat_events(text, finish="stop", reasoning="", usage=True):
    """As OpenAI sends them: the role first, then pieces, the reason, the usage with no choices, and [DONE]."""

    def event(delta, reason=None):
        return {"model": "stand-in-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    pieces = [text[i : i + 3] for i in range(0, len(text), 3)]
    chunks = [event({"role": "assistant", "content": ""})]
    chunks += [event({"reasoning_content": reasoning})] * bool(reasoning)
    chunks += [event({"content": piece}) for piece in pieces] + [event({}, finish)]
    if usage:
        chunks.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}})
    return [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]


def message_events(text, thinking=""):
    """As Anthropic's documentation shows them; usage of the output is told at the end."""
    start = {"type": "message", "model": "claude-x", "content": [], "stop_reason": None, "usage": {"input_tokens": 25, "output_tokens": 1}}
    chunks = [{"type": "message_start", "message": start}, {"type": "ping"}]
    blocks = [("thinking", thinking)] * bool(thinking) + [("text", text)]
    for index, (kind, said) in enumerate(blocks):
        chunks.append({"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}})
        for i in range(0, len(said), 3):
            chunks.append({"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: said[i : i + 3]}})
        if kind == "thinking":
            chunks.append({"type": "content_block_delta", "index": index, "delta": {"type": "signature_delta", "signature": "s"}})
        chunks.append({"type": "content_block_stop", "index": index})
    chunks.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}})
    return [json.dumps(chunk) for chunk in [*chunks, {"type": "message_stop"}]]


class StreamingServer(FaultyServer):
    """Streams to whoever asks for it: the first event at once, the others after `pause`."""

    pause = 0.15

    async def _handle(self, request):
        body = await request.json()
        if not body.get("stream"):
            return await super()._handle(request)
        self.bodies.append(body)
        said = body["messages"][-1]["content"]
        lines = message_events(f"echo: {said}", "hm") if "messages" in request.path else chat_events(f"echo: {said}")
        lines = self.script.pop(0)(lines) if self.script else lines
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, line in enumerate(lines):
            name = f"event: {json.loads(line)['type']}\r\n" if "messages" in request.path else ""
            await response.write(f"{name}data: {line}\r\n\r\n".encode())
            if number == 0 or number == len(lines) - 3:
                await asyncio.sleep(self.pause)
        return response


@pytest.fixture
def anthropic(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    return lambda server, options="": (
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1")) or open_model(f"anthropic:claude-x{options}")
    )


def test_a_streamed_chat_is_the_same_answer_and_tells_the_time_to_its_first_token():
    with StreamingServer() as server:
        [(_, streamed)] = open_model(f"{server.url}?api=chat&stream=true#m").answer(asks(1))
        [(_, whole)] = open_model(f"{server.url}?api=chat#m").answer(asks(1))
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["stream_options"] == {"include_usage": True}
    assert streamed.text == whole.text == "echo: question 0"
    assert (streamed.input_tokens, streamed.output_tokens, streamed.cached_tokens) == (9, 4, 2)
    assert (streamed.served_by, streamed.finish) == ("stand-in-1", "stop")
    assert whole.first_token is None
    # The first event holds no token: it comes before the first pause.
    assert StreamingServer.pause <= streamed.first_token <= streamed.latency - StreamingServer.pause


def test_a_streamed_message_is_the_same_answer(anthropic):
    with StreamingServer() as server:
        [(_, streamed)] = anthropic(server, "?stream=true").answer(asks(1))
    assert streamed.text == "<think>hm</think>\necho: question 0"
    assert (streamed.input_tokens, streamed.output_tokens, streamed.served_by, streamed.finish) == (25, 15, "claude-x", "stop")
    assert StreamingServer.pause <= streamed.first_token <= streamed.latency


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda lines: lines[:4], "the stream broke off"),
        (lambda lines: [*lines[:3], '{"error": {"message": "overloaded"}}'], "an error within the stream"),
        (lambda lines: [*lines[:3], "{oops"], "malformed"),
    ],
)
def test_a_broken_stream_is_asked_again(broken, why, monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    with StreamingServer(script=[broken]) as server:
        [(_, response)] = open_model(f"{server.url}?api=chat&stream=true#m").answer(asks(1))
    assert (response.text, response.retries, response.retry_reasons) == ("echo: question 0", 1, "malformed answer")
    with StreamingServer(script=[broken, broken]) as server:
        [(_, response)] = open_model(f"{server.url}?api=chat&stream=true&tries=2#m").answer(asks(1))
    assert why in response.error


def test_a_server_that_refuses_stream_options_or_streams_not_at_all_is_read_all_the_same():
    def reply(body):
        if "stream_options" in body:
            return web.json_response({"error": {"message": "unknown field stream_options", "param": "stream_options"}}, status=400)
        return {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}

    with FaultyServer(reply=reply) as server:
        model = open_model(f"{server.url}?api=chat&stream=true#m")
        [(_, response)] = model.answer(asks(1))
    assert (response.text, response.first_token) == ("whole", None)
    assert model.describe()["not_sent"] == ["stream_options"]


@given(
    text=st.text(max_size=30),
    reasoning=st.text(max_size=10),
    finish=st.sampled_from(["stop", "length"]),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_text_comes_through_a_stream_of_chat(text, reasoning, finish, ending):
    body = "".join(f": comment{ending}data: {line}{ending}{ending}" for line in chat_events(text, finish, reasoning)).encode()
    answer = openai_answers.decode_chat_stream(body)
    assert answer.choices[0].message.words == text
    assert (answer.choices[0].message.reasoning or "") == reasoning
    assert answer.choices[0].finish_reason == finish
    assert openai_answers.begun(body) == bool(text or reasoning)


@given(text=st.text(max_size=30), thinking=st.text(max_size=10))
def test_any_text_comes_through_a_stream_of_messages(text, thinking):
    body = "".join(f"event: x\ndata: {line}\n\n" for line in message_events(text, thinking)).encode()
    answer = anthropic_answers.decode_stream(body)
    assert "".join(block.text for block in answer.content) == text
    assert "".join(block.thinking for block in answer.content) == thinking
    assert anthropic_answers.begun(body) == bool(text or thinking)


def test_events_by_the_examples_of_the_standard():
    """https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6; events without data are left out."""
    assert list(events(b"data: YHOO\ndata: +2\ndata: 10\n\n")) == [b"YHOO\n+2\n10"]
    assert list(events(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n")) == [
        b"first event",
        b"second event",
        b" third event",
    ]
    assert list(events(b"data:test\n\ndata: test\n\ndata: cut sh")) == [b"test", b"test"]


def test_a_straggler_is_sent_again_and_the_first_answer_counts():
    """Each request whose number ends in 0 hangs the first time; without hedging each would cost the whole time-out."""
    seen = set()

    class Straggling(FaultyServer):
        async def _handle(self, request):
            said = (await request.json())["messages"][-1]["content"]
            number = int(said.split()[1])
            if number >= 60 and number % 10 == 0 and said not in seen:
                seen.add(said)
                await asyncio.sleep(20)
            return await super()._handle(request)

    with Straggling(delay=0.02) as server:
        began = time.monotonic()
        answered = {ask.index: r for ask, r in open_model(f"{server.url}?api=chat&concurrency=8&hedge=0.95#m").answer(asks(120))}
        assert time.monotonic() - began < 10
    assert all(answered[i].text == f"echo: question {i}" for i in range(120))
    assert {60, 70, 80, 90, 100, 110} <= {i for i, r in answered.items() if r.hedged}
    assert all(r.retries == 0 for r in answered.values())
    assert not any(answered[i].hedged for i in range(40))  # nothing is known of the server yet


def test_where_both_of_a_hedged_pair_fail_the_request_is_tried_again(monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    refused = set()

    class Failing(FaultyServer):
        async def _handle(self, request):
            said = (await request.json())["messages"][-1]["content"]
            if said == "question 100" and len(refused) < 2:
                refused.add(len(refused))
                await asyncio.sleep(0.5)
                return web.Response(status=500)
            return await super()._handle(request)

    with Failing() as server:
        answered = {ask.index: r for ask, r in open_model(f"{server.url}?api=chat&concurrency=4&hedge=0.9#m").answer(asks(120))}
    assert (answered[100].text, answered[100].retries, answered[100].retry_reasons) == ("echo: question 100", 1, "HTTP 500")


def test_without_the_option_nothing_is_sent_twice():
    with FaultyServer(fault_rate=0.2, seed=1, script=[None] * 100 + ["slow"] * 10) as server:
        answered = [r for _, r in open_model(f"{server.url}?api=chat&concurrency=16#m").answer(asks(110))]
    assert len(server.bodies) == 110
    assert not any(r.hedged for r in answered)


def test_hedging_does_not_feed_on_itself(monkeypatch):
    """A tenth is slower than the 0.9 quantile, and stays a tenth though the second sendings of stragglers are fast.

    With exponential latencies, the quantile of what the faster sending alone took would have a fifth sent twice.
    """
    draw = random.Random(5)

    async def exchange(self, url, payload, call, headers=None):
        latency = draw.expovariate(40)
        await asyncio.sleep(latency)
        data = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
        return connection._Answer(200, {}, data, latency)

    monkeypatch.setattr(connection.Line, "_exchange", exchange)
    answered = [r for _, r in open_model("http://127.0.0.1:9/v1?api=chat&concurrency=64&hedge=0.9#m").answer(asks(3000))]
    share = sum(r.hedged for r in answered[1500:]) / 1500
    assert 0.05 < share < 0.15
