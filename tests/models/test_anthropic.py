"""The Anthropic Messages API. There is no server of it to run here: a stand-in speaks the HTTP that its documentation describes
(https://docs.anthropic.com/en/api/messages and …/errors, version 2023-06-01)."""

import pytest
from aiohttp import web
from faulty_server import FaultyServer

from proctor.models import connection
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.types import Generate, Item, Likelihood, Message, Prompt


@pytest.fixture
def model_at(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")

    def opened(server, options=""):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1"))
        return open_model(f"anthropic:claude-sonnet-4-5{options}")

    return opened


def answer(model, request):
    [(_, response)] = model.answer([Ask(0, "t", Item("i", {}), 0, request)])
    return response


def replies(text, reason="end_turn"):
    return {"content": [{"type": "text", "text": text}], "stop_reason": reason, "usage": {"input_tokens": 1, "output_tokens": 1}}


PROMPT = Prompt((Message("system", "Be brief."), Message("user", "Why?")), prefill="Because ")


def test_what_is_sent(model_at):
    request = Generate(PROMPT, max_tokens=9, stop=("\n", "END"), temperature=0.5, top_p=0.9, seed=1)
    with FaultyServer(reply=replies("of it\nand more")) as server:
        response = answer(model_at(server), request)
    assert server.bodies == [
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because"}],
            "system": "Be brief.",
            "temperature": 0.5,
            "top_p": 0.9,
            "stop_sequences": ["END"],
        }
    ]
    assert server.headers[0]["x-api-key"] == "sk-ant-test"
    assert server.headers[0]["anthropic-version"] == "2023-06-01"
    assert (response.text, response.finish) == ("of it", "stop")  # "\n" alone is refused there and cut here


def test_what_comes_back(model_at):
    with FaultyServer() as server:
        response = answer(model_at(server), Generate(Prompt((Message("user", "Why?"),))))
    assert response.text == "<think>hm</think>\necho: Why?"
    assert (response.input_tokens, response.output_tokens, response.cached_tokens) == (8, 7, 3)
    assert response.served_by == "stand-in-1"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "refused"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_how_it_ended(model_at, reason, finish):
    with FaultyServer(reply=replies("text", reason)) as server:
        assert answer(model_at(server), Generate(PROMPT)).finish == finish


def test_plain_style_is_one_turn(model_at):
    with FaultyServer() as server:
        answer(model_at(server), Generate(Prompt(PROMPT.messages, "So", style="plain")))
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "Be brief.\n\nWhy? So"}]
    assert "system" not in server.bodies[0]


def test_an_overloaded_server_is_asked_again(model_at, monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    with FaultyServer(script=["529", "drop", "empty"]) as server:
        response = answer(model_at(server), Generate(PROMPT))
    assert (response.retries, response.finish) == (3, "stop")


def test_what_a_model_refuses_is_left_out(model_at):
    def reply(body):
        message = None
        if "temperature" in body:
            message = "`temperature` is deprecated for this model."
        elif body["messages"][-1]["role"] == "assistant":
            message = "This model does not support assistant message prefill."
        if message:
            return web.json_response({"type": "error", "error": {"type": "invalid_request_error", "message": message}}, status=400)
        return replies(body["messages"][-1]["content"])

    with FaultyServer(reply=reply) as server:
        model = model_at(server)
        response = answer(model, Generate(PROMPT))
    assert response.text == "Why? Because "
    assert model.describe()["not_sent"] == ["prefill", "temperature"]


def test_it_gives_no_likelihoods(model_at):
    with FaultyServer() as server:
        model = model_at(server)
        assert model.kinds == {"generate"}
        assert answer(model, Likelihood((PROMPT,), ("a",))).finish == "error"
        assert not server.bodies
