"""Batches against a stand-in for the providers: whole runs, what goes wrong in them, and that nothing is paid for twice."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import msgspec
import pytest
from batch_server import BatchServer

import proctor
from proctor.errors import ModelError, RunStopped
from proctor.models import anthropic_batch, batch, connection, openai_batch
from proctor.models.base import Ask
from proctor.models.batch_ledger import Ledger, Record
from proctor.models.open import open_model
from proctor.models.prices import price
from proctor.types import Generate, Item, Message, Prompt, Response

APIS = ("openai", "anthropic")
MODELS = {"openai": "openai:gpt-4.1-mini?batch=true", "anthropic": "anthropic:claude-sonnet-4-5?batch=true"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(batch, "FIRST_LOOK", 0.02)
    monkeypatch.setattr(batch, "LONGEST_LOOK", 0.05)
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")


@pytest.fixture
def reach(monkeypatch):
    @contextmanager
    def to(server):
        with server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1"))
            yield server

    return to


def task(count=6, name="echo"):
    rows = [{"id": f"i{k}", "q": f"question {k}", "target": f"echo: question {k}"} for k in range(count)]
    return proctor.Task(task=name, data=rows, prompt="{{ q }}", scoring="contains")


def states(run):
    return {state: count for state, count in run.manifest.totals["states"].items() if count}


def ask(k, epoch=0, **more):
    return Ask(k, "t", Item(f"i{k}", {}), epoch, Generate(Prompt((Message("user", f"question {k}"),)), max_tokens=16, **more))


def responses(uri, asks):
    model = open_model(uri)
    return {one.index: response for one, response in model.answer(asks)}


def name_of(api, k):
    return f"{batch.content_hash([open_model(MODELS[api]).fingerprint, ask(k).request, 0], 32)}-1"


def records(api):
    return Ledger(open_model(MODELS[api]).fingerprint).records()


@pytest.mark.parametrize("api", APIS)
def test_a_whole_run_is_one_batch(api, reach, tmp_path):
    with reach(BatchServer()) as server:
        (run,) = proctor.run(task(), MODELS[api], out=tmp_path / "store")
    assert states(run) == {"scored": 6}
    assert run.manifest.tasks[0].metrics[0].value == 1.0
    assert [len(one["names"]) for one in server.batches] == [6]
    assert records(api) == []


@pytest.mark.parametrize("api", APIS)
def test_it_costs_half(api, reach):
    pytest.importorskip("genai_prices")
    with reach(BatchServer()):
        (response,) = responses(MODELS[api], [ask(0)]).values()
    whole = price(MODELS[api].split(":")[1].split("?")[0], api, msgspec.structs.replace(response, cost=None))
    assert response.cost == pytest.approx(whole / 2)
    assert open_model(MODELS[api]).cost(1000, 1000) == pytest.approx(open_model(MODELS[api].split("?")[0]).cost(1000, 1000) / 2)


@pytest.mark.parametrize("api", APIS)
def test_epochs_and_equal_requests_are_answered_each(api, reach):
    asks = [ask(0), ask(0), ask(0, epoch=1)]
    asks = [Ask(k, one.task, one.item, one.epoch, one.request) for k, one in enumerate(asks)]
    with reach(BatchServer()) as server:
        answered = responses(MODELS[api], asks)
    assert sorted(answered) == [0, 1, 2]
    assert len(server.batches[0]["names"]) == 3


@pytest.mark.parametrize("api", APIS)
def test_batches_are_split_by_count_and_bytes(api, reach, monkeypatch):
    kind = openai_batch.OpenAIBatches if api == "openai" else anthropic_batch.AnthropicBatches
    monkeypatch.setattr(kind, "most_requests", 4)
    with reach(BatchServer()) as server:
        assert len(responses(MODELS[api], map(ask, range(10)))) == 10
        assert [len(one["names"]) for one in server.batches] == [4, 4, 2]
        monkeypatch.setattr(kind, "most_bytes", 450)
        assert len(responses(MODELS[api], map(ask, range(20, 30)))) == 10
    later = server.batches[3:]
    assert sum(len(one["names"]) for one in later) == 10
    assert len(later) > 3
    assert all(len(file) <= 450 for number, file in server.files.items() if number.startswith("file-") and number >= "file-3")


@pytest.mark.parametrize("api", APIS)
def test_what_fails_in_a_batch(api, reach):
    wrong = {"type": "invalid_request_error", "message": "prompt is too long"}
    fates = {"question 1": (400, wrong if api == "anthropic" else {"error": wrong}), "question 2": "expired", "question 3": "lost"}
    fates |= {"question 4": "malformed", "question 5": "garbage"}

    def spoil(name, request, one):
        # Only the first time, but for what is the request's own fault.
        said = request["messages"][-1]["content"]
        return fates.get(said) if one["id"] == "batch_0" or said == "question 1" else None

    with reach(BatchServer(spoil=spoil)) as server:
        answered = responses(MODELS[api], map(ask, range(6)))
    assert answered[1].finish == "error"
    assert answered[1].error == "HTTP 400: prompt is too long"
    assert answered[1].retries == 0
    assert all("question" in answered[k].text for k in (0, 2, 3, 4, 5))
    assert answered[0].retries == 0
    assert [answered[k].retries for k in (2, 3, 4, 5)] == [1, 1, 1, 1]
    assert "expired" in answered[2].retry_reasons
    assert "malformed" in answered[4].retry_reasons
    assert [len(one["names"]) for one in server.batches] == [6, 4]
    assert records(api) == []


@pytest.mark.parametrize("api", APIS)
def test_what_always_expires_is_given_up(api, reach, tmp_path):
    def spoil(name, request, one):
        return "expired" if request["messages"][-1]["content"] == "question 2" else None

    with reach(BatchServer(spoil=spoil)) as server:
        (run,) = proctor.run(task(), MODELS[api] + "&tries=3", out=tmp_path / "store")
    assert states(run) == {"scored": 5, "failed": 1}
    assert [len(one["names"]) for one in server.batches] == [6, 1, 1]


@pytest.mark.parametrize("api", APIS)
def test_a_parameter_the_model_refuses_is_left_out(api, reach):
    refusal = {"type": "invalid_request_error", "message": "'temperature' is not supported with this model", "param": "temperature"}

    def spoil(name, request, one):
        return (400, refusal if api == "anthropic" else {"error": refusal}) if "temperature" in request else None

    with reach(BatchServer(spoil=spoil)) as server:
        answered = responses(MODELS[api], map(ask, range(3)))
    assert [one.finish for one in answered.values()] == ["stop"] * 3
    assert all(one.retries == 0 for one in answered.values())
    assert len(server.batches) == 2


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("trouble", ["lose_creations", "fail_creations"])
def test_a_creation_without_an_answer_is_not_repeated_blindly(api, trouble, reach):
    with reach(BatchServer(**{trouble: 1})) as server:
        assert len(responses(MODELS[api], map(ask, range(3)))) == 3
    assert len(server.batches) == 1


def test_a_batch_of_somebody_else_is_not_taken_for_ours(reach):
    """Anthropic's have no names: one of the same size, made at the same time, is looked into and left alone."""
    with reach(BatchServer()) as server:
        assert len(responses(MODELS["anthropic"], map(ask, range(10, 13)))) == 3
        ledger = Ledger(open_model(MODELS["anthropic"]).fingerprint)
        ledger.write(Record("ours", [f"{k}" for k in range(3)], time.time()))
        answered = responses(MODELS["anthropic"], map(ask, range(3)))
    assert sorted(answered) == [0, 1, 2]
    assert len(server.batches) == 2


def test_an_unrecorded_batch_of_another_model_is_not_taken_for_ours(reach):
    """The same suite on two models at once: batches of one size, with the same requests."""
    with reach(BatchServer()) as server:
        assert len(responses("anthropic:claude-haiku-4-5?batch=true", map(ask, range(3)))) == 3
        ledger = Ledger(open_model(MODELS["anthropic"]).fingerprint)
        ledger.write(Record("ours", [name_of("anthropic", k) for k in range(3)], time.time()))
        assert len(responses(MODELS["anthropic"], map(ask, range(3)))) == 3
    assert {one["model"] for one in server.batches[1]["names"].values()} == {"claude-sonnet-4-5"}
    assert not set(server.batches[0]["names"]) & set(server.batches[1]["names"])


def test_too_much_at_a_time_is_handed_in_bit_by_bit(reach):
    with reach(BatchServer(too_many=3)) as server:
        assert len(responses(MODELS["openai"], map(ask, range(8)))) == 8
    assert sorted(server.answered) == sorted(set(server.answered))
    assert len(server.answered) == 8


def test_a_batch_refused_altogether_is_one_message(reach):
    with reach(BatchServer(too_many=0)), pytest.raises(ModelError, match="Enqueued token limit reached"):
        responses(MODELS["openai"], [ask(0)])
    assert records("openai") == []


@pytest.mark.parametrize("api", APIS)
def test_a_wrong_key_is_one_message(api, reach, tmp_path):
    with reach(BatchServer(key="right")), pytest.raises(ModelError, match="does not accept the key"):
        proctor.run(task(), MODELS[api], out=tmp_path / "store")


@pytest.mark.parametrize("api", APIS)
def test_a_batch_that_is_gone_is_handed_in_again(api, reach):
    with reach(BatchServer()) as server:
        ledger = Ledger(open_model(MODELS[api]).fingerprint)
        ledger.write(Record("gone", [name_of(api, 0)], time.time() - 2 * batch.SETTLED, id="batch_77"))
        (response,) = responses(MODELS[api], [ask(0)]).values()
    assert "question 0" in response.text
    assert response.retries == 1
    assert len(server.batches) == 1


@pytest.mark.parametrize("api", APIS)
def test_max_time_leaves_the_batch_and_the_next_run_takes_it(api, reach, tmp_path):
    with reach(BatchServer(looks=10**9)) as server:
        with pytest.raises(RunStopped, match="the same command continues"):
            proctor.run(task(), MODELS[api], out=tmp_path / "store", max_time=1.0)
        assert [len(one.names) for one in records(api)] == [6]
        server.looks = server.batches[0]["looks"] + 1
        (run,) = proctor.run(task(), MODELS[api], out=tmp_path / "store")
    assert states(run) == {"scored": 6}
    assert len(server.batches) == 1
    assert not any("cancel" in path for _, path in server.requests)


def test_what_is_left_behind_is_said():
    api = openai_batch.OpenAIBatches(open_model(MODELS["openai"]), "/chat/completions")
    batches = batch.Batches(open_model(MODELS["openai"]), api)
    assert batches.left_behind is None
    batches._open["k"] = (Record("k", ["a"], 0.0), {"a": batch.Waiting(ask(0))})
    assert batches.left_behind == "1 batch (1 request) stays with the provider, nothing is cancelled; the same command fetches its answers"


RUN = """
import sys
import proctor
from proctor.models import batch, batch_ledger
batch.FIRST_LOOK = batch.LONGEST_LOOK = 0.05
if sys.argv[3] == "unrecorded":  # as if killed before the id is on the disk
    write = batch_ledger.Ledger.write
    batch_ledger.Ledger.write = lambda self, record: print("sent", flush=True) if record.id else write(self, record)
rows = [{"id": f"i{k}", "q": f"question {k}", "target": f"echo: question {k}"} for k in range(6)]
(run,) = proctor.run(proctor.Task(task="echo", data=rows, prompt="{{ q }}", scoring="contains"), sys.argv[1], out=sys.argv[2])
print({state: count for state, count in run.manifest.totals["states"].items() if count})
"""


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("when", ["recorded", "unrecorded"])
def test_a_killed_run_finds_its_batch_again(api, when, reach, tmp_path):
    with reach(BatchServer(looks=10**9)) as server:
        command = [sys.executable, "-c", RUN, MODELS[api], str(tmp_path / "store")]
        process = subprocess.Popen([*command, when], stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not (server.batches and server.batches[0]["looks"] > 1) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert [bool(one.id) for one in records(api)] == [when == "recorded"]
        server.looks = server.batches[0]["looks"] + 1
        said = subprocess.run([*command, "recorded"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == "{'scored': 6}"
    assert len(server.batches) == 1
    assert records(api) == []


def test_an_answer_taken_from_a_killed_runs_batch_is_not_asked_again(reach, tmp_path):
    """Killed while results are being taken: those in the journal stay, the rest come from the same batch."""
    with reach(BatchServer()) as server:
        answers = open_model(MODELS["openai"]).answer(map(ask, range(4)))
        taken, _ = next(answers)
        answers.close()
        left = [k for k in range(4) if k != taken.index]
        assert sorted(responses(MODELS["openai"], map(ask, left))) == left
    assert len(server.batches) == 1


@pytest.mark.parametrize("option", ["stream=true", "hedge=0.9"])
def test_options_that_make_no_sense_with_batches(option):
    with pytest.raises(ModelError, match="batch=true goes with neither stream nor hedge"):
        open_model(f"openai:gpt-4.1-mini?batch=true&{option}")


def test_the_fingerprint_is_that_of_the_model_without_batches():
    for uri in MODELS.values():
        assert open_model(uri).fingerprint == open_model(uri.split("?")[0]).fingerprint


def test_records_come_back_and_old_ones_go(tmp_path):
    ledger = Ledger("f")
    new, old = Record("a", ["x"], time.time(), "mark", ["seed"], "batch_1"), Record("b", ["y"], time.time() - 31 * 86400)
    for record in (new, old):
        ledger.write(record)
    (ledger.folder / "c.json").write_text(json.dumps({"no": "record"}))
    assert ledger.records() == [new]
    assert not (ledger.folder / "b.json").exists()
    ledger.forget(new)
    assert ledger.records() == []


def test_a_record_that_cannot_be_written_stops_before_anything_is_sent(reach, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with reach(BatchServer()) as server, pytest.raises(ModelError, match="cannot be written down"):
        responses(MODELS["openai"], [ask(0)])
    assert server.batches == []


def test_a_response_of_a_batch_tells_its_tokens(reach):
    with reach(BatchServer()):
        (response,) = responses(MODELS["openai"], [ask(0)]).values()
    assert isinstance(response, Response)
    assert (response.input_tokens, response.output_tokens, response.cached_tokens, response.served_by) == (2, 3, 1, "stand-in-1")


@pytest.mark.parametrize("api", APIS)
def test_a_run_that_asks_for_a_part_leaves_the_rest_to_the_next(api, reach):
    with reach(BatchServer(looks=10**9)) as server:
        model = open_model(MODELS[api])
        threading.Timer(0.5, lambda: model.finish_started(10.0)).start()
        assert list(model.answer(map(ask, range(6)))) == []
        server.looks = server.batches[0]["looks"] + 1
        assert sorted(responses(MODELS[api], [ask(4)])) == [4]
        assert [len(one.names) for one in records(api)] == [5]
        assert sorted(responses(MODELS[api], map(ask, (0, 1, 2, 3, 5)))) == [0, 1, 2, 3, 5]
    assert len(server.batches) == 1
    assert records(api) == []


def test_the_right_one_of_several_batches_of_one_size_is_taken(reach):
    """Two more were made by somebody else since: the first that ends is not ours, and the search goes on."""
    with reach(BatchServer(looks=1)) as server:
        for first in (10, 0, 20):
            assert len(responses(MODELS["anthropic"], map(ask, range(first, first + 3)))) == 3
        Ledger(open_model(MODELS["anthropic"]).fingerprint).write(Record("ours", [name_of("anthropic", k) for k in range(3)], time.time()))
        answered = responses(MODELS["anthropic"], map(ask, range(3)))
    assert sorted(answered) == [0, 1, 2]
    assert all(one.retries == 0 for one in answered.values())
    assert len(server.batches) == 3
    assert records("anthropic") == []


@pytest.mark.parametrize("api", APIS)
def test_a_server_without_batches_is_one_message(api, reach):
    with reach(BatchServer(no_batches=True)), pytest.raises(ModelError, match="has this server a batch API"):
        responses(MODELS[api], [ask(0)])
    assert records(api) == []


@pytest.mark.parametrize("api", APIS)
def test_a_cancelled_batch_is_not_handed_in_again(api, reach):
    def spoil(name, request, one):
        one["cancelled"] = True
        return "lost" if request["messages"][-1]["content"] == "question 2" else None

    taken = []
    with reach(BatchServer(spoil=spoil)) as server:
        with pytest.raises(ModelError, match="batch_0 was cancelled: 1 request is unanswered"):
            taken.extend(one.index for one, _ in open_model(MODELS[api]).answer(map(ask, range(4))))
        assert len(server.batches) == 1
    assert sorted(taken) == [0, 1, 3]
    assert records(api) == []


@pytest.mark.parametrize("api", APIS)
def test_a_batch_too_new_to_be_known_is_waited_for(api, reach):
    with reach(BatchServer(unknown_looks=2)) as server:
        assert len(responses(MODELS[api], map(ask, range(3)))) == 3
    assert len(server.batches) == 1


def test_answers_that_are_not_there_yet_are_waited_for(reach):
    with reach(BatchServer(early_looks=2)) as server:
        answered = responses(MODELS["openai"], map(ask, range(3)))
    assert all(one.retries == 0 for one in answered.values())
    assert len(server.batches) == 1


@pytest.mark.parametrize("api", APIS)
def test_a_creation_nobody_can_tell_of_stays_written_down(api, reach):
    """Every creation fails, and none is listed: perhaps not yet."""
    with reach(BatchServer(fail_creations=10**9)), pytest.raises(ModelError, match="cannot be handed in: HTTP 500"):
        responses(MODELS[api] + "&tries=2", [ask(0)])
    assert [one.id for one in records(api)] == [""]


@pytest.mark.parametrize("api", APIS)
def test_stopping_does_not_wait_for_a_server_that_hangs(api, reach):
    with reach(BatchServer(hang_looks=True)) as server:
        model = open_model(MODELS[api])
        ended = threading.Event()
        thread = threading.Thread(target=lambda: (list(model.answer([ask(0)])), ended.set()), daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not server.hanging and time.monotonic() < deadline:
            time.sleep(0.02)
        model.finish_started(10.0)
        assert ended.wait(30)
    assert [one.id for one in records(api)] == ["batch_0"]


def test_a_full_disk_after_the_creation_does_not_say_that_nothing_was_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"batch_3 .* it is with the provider"):
        Ledger("f").write(Record("a", ["x"], time.time(), id="batch_3"))
