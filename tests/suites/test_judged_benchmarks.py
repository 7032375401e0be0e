"""Judged benchmarks through their shipped task files, over real items where there are any here."""

import json
import os
from pathlib import Path

import pytest

import proctor
from proctor.results.columns import exchanges_of
from proctor.tasks.load import load_task

JUDGES = """
import re

def longer(prompt):
    one, other = (re.search(rf"<answer {x} \\w+>\\n(.*?)\\n</answer {x}", prompt, re.DOTALL)[1] for x in "AB")
    return f"{len(one)} and {len(other)} characters. [[{'A' if len(one) > len(other) else 'B' if len(other) > len(one) else 'C'}]]"

def grader(prompt):
    reference = re.search(r"<reference \\w+>\\n(.*?)\\n</reference", prompt, re.DOTALL)[1]
    answer = re.search(r"<answer \\w+>\\n(.*?)\\n</answer", prompt, re.DOTALL)[1]
    return "[[correct]]" if reference in answer else "[[not_attempted]]" if "know" in answer else "[[incorrect]]"
"""


@pytest.fixture
def shared() -> Path:
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    return folder


@pytest.fixture
def judges(tmp_path, monkeypatch):
    (tmp_path / "bench_judges.py").write_text(JUDGES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_alpaca_evals_real_answers_are_put_to_a_judge_in_both_orders(judges, shared):
    """805 instructions, GPT-4 Turbo's answers as the baseline, Alpaca-7B's as the model's."""
    folder = shared / "alpaca_eval" / "model_outputs"
    (judges / "map.yaml").write_text(f"tatsu-lab/alpaca_eval: {{files: {folder / 'gpt4_1106_preview.json'}}}\n")
    task = load_task("alpaca_eval", data=judges / "map.yaml")
    assert len(task.items) == 805
    said = {one["instruction"]: one["output"] for one in json.loads((folder / "alpaca-7b.json").read_text())}
    rows = [{"item": item.id, "answer": said[item.fields["instruction"]]} for item in task.items]
    (judges / "said.json").write_text(json.dumps(rows))
    (run,) = proctor.run(
        task, f"predictions:{judges / 'said.json'}", out=judges / "store", judges=["python:bench_judges:longer"], limit=100
    )
    frame = run.attempts()
    by_id = {item.id: item for item in task.items}
    for item, text, score, exchanges in frame.select("item", "text", "score", "exchanges").iter_rows():
        baseline = by_id[item].fields["output"]
        if text.strip():
            assert score == (1.0 if len(text) > len(baseline) else 0.5 if len(text) == len(baseline) else 0.0)
            first, second = (one.request.prompt.messages[0].content for one in exchanges_of(exchanges))
            assert f"\n{text}\n</answer A" in first
            assert f"\n{baseline}\n</answer B" in first
            assert f"\n{baseline}\n</answer A" in second
            assert f"\n{text}\n</answer B" in second
    assert run.manifest.tasks[0].main.value < 0.1  # Alpaca is brief


def test_simpleqas_categories(judges):
    """Items of our own, in the data set's columns."""
    rows = [
        {"metadata": "{}", "problem": "Which element has the number 26?", "answer": "Iron"},
        {"metadata": "{}", "problem": "Who wrote Middlemarch?", "answer": "George Eliot"},
        {"metadata": "{}", "problem": "How many sides has a heptagon?", "answer": "7"},
    ]
    (judges / "simple.json").write_text(json.dumps(rows))
    (judges / "map.yaml").write_text("basicv8vc/SimpleQA: {files: simple.json}\n")
    task = load_task("simpleqa", data=judges / "map.yaml")
    said = ["It is Iron.", "I do not know.", "It has 8."]
    (judges / "said.json").write_text(json.dumps([{"item": item.id, "answer": text} for item, text in zip(task.items, said, strict=True)]))
    (run,) = proctor.run(task, f"predictions:{judges / 'said.json'}", out=judges / "store", judges=["python:bench_judges:grader"])
    values = {metric.name: metric.value for metric in run.manifest.tasks[0].metrics}
    assert values == {key: pytest.approx(1 / 3) for key in ("judged", "is_correct", "is_incorrect", "is_not_attempted")} | {"unread": 0}
