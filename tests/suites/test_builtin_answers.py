"""Written tasks with free answers: what should pass passes, what should fail fails, through the scorers themselves."""

import contextlib

import pytest

from proctor.tasks.load import load_task
from proctor.types import Response


def score(task, item, text):
    return task.scoring.score(item, task.request(item), Response(text=text))


def test_the_example_of_each_instruction_keeps_every_constraint():
    task = load_task("instructions")
    assert len(task.items) == 20
    for item in task.items:
        score_ = score(task, item, item.fields["example"])
        assert score_.values["all"] == 1, (item.id, score_.reason)


def test_no_instruction_is_kept_by_another_ones_example():
    """What answers one request hardly ever answers another, so ignoring the request does not pay."""
    task = load_task("instructions")
    kept = [score(task, item, other.fields["example"]).values["all"] for item in task.items for other in task.items if other.id != item.id]
    assert sum(kept) / len(kept) < 0.2
    lazy = "Sure! I can help you with that, of course. Here is what you asked for: a nice text, as you wished"
    assert sum(score(task, item, lazy).values["all"] for item in task.items) <= 1


def passes(program, tests):
    with contextlib.suppress(Exception):
        exec(f"{program}\n{tests}", {})
        return True
    return False


def test_references_pass_and_mistakes_fail_in_python():
    task = load_task("code_writing")
    assert len(task.items) == 12
    for item in task.items:
        name = item.fields["signature"].split("(")[0]
        assert passes(item.fields["reference"], item.target), item.id
        assert not passes(item.fields["mistake"], item.target), item.id
        assert not passes(f"def {name}(*arguments):\n    return None", item.target), item.id
        assert item.fields["reference"].startswith(f"def {item.fields['signature']}:")
        assert item.target.count("assert ") >= 3


def test_references_pass_and_mistakes_fail_in_the_sandbox():
    pytest.importorskip("pydantic_monty")
    task = load_task("code_writing")
    for item in task.items:
        good = score(task, item, f"Here it is:\n\n```python\n{item.fields['reference']}\n```")
        assert good.values["passed"] == 1, (item.id, good.reason)
        assert score(task, item, item.fields["mistake"]).values["passed"] == 0, item.id


def test_leg_counting_is_judged_by_reasoning_gym():
    pytest.importorskip("reasoning_gym")
    task = load_task("leg_counting")
    metric = task.scoring.metrics[0].name
    for item in task.items[:10]:
        assert score(task, item, f"There are {item.target} legs.").values[metric] == 1
        assert score(task, item, f"There are {int(item.target) + 1} legs.").values[metric] < 1


@pytest.mark.parametrize("name", ["arithmetic", "code_output", "needle", "units", "word_problems"])
def test_right_and_wrong_free_answers(name):
    task = load_task(name)
    metric = task.scoring.metrics[0].name
    for item in task.items:
        assert score(task, item, str(item.target)).values[metric] == 1, item.id
        wrong = f"{item.target}7" if name == "code_output" else "8.125"
        assert score(task, item, wrong).values[metric] == 0, item.id
    if name in ("arithmetic", "units", "word_problems"):
        item = task.items[0]
        assert score(task, item, f"It is 1 + 1, so the answer is {item.target}.").values[metric] == 1
