"""What an API is sent of pictures, sound and documents."""

import base64
import hashlib

import msgspec
import pytest
from faulty_server import FaultyServer

from proctor.models.base import Ask
from proctor.models.chat import turns
from proctor.models.open import open_model
from proctor.models.python_function import PythonModel
from proctor.suites.generators.drawing import blank, png
from proctor.types import PLACE, Generate, Item, Media, Message, Prompt, Response

PNG = png(blank(2, 2))
PDF = b"%PDF-1.4\n%%EOF\n"


def media(kind="image", name="image/png", data=PNG):
    return Media(kind, name, hashlib.sha256(data).hexdigest(), len(data)).found_by(lambda: data)


def b64(data):
    return base64.b64encode(data).decode()


def request(*shown, **prompt):
    text = f"Look: {PLACE * len(shown)}\n\nWhat is it?"
    return Generate(Prompt((Message("system", "Be brief."), Message("user", text, shown)), **prompt), max_tokens=5)


def ask(asked):
    return [Ask(0, "t", Item("i", {}), 0, asked)]


SAID = {"choices": [{"message": {"content": "x"}}], "content": [{"type": "text", "text": "x"}]}
IMAGE_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}}


def test_an_openai_server_is_sent_parts_in_order():
    shown = (
        media(),
        media("audio", "audio/mpeg", b"ID3"),
        media("audio", "audio/wav", b"RIFF"),
        media("document", "application/pdf", PDF),
        media("document", "text/plain", "\ufeffGrüße".encode()),
    )
    with FaultyServer(reply=SAID) as server:
        [(_, response)] = open_model(f"{server.url}?api=chat#m").answer(ask(request(*shown)))
    assert response.text == "x"
    assert server.bodies[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look: "},
                IMAGE_PART,
                {"type": "input_audio", "input_audio": {"data": b64(b"ID3"), "format": "mp3"}},
                {"type": "input_audio", "input_audio": {"data": b64(b"RIFF"), "format": "wav"}},
                {"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{b64(PDF)}"}},
                {"type": "text", "text": "Grüße"},
                {"type": "text", "text": "\n\nWhat is it?"},
            ],
        },
    ]


def test_the_official_api_is_sent_the_same(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    with FaultyServer(reply=SAID) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = open_model("openai:gpt-4.1-mini")
        list(model.answer(ask(request(media()))))
    assert server.bodies[0]["messages"][1]["content"][1] == IMAGE_PART
    assert model.media == {"image", "audio", "document"}
    assert model.refuses(media("audio", "audio/flac", b"fLaC")) == "the OpenAI API takes WAV and MP3"
    assert model.refuses(media("audio", "audio/wav", b"RIFF")) is None


def test_anthropic_is_sent_blocks(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    shown = (media(), media("document", "application/pdf", PDF), media("document", "text/plain", b"hello"))
    with FaultyServer(reply=SAID) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1"))
        model = open_model("anthropic:claude-x")
        list(model.answer(ask(request(*shown, prefill="It is"))))
    assert server.bodies[0]["system"] == "Be brief."
    assert server.bodies[0]["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look: "},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}},
                {"type": "text", "text": "\n\nWhat is it?"},
            ],
        },
        {"role": "assistant", "content": "It is"},
    ]
    assert model.media == {"image", "document"}
    assert model.refuses(media(data=b"x" * (6 << 20))) == "the Anthropic API takes pictures of at most 5 MiB; make it smaller"


@pytest.mark.parametrize(("provider", "key"), [("openai", "body"), ("anthropic", "params")])
def test_a_batch_holds_the_bytes_too(monkeypatch, provider, key):
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    draft = msgspec.json.decode(open_model(f"{provider}:m?batch=1").batch_api().draft(request(media()), "n"))
    assert b64(PNG) in str(draft[key]["messages"][-1]["content"][1])


def test_a_plain_prompt_and_a_prefill_keep_the_places():
    [turn], prefill = turns(request(media(), style="plain").prompt, keep_prefill=False)
    assert (turn.content, len(turn.media), prefill) == (f"Be brief.\n\nLook: {PLACE}\n\nWhat is it?", 1, "")
    _, turn = turns(request(media(), prefill="It is").prompt, keep_prefill=False)[0]
    assert (turn.content, turn.media) == (f"Look: {PLACE}\n\nWhat is it? It is", (media(),))


def test_a_server_of_running_text_is_shown_a_picture_by_chat():
    with FaultyServer(reply=SAID | {"choices": [{"text": "x", "message": {"content": "x"}}]}) as server:
        model = open_model(f"{server.url}#m")
        list(model.answer(ask(request(style="plain"))))
        assert "prompt" in server.bodies[-1]
        list(model.answer(ask(request(media(), style="plain"))))
        assert server.bodies[-1]["messages"][0]["content"][1] == IMAGE_PART
    assert open_model("http://127.0.0.1:1/v1?api=completions#m").media == frozenset()


def test_a_python_function_is_shown_parts_or_the_request():
    seen = []

    def by_messages(messages):
        seen.append(messages)
        return "x"

    def by_request(request):
        seen.append(request.prompt.messages[1].media[0].data())
        return Response(text="x")

    def by_text(prompt):
        return prompt

    list(PythonModel(by_messages).answer(ask(request(media()))))
    list(PythonModel(by_request).answer(ask(request(media()))))
    assert seen[0][1]["content"][1] == IMAGE_PART
    assert seen[1] == PNG
    assert PythonModel(by_messages).media == PythonModel(by_request).media == {"image", "audio", "document"}
    assert PythonModel(by_text).media == frozenset()


def test_a_preview_says_what_is_shown():
    said = open_model("http://127.0.0.1:1/v1?api=chat#m").preview(request(media())).texts[0]
    assert f"Look: [image/png, {len(PNG)} bytes, sha256 {hashlib.sha256(PNG).hexdigest()[:12]}]" in said
    assert PLACE not in said
