"""Killed at any instant and run again: nothing answered is asked twice, nothing is lost, the result is that of an undisturbed run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from proctor.results.columns import TIME_COLUMNS
from proctor.results.manifest import Manifest, read_manifest

HERE = Path(__file__).parent
KILLS = 20
TASK = """
task: numbers
data: {python: "killed_items:rows"}
prompt: "{{ q }}"
response: {kind: generate, epochs: 2}
scoring: {extract: number, metrics: numeric}
"""
ITEMS = """
def rows():
    return [{"id": f"i{k:03}", "q": f"item {k}", "target": k % 7} for k in range(120)]
"""


@pytest.fixture
def exam(tmp_path):
    (tmp_path / "numbers.yaml").write_text(TASK)
    (tmp_path / "killed_items.py").write_text(ITEMS)
    return tmp_path


def start(folder: Path, store: str) -> subprocess.Popen:
    path = os.pathsep.join([str(HERE), str(folder)])
    environment = os.environ | {"EXAM_LOG": str(folder / f"{store}.log"), "PYTHONPATH": path}
    command = [sys.executable, "-m", "proctor", "run", "numbers.yaml", "-m", "python:exam:answer", "--out", store]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, store: str) -> None:
    process = start(folder, store)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err + out


def run_folder(folder: Path, store: str) -> Path:
    (found,) = (folder / store).iterdir()
    return found


def journaled(folder: Path, store: str) -> set[tuple[str, int]]:
    files = list((folder / store).glob("*/journal.jsonl"))
    if not files:
        return set()
    lines = [line for line in files[0].read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {(entry["item"], entry["epoch"]) for entry in map(json.loads, lines)}


def questions(folder: Path, store: str) -> list[str]:
    log = folder / f"{store}.log"
    return log.read_text().splitlines() if log.exists() else []


def timeless(manifest: Manifest) -> dict:
    values = msgspec.to_builtins(manifest)
    for name in ("started_at", "finished_at", "seconds", "totals"):
        values.pop(name)
    for task in values["tasks"]:
        task.pop("seconds")
    return values


def test_twenty_kills_at_random_instants_change_nothing(exam):
    began = time.monotonic()
    run(exam, "whole")
    seconds = time.monotonic() - began
    whole = run_folder(exam, "whole")
    undisturbed = pl.read_parquet(whole / "attempts.parquet")
    rng = random.Random(20)
    kills = sittings = 0
    while kills < KILLS:
        store = f"killed-{sittings}"
        sittings += 1
        while True:
            kept, asked = journaled(exam, store), len(questions(exam, store))
            process = start(exam, store)
            try:
                # From before the first question to after the last; short sittings more often, so that a run is killed many times.
                process.wait(timeout=seconds * rng.random() ** 1.5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
            again = questions(exam, store)[asked:]
            # Epochs of an item ask the same question: it may be asked as often as it was not yet answered.
            for question in set(again):
                item = f"i{int(question.split()[-1]):03}"
                assert again.count(question) <= 2 - len(kept & {(item, 0), (item, 1)}), f"{question} was asked again though answered"
            if process.returncode == 0:
                break
            if kills >= KILLS:
                run(exam, store)
                break
        folder = run_folder(exam, store)
        assert_frame_equal(pl.read_parquet(folder / "attempts.parquet").drop(TIME_COLUMNS), undisturbed.drop(TIME_COLUMNS))
        assert timeless(read_manifest(folder)) == timeless(read_manifest(whole))
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "journal.jsonl", "attempts.parquet"}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end_is_clean_and_says_how_to_go_on(exam, sent):
    process = start(exam, "store")
    while len(questions(exam, "store")) < 20 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted after" in err
    assert "the same command continues" in err
    assert "Traceback" not in err
    folder = run_folder(exam, "store")
    assert read_manifest(folder).state == "stopped"
    kept = len(journaled(exam, "store"))
    asked = len(questions(exam, "store"))
    run(exam, "store")
    assert len(questions(exam, "store")) - asked == 240 - kept


def test_a_full_disk_stops_cleanly_and_the_run_goes_on(exam):
    """A limit on file size stands in for a full disk: the same system call fails in the same way."""
    limited = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, -1))
sys.argv[0] = "proctor"
runpy.run_module("proctor")
"""
    environment = os.environ | {"EXAM_LOG": str(exam / "store.log"), "PYTHONPATH": os.pathsep.join([str(HERE), str(exam)])}
    command = [sys.executable, "-c", limited, "run", "numbers.yaml", "-m", "python:exam:answer", "--out", "store"]
    done = subprocess.run(command, cwd=exam, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "File too large; everything answered before is kept" in done.stderr
    assert "Traceback" not in done.stderr
    kept = len(journaled(exam, "store"))
    assert 10 < kept < 240
    asked = len(questions(exam, "store"))
    run(exam, "store")
    assert len(questions(exam, "store")) - asked == 240 - kept
