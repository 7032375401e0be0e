import importlib.metadata
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import ModelError, nearest
from proctor.models import open as opening
from proctor.models.open import MODEL_FORMS, open_model


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_importing_it_is_cheap():
    heavy = "aiohttp,numpy,polars,torch,jinja2,asyncio,msgspec"
    code = f"import sys; import proctor.models.open; print([m for m in {heavy.split(',')} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize(
    ("uri", "scheme", "path", "options"),
    [
        ("smollm2", "smollm2", "", {}),
        ("smollm2?device=cpu", "smollm2", "", {"device": "cpu"}),
        ("hf:org/name", "hf", "org/name", {}),
        ("hf:../folder?dtype=bfloat16&revision=a%26b", "hf", "../folder", {"dtype": "bfloat16", "revision": "a&b"}),
        ("gguf:C:/models/x.gguf", "gguf", "C:/models/x.gguf", {}),
        ("python:a.b:c", "python", "a.b:c", {}),
        ("http://localhost:8000/v1#org/name", "http", "http://localhost:8000/v1#org/name", {}),
        ("https://h/v1?tries=2#m", "https", "https://h/v1#m", {"tries": "2"}),
        ("https://h/v1?tries=2#m?timeout=3", "https", "https://h/v1#m", {"tries": "2", "timeout": "3"}),
        ("openai:gpt-4.1?concurrency=8", "openai", "gpt-4.1", {"concurrency": "8"}),
    ],
)
def test_the_grammar(uri, scheme, path, options):
    assert opening._split(uri) == (scheme, path, options)


@settings(deadline=None)
@given(
    st.sampled_from(["hf", "openai", "predictions"]),
    st.text(st.characters(exclude_characters="?", exclude_categories=["Cs"])),
    st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=4),
)
def test_what_is_written_is_read_back(scheme, path, options):
    from urllib.parse import quote

    query = "&".join(f"{key}={quote(value)}" for key, value in options.items())
    assert opening._split(f"{scheme}:{path}?{query}") == (scheme, path, options)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "opneai:gpt-4",
            r"unknown model 'opneai:gpt-4'; did you mean 'openai'\?\nmodels are named so:\n  smollm2 .*\n(.*\n)*.*baseline:majority",
        ),
        ("gpt-4", "unknown model 'gpt-4'\nmodels are named so"),
        ("", "unknown model ''"),
        ("baseline:randm", r"unknown baseline 'randm'; did you mean 'random'\?; there are"),
        ("baseline:random?sed=1", r"unknown option 'sed'; did you mean 'seed'\?; options here: seed"),
        ("baseline:majority?seed=1", "unknown option 'seed'; options here: none"),
        ("baseline:random?seed=x", "option seed=x: expected int"),
        ("baseline:random?seed", "option 'seed' is not of the form key=value"),
        ("baseline:random?seed=1&seed=2", "option 'seed' is given twice"),
        ("http://h/v1#m?concurrency=0", "option concurrency=0: expected int >= 1"),
        ("http://h/v1#m?api=talk", "option api=talk: invalid enum value 'talk'"),
        (
            "http://h/v1#m?max_tokens=3",
            "unknown option 'max_tokens'; options here: concurrency, timeout, tries, key_env, rpm, tpm, hedge, stream, batch, api",
        ),
        ("http://h/v1", r"which model\? write the name the server knows it by after '#': http://h/v1#NAME"),
        ("http://h:port/v1#m", "not a URL: Port"),
        ("http:///v1#m", "no host in the URL"),
        ("http:localhost", "no host in the URL"),
        ("openai:", r"which model\?"),
        ("openai:gpt-4", "set the environment variable OPENAI_API_KEY"),
        ("openai:gpt-4?key_env=OTHER_KEY", "set the environment variable OTHER_KEY"),
        ("http://h/v1?key_env=OTHER_KEY#m", "set the environment variable OTHER_KEY"),
        ("anthropic:claude", "set the environment variable ANTHROPIC_API_KEY"),
        ("python:nothing_here:f", "no module 'nothing_here' on sys.path or in"),
        ("python:json:lods", r"json has no 'lods'; did you mean 'loads'\?"),
        ("python:json", "expected python:module:function"),
        ("predictions:none.jsonl", "cannot read none.jsonl: no such file"),
    ],
)
def test_a_name_that_does_not_fit_gets_one_message(uri, message):
    with pytest.raises(ModelError, match=message):
        open_model(uri)


@pytest.mark.parametrize(
    "uri", ["http://user:hunter2@h/v1#m", "https://hunter2@h/v1#m", "http://h/v1?api_key=hunter2#m", "openai:x?key=hunter2"]
)
def test_secrets_in_a_name_are_rejected_and_not_repeated(uri):
    with pytest.raises(ModelError, match="no secrets in the name") as caught:
        open_model(uri)
    assert "hunter2" not in str(caught.value)


def test_every_form_in_the_list_is_known():
    for _, what, example in MODEL_FORMS:
        assert what
        assert opening._split(example)[0] in opening._OPENERS


def test_opening_a_server_does_not_connect():
    model = open_model("http://127.0.0.1:9/v1#m")
    assert model.uri == "http://127.0.0.1:9/v1#m"


def test_the_fingerprint_changes_with_what_changes_answers_only():
    def fingerprint(uri):
        return open_model(uri).fingerprint

    base = fingerprint("http://h/v1#m")
    assert fingerprint("http://h/v1/?concurrency=3&timeout=4&tries=2&rpm=9&tpm=9&hedge=0.9&stream=true#m") == base
    others = [
        "http://h/v1#n",
        "http://h2/v1#m",
        "https://h/v1#m",
        "http://h/v1?api=completions#m",
        "baseline:random",
        "baseline:random?seed=1",
    ]
    assert len({base, *map(fingerprint, others)}) == 1 + len(others)


def test_a_package_can_add_a_scheme(monkeypatch):
    entry = importlib.metadata.EntryPoint("parrot", "test_open:open_parrot", "proctor.models")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **k: importlib.metadata.EntryPoints([entry]).select(**k))
    assert open_model("parrot:grey?loud=1") == ("parrot", "grey", {"loud": "1"}, "parrot:grey?loud=1")
    with pytest.raises(ModelError, match="did you mean 'parrot'"):
        open_model("parot:grey")


def test_a_package_that_fails_to_load_is_told(monkeypatch):
    entry = importlib.metadata.EntryPoint("parrot", "test_open:no_such_function", "proctor.models")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **k: importlib.metadata.EntryPoints([entry]).select(**k))
    with pytest.raises(ModelError, match="test_open:no_such_function could not be loaded"):
        open_model("parrot:grey")


def open_parrot(scheme, path, options, uri):
    return scheme, path, options, uri


def test_nearest_is_what_the_messages_use():
    assert nearest("hff", ["hf", "gguf"]) == "; did you mean 'hf'?"
