"""Runs whose answers are judged: who is asked what, what is kept, other judges over kept answers, figures of the judges."""

import json

import pytest

import proctor
from proctor.engine.rescore import rescore
from proctor.errors import ModelError, TaskError
from proctor.reports.judges import judge_figures, judge_table
from proctor.results.columns import exchanges_of

JUDGES = """
import re

ASKED = []

def strict(prompt):
    "Points for length, up to 10."
    ASKED.append(prompt)
    answer = re.search(r"<answer \\w+>\\n(.*?)\\n</answer", prompt, re.DOTALL)[1]
    return f"It is {len(answer)} long. [[{min(10, 1 + len(answer))}]]"

def kind(prompt):
    ASKED.append(prompt)
    return "Lovely. [[9]]"

def first(prompt):
    return "[[A]]"

def broken(prompt):
    raise ValueError("out of order")

def short(prompt):
    return "aa" if "q1" in prompt else "aaaa"

def long(prompt):
    return "aaaaaaa"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "people.py").write_text(JUDGES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    import sys

    sys.modules.pop("people", None)


def judged(*judges, metrics=None, name="essay"):
    rows = [{"id": f"q{k}", "q": f"Write about q{k}.", "other": "bbb", "people": 4 + k} for k in range(4)]
    scoring = {"metrics": metrics or [{"judge_points": {"human": "people"}}], "judges": list(judges)}
    return proctor.Task(task=name, data=rows, item={"target": None}, prompt="{{ q }}", scoring=scoring)


def test_every_judge_is_asked_once_and_its_words_are_kept(folder):
    import people

    task = judged("python:people:strict", "python:people:kind")
    (run,) = proctor.run(task, "python:people:short", out="store")
    assert len(people.ASKED) == 8
    assert "<reference" not in people.ASKED[0]
    assert (run.manifest.tasks[0].chance, task.items[0].target) == (1.0, None)  # the scale begins at 1
    frame = run.attempts()
    assert frame["score"].to_list() == [(5 + 9) / 2, (3 + 9) / 2, (5 + 9) / 2, (5 + 9) / 2]
    one, other = exchanges_of(frame["exchanges"][1])
    assert (one.name, one.by, one.response.text) == ("judge_points 1", "python:people:strict", "It is 2 long. [[3]]")
    assert (other.by, other.fingerprint != one.fingerprint) == ("python:people:kind", True)
    assert json.loads(frame["metrics"][1])["judge_points 2"] == 9.0
    assert run.manifest.totals["judges"]["python:people:kind"]["requests"] == 4
    proctor.run(task, "python:people:short", out="store")
    assert len(people.ASKED) == 8


def test_a_judge_that_is_named_for_the_run_makes_another_protocol(folder):
    task = judged("python:people:kind")
    (one,) = proctor.run(task, "python:people:short", out="store")
    (other,) = proctor.run(task, "python:people:short", out="store", judges=["python:people:strict"])
    assert one.manifest.suite_hash != other.manifest.suite_hash
    assert other.manifest.tasks[0].protocol["scoring"]["judges"] == ["python:people:strict"]


def test_other_judges_over_kept_answers(folder):
    import people

    (run,) = proctor.run(judged("python:people:kind"), "python:people:short", out="store")
    store = proctor.open_store("store")
    suite = proctor.Suite("essay", [proctor.tasks.suite.Weighted(judged("python:people:kind"))])
    asked = len(people.ASKED)
    after = rescore(run, store, suite, judges=["python:people:strict", "python:people:kind"])
    assert len(people.ASKED) == asked + 4  # kind has judged these answers before
    assert after.attempts()["score"].to_list() == [7.0, 6.0, 7.0, 7.0]
    assert run.attempts()["score"].to_list() == [9.0] * 4


def test_no_judge_and_a_judge_that_is_none_are_said_before_anything_is_asked(folder):
    with pytest.raises(TaskError, match="task 'essay' is scored by judges, and names none: say who judges, with --judge MODEL"):
        proctor.run(judged(), "python:people:short", out="store")
    with pytest.raises(ModelError, match="nobody"):
        proctor.run(judged("python:people:nobody"), "python:people:short", out="store")
    with pytest.raises(ModelError, match="http://localhost:1/v1#j: max-cost needs the model's prices"):
        proctor.run(judged("http://localhost:1/v1#j"), "baseline:random", out="store", max_cost=1)
    with pytest.raises(TaskError, match=r"scoring\.judges: none of the scorers asks judges"):
        proctor.Task(task="t", data=[{"q": "a", "target": "b"}], prompt="{{ q }}", scoring={"metrics": ["f1"], "judges": ["smollm2"]})
    assert not (folder / "store").exists() or not proctor.open_store("store").runs()


def test_a_judge_that_fails_is_asked_again(folder):
    task = judged("python:people:broken")
    (run,) = proctor.run(task, "python:people:short", out="store")
    assert run.manifest.totals["states"]["failed"] == 4
    assert "judge_points 1: ValueError: out of order" in run.attempts()["reason"][0]
    source = (folder / "people.py").read_text()
    assert source  # the judge's fingerprint is its source; the same command asks it again
    (again,) = proctor.run(task, "python:people:short", out="store")
    assert again.manifest.run == run.manifest.run


def test_the_figures_of_the_judges(folder):
    pair = [{"judge_pairwise": "other"}]
    for model in ("short", "long"):
        proctor.run(judged("python:people:strict", "python:people:kind"), f"python:people:{model}", out="store")
        proctor.run(judged("python:people:first", metrics=pair, name="pairs"), f"python:people:{model}", out="store")
    figures = {(one.task, one.judge): one for one in judge_figures(proctor.open_store("store").runs())}
    strict = figures["essay", "python:people:strict"]
    assert (strict.verdicts, strict.unread, strict.mean) == (8, 0, pytest.approx((5 + 3 + 5 + 5 + 8 * 4) / 8))
    assert strict.longer.value == pytest.approx(1.0)
    assert strict.others.n == 8
    assert strict.people.n == 8
    assert figures["essay", "python:people:kind"].longer.value is None
    first = figures["pairs", "python:people:first"]
    assert (first.first.value, first.consistent.value) == (0.5, 0.0)
    shown = judge_table(list(figures.values()))
    assert [row[0] for row in shown.rows] == ["essay", "essay", "pairs"]
    with pytest.raises(proctor.ProctorError, match="no run of the store was judged"):
        judge_table([])


@pytest.mark.model
def test_a_real_model_judges(tmp_path):
    """SmolLM2 as its own judge: it is asked, and what it said is kept, readable or not."""
    rows = [{"id": "a", "q": "What is the capital of France?", "target": "Paris"}]
    scoring = {"metrics": [{"judge_points": {"max_tokens": 48}}], "judges": ["smollm2"]}
    task = proctor.Task(task="j", data=rows, prompt="{{ q }}", response={"max_tokens": 24}, scoring=scoring)
    (run,) = proctor.run(task, "smollm2", out=tmp_path)
    (reply,) = exchanges_of(run.attempts()["exchanges"][0])
    assert reply.response.output_tokens > 0
    assert run.manifest.totals["judges"]["smollm2"]["requests"] == 1
