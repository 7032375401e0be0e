"""Runs that end early: by cost, by time, by Ctrl-C; what is under way is kept, and the same call continues."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

import proctor
from proctor.cli.main import main
from proctor.engine.stopping import Allowance
from proctor.errors import ModelError, RunStopped, UsageError
from proctor.models import connection
from proctor.results.manifest import read_manifest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from faulty_server import FaultyServer

ITEMS = 60


def task():
    rows = [{"id": f"i{k:02}", "q": f"item {k}", "target": f"echo: item {k}"} for k in range(ITEMS)]
    return proctor.Task(task="echo", data=rows, prompt="{{ q }}", scoring="exact_match")


def uri(server, **options):
    query = "&".join(f"{key}={value}" for key, value in {"api": "chat", "concurrency": 4, **options}.items())
    return f"{server.url}?{query}#m"


def times_asked(server):
    return Counter(body["messages"][-1]["content"] for body in server.bodies)


@pytest.fixture
def cent(monkeypatch):
    """Every answer costs a cent."""
    monkeypatch.setattr("proctor.models.openai.price", lambda model, provider, response, share: 0.01)


def test_max_cost_stops_before_it_is_exceeded_and_the_same_call_continues(cent, tmp_path):
    with FaultyServer(delay=0.05) as server:
        for sitting in (1, 2):
            with pytest.raises(RunStopped) as stopped:
                proctor.run(task(), uri(server), out=tmp_path, max_cost=0.25)
            said = str(stopped.value)
            assert "stopped, max-cost: $0." in said
            assert f"{len(server.bodies)} of {ITEMS} attempts are answered and kept: the same command continues" in said
            assert 16 * sitting <= len(server.bodies) <= 25 * sitting
            (folder,) = tmp_path.iterdir()
            assert read_manifest(folder).state == "stopped"
        (run,) = proctor.run(task(), uri(server), out=tmp_path, max_cost=1)
    assert run.manifest.totals["cost"] == pytest.approx(0.01 * ITEMS)
    assert set(times_asked(server).values()) == {1}


def test_max_cost_is_one_for_all_models_of_a_call(cent, tmp_path):
    with FaultyServer(delay=0.02) as server, pytest.raises(RunStopped, match="max-cost"):
        proctor.run(task(), [uri(server), uri(server).replace("#m", "#other")], out=tmp_path, max_cost=0.8)
    assert ITEMS < len(server.bodies) <= 80


def test_max_cost_without_prices_is_refused_before_anything_is_asked(tmp_path):
    with FaultyServer() as server, pytest.raises(ModelError, match="max-cost needs the model's prices"):
        proctor.run(task(), uri(server), out=tmp_path, max_cost=1)
    assert server.bodies == []


def test_what_costs_nothing_needs_no_prices(tmp_path):
    (run,) = proctor.run(task(), "baseline:majority", out=tmp_path, max_cost=0.01)
    assert run.manifest.state == "complete"


def test_an_answer_that_does_not_say_its_tokens_is_counted_by_its_length(monkeypatch, tmp_path):
    """A dollar a token: `echo: item 7` is 3 of 4 letters each, and the question 2."""
    monkeypatch.setattr(
        "proctor.models.openai.price",
        lambda model, provider, response, share: None if response.input_tokens is None else response.input_tokens + response.output_tokens,
    )
    reply = {"choices": [{"message": {"content": "echo: item 7"}, "finish_reason": "stop"}]}
    with FaultyServer(reply=reply, delay=0.02) as server, pytest.raises(RunStopped, match="max-cost"):
        proctor.run(task(), uri(server, concurrency=1), out=tmp_path, max_cost=24)
    assert len(server.bodies) in (3, 4, 5)


def test_max_time_stops_also_where_no_answer_comes(tmp_path, monkeypatch):
    monkeypatch.setattr("proctor.engine.stopping.FINISH_TIME", 0.2)
    with FaultyServer(script=[None] * 8 + ["hang"] * 100) as server:
        began = time.monotonic()
        with pytest.raises(RunStopped, match=rf"stopped, max-time: 2 s are over; 8 of {ITEMS} attempts"):
            proctor.run(task(), uri(server), out=tmp_path, max_time=2)
        assert 2 < time.monotonic() - began < 30
        server.script.clear()
        (run,) = proctor.run(task(), uri(server), out=tmp_path)
    assert run.manifest.state == "complete"


def test_max_time_keeps_what_is_under_way(tmp_path):
    with FaultyServer(delay=0.4) as server:
        with pytest.raises(RunStopped, match="max-time"):
            proctor.run(task(), uri(server), out=tmp_path, max_time=0.5)
        stopped_at = len(server.bodies)
        (folder,) = tmp_path.iterdir()
        kept = len((folder / "journal.jsonl").read_bytes().splitlines())
    assert 0 < kept == stopped_at < ITEMS


def test_max_time_ends_a_function_between_two_answers(tmp_path):
    def slow(prompt):
        time.sleep(0.05)
        return "x"

    with pytest.raises(RunStopped, match="max-time"):
        proctor.run(task(), slow, out=tmp_path, max_time=0.3)


def test_stopping_changes_neither_the_run_nor_its_protocol(tmp_path):
    with FaultyServer() as server:
        (plain,) = proctor.run(task(), uri(server), out=tmp_path / "a")
        (limited,) = proctor.run(task(), uri(server), out=tmp_path / "b", max_time=1000)
    assert plain.manifest.signature == limited.manifest.signature
    assert plain.folder.name == limited.folder.name
    assert plain.manifest.settings == limited.manifest.settings


@pytest.mark.parametrize(("name", "value"), [("max_cost", 0), ("max_time", -1), ("max_time", float("nan"))])
def test_an_allowance_that_cannot_be(name, value):
    with pytest.raises(UsageError, match=f"{name}: must be a positive number"):
        Allowance(**{name: value})


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    Path("echo.yaml").write_text("task: echo\ndata: {python: 'echo_rows:rows'}\nprompt: '{{ q }}'\nscoring: exact_match\n")
    Path("echo_rows.py").write_text(
        f"def rows():\n    return [{{'id': f'i{{k:03}}', 'q': f'item {{k}}', 'target': f'echo: item {{k}}'}} for k in range({ITEMS})]\n"
    )

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["proctor", "run", "echo.yaml", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def test_the_command_ends_with_4_and_continues(command, cent):
    with FaultyServer() as server:
        code, err = command("-m", uri(server), "--max-cost", "0.3")
        assert code == 4
        assert "proctor: stopped, max-cost" in err
        code, err = command("-m", uri(server), "--max-cost", "0.6", "--max-time", "10m")
    assert code == 0
    assert set(times_asked(server).values()) == {1}


@pytest.mark.parametrize("text", ["0", "ten", "5 m", "1d", "-3"])
def test_a_time_that_cannot_be_read(text, command):
    code, err = command("-m", "baseline:random", "--max-time", text)
    assert code == 2
    assert "write seconds, or 90s, 10m, 2h" in err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("twice", [False, True])
def test_ctrl_c_waits_for_what_is_paid_for_and_twice_does_not(sent, twice, command, tmp_path):
    with FaultyServer(delay=0.8) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "proctor", "run", "echo.yaml", "-m", uri(server), "--out", "store"],
            cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while len(server.bodies) < 8 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(sent)
        if twice:
            time.sleep(0.2)
            process.send_signal(sent)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "4 requests are under way and waited for, at most 10 s; once more drops them" in err
    assert "Traceback" not in err
    assert f"interrupted after {4 if twice else 8} of {ITEMS} attempts; all of them are kept" in err
    assert len(server.bodies) == 8


@pytest.mark.parametrize("why", ["Retry-After", "rpm"])
def test_max_time_stops_also_where_nothing_is_under_way(why, tmp_path):
    """All requests wait: for an hour, as the server told each of them; or for the next minute of `rpm`."""

    def refuse(body):
        return web.json_response({"error": {"message": "later"}}, status=429, headers={"Retry-After": "3600"})

    with FaultyServer(reply=refuse if why == "Retry-After" else None) as server:
        began = time.monotonic()
        with pytest.raises(RunStopped, match=r"stopped, max-time: 0\.5 s are over"):
            proctor.run(task(), uri(server, **({"rpm": 1} if why == "rpm" else {})), out=tmp_path, max_time=0.5)
        assert time.monotonic() - began < 5
