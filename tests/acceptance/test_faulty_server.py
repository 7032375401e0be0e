"""`proctor run` against a server that fails: nothing is lost, nothing answered is asked again, and the exit code says what happened."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from proctor.cli.main import main
from proctor.models import connection
from proctor.results.manifest import read_manifest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from faulty_server import FAULTS, FaultyServer

ITEMS = 120
TASK = "task: echo\ndata: {python: 'echo_items:rows'}\nprompt: '{{ q }}'\nscoring: exact_match\n"
ROWS = f"def rows():\n    return [{{'id': f'i{{k:03}}', 'q': f'item {{k}}', 'target': f'echo: item {{k}}'}} for k in range({ITEMS})]\n"


@pytest.fixture
def proctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)
    Path("echo.yaml").write_text(TASK)
    Path("echo_items.py").write_text(ROWS)

    def run(uri: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["proctor", "run", "echo.yaml", "-m", uri, "--out", "store"])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def questions(server: FaultyServer) -> Counter[str]:
    return Counter(body["messages"][-1]["content"] for body in server.bodies if "messages" in body)


def journaled(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def the_run() -> Path:
    (folder,) = Path("store").iterdir()
    return folder


def check_complete(folder: Path, failed: set[str] = frozenset()) -> None:
    """Every item has exactly one row, with its own answer or counted as failed."""
    frame = pl.read_parquet(folder / "attempts.parquet")
    assert frame["item"].to_list() == [f"i{k:03}" for k in range(ITEMS)]
    for row in frame.iter_rows(named=True):
        if row["item"] in failed:
            assert (row["state"], row["score"], row["text"]) == ("failed", 0.0, None)
            assert row["error"]
        else:
            assert (row["state"], row["score"], row["text"]) == ("scored", 1.0, f"echo: item {int(row['item'][1:])}")
    manifest = read_manifest(folder)
    assert manifest.state == "complete"
    assert manifest.totals["states"] == {"scored": ITEMS - len(failed), "unparsed": 0, "truncated": 0, "refused": 0, "failed": len(failed)}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tenth_of_the_requests_failing_loses_nothing(seed, proctor):
    with FaultyServer(fault_rate=0.1, seed=seed) as server:
        code, err = proctor(f"{server.url}?concurrency=16&api=chat#m")
        asked = questions(server)
    assert (code, "failed" in err) == (0, False), err
    check_complete(the_run())
    totals = read_manifest(the_run()).totals
    assert len(asked) == ITEMS
    # Every request beyond the first of an item was a retry, and there were some. A dropped connection may be sent again below our sight.
    assert 0 < totals["retries"] <= asked.total() - ITEMS
    assert totals["asked"] == ITEMS


def test_every_kind_of_fault_is_outlived(proctor):
    with FaultyServer(script=FAULTS * 2) as server:
        code, err = proctor(f"{server.url}?concurrency=8&api=chat#m")
    assert code == 0, err
    check_complete(the_run())


def test_items_that_fail_for_ever_are_counted_and_only_those_are_asked_again(proctor):
    cursed = {f"item {k}" for k in range(7, ITEMS, 20)}
    ids = {f"i{int(text.split()[1]):03}" for text in cursed}
    healed = False

    def reply(body):
        said = body["messages"][-1]["content"]
        if said in cursed and not healed:
            return web.json_response({"error": {"message": "I will never say that"}}, status=500)
        return {"choices": [{"message": {"content": f"echo: {said}"}, "finish_reason": "stop"}]}

    with FaultyServer(fault_rate=0.1, seed=3, reply=reply) as server:
        uri = f"{server.url}?concurrency=8&api=chat&tries=5#m"
        code, err = proctor(uri)
        assert code == 3
        assert f"proctor: {len(ids)} attempts failed; the same command asks them again" in err
        check_complete(the_run(), ids)
        assert all(questions(server)[text] == 5 for text in cursed)

        server.bodies.clear()
        code, _ = proctor(uri)
        assert code == 3
        check_complete(the_run(), ids)
        assert set(questions(server)) == cursed

        server.bodies.clear()
        healed = True
        code, err = proctor(uri)
        assert (code, "failed" in err) == (0, False)
        check_complete(the_run())
        assert set(questions(server)) == cursed

        server.bodies.clear()
        assert proctor(uri)[0] == 0
        assert server.bodies == []


def test_refused_questions_are_not_sent_again(proctor):
    """A 400 is about the request: another try would not change it, and one item's does not end the run."""

    def reply(body):
        said = body["messages"][-1]["content"]
        if said == "item 5":
            return web.json_response({"error": {"message": "too long"}}, status=400)
        return {"choices": [{"message": {"content": f"echo: {said}"}, "finish_reason": "stop"}]}

    with FaultyServer(reply=reply) as server:
        code, _ = proctor(f"{server.url}?api=chat#m")
        assert questions(server)["item 5"] == 1
    assert code == 3
    check_complete(the_run(), {"i005"})


def test_a_server_that_goes_away_stops_the_run_and_what_it_answered_is_kept(proctor):
    server = FaultyServer(delay=0.02).__enter__()

    def leave():
        while len(server.bodies) < 30:
            time.sleep(0.005)
        server._loop.call_soon_threadsafe(server._stop.set)

    leaving = threading.Thread(target=leave)
    leaving.start()
    code, err = proctor(f"{server.url}?api=chat&concurrency=4&tries=2#m")
    leaving.join()
    server._thread.join()
    assert code in (2, 4), err
    assert "Traceback" not in err
    assert str(server.port) in err or "stopped:" in err
    answered = {entry["item"] for entry in journaled(the_run()) if entry["response"].get("finish") != "error"}
    assert 10 < len(answered) < ITEMS
    assert read_manifest(the_run()).state == "stopped"


@pytest.mark.parametrize("concurrency", [1, 16])
def test_killed_while_many_requests_are_under_way_and_continued(concurrency, tmp_path):
    """What reached the journal is never requested again; at most what was under way is."""
    (tmp_path / "echo.yaml").write_text(TASK)
    (tmp_path / "echo_items.py").write_text(ROWS)
    with FaultyServer(delay=0.25 if concurrency > 1 else 0.02) as server:
        uri = f"{server.url}?concurrency={concurrency}&api=chat#m"
        command = [sys.executable, "-m", "proctor", "run", "echo.yaml", "-m", uri, "--out", "store"]

        def start() -> subprocess.Popen:
            return subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        answered: set[str] = set()
        for _ in range(3):
            before = len(server.bodies)
            process = start()
            while len(server.bodies) < before + 25 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            (folder,) = (tmp_path / "store").iterdir()
            asked = {body["messages"][-1]["content"] for body in server.bodies[before:]}
            assert not asked & answered
            kept = {f"item {int(entry['item'][1:])}" for entry in journaled(folder)}
            assert kept >= answered
            # Sent and not in the journal: what was under way, and answers that had come but were not yet taken.
            assert len(set(questions(server)) - kept) <= 3 * concurrency
            answered = kept
        assert 0 < len(answered) < ITEMS
        before = len(server.bodies)
        process = start()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        again = [body["messages"][-1]["content"] for body in server.bodies[before:]]
        assert sorted(again) == sorted({f"item {k}" for k in range(ITEMS)} - answered)
        assert server.most <= concurrency + 1
    check_complete(folder)
