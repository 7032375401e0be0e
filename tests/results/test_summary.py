"""What is added to a task's metrics where its items were asked several times."""

import numpy as np
import pytest

import proctor
from proctor.analysis.uncertainty import mean_with_stderr
from proctor.results.manifest import MetricResult
from proctor.results.summary import Summary
from proctor.scoring.base import Metric
from proctor.types import Item, Response, Score

NUMBERS = {"extract": ["number"], "metrics": ["numeric"]}


def summary(scoring, epochs: int = 1, **attempts: str) -> list[MetricResult]:
    """The metrics of items whose attempts are given as words: `4` right with the answer 4, `-4` wrong with it, `.` wrong without one."""
    rows = [{"id": item, "target": 4} for item in attempts]
    task = proctor.Task(task="t", data=rows, prompt="?", response={"temperature": 1.0, "epochs": epochs}, scoring=scoring)
    collected = Summary(task, 1.0)
    name = task.scoring.metrics[0].name
    for item, words in attempts.items():
        for word in words.split():
            value = {} if word == "?" else {name: float(word[0] not in "-.")}
            answer = None if word in ".?" else word.lstrip("-")
            collected.add(Item(item, {}, target=4, group=item[0]), Response(text=word), Score("scored", value, answer))
    return collected.result().metrics


def test_pass_and_majority_follow_the_metrics_of_the_task():
    metrics = summary(NUMBERS, 5, a1="4 4 -5 -5 -5", a2="4 4 4 . .", b="-5 -6 -7 -8 .", c="4 4 4 4 4")
    assert [metric.name for metric in metrics] == ["numeric", "pass@2", "pass^2", "pass@4", "pass^4", "pass@5", "pass^5", "maj@5"]
    by_item = {
        "numeric": [0.4, 0.6, 0.0, 1.0],
        "pass@2": [1 - 3 / 10, 1 - 1 / 10, 0.0, 1.0],
        "pass^2": [1 / 10, 3 / 10, 0.0, 1.0],
        "pass@4": [1.0, 1.0, 0.0, 1.0],
        "pass^4": [0.0, 0.0, 0.0, 1.0],
        "pass@5": [1.0, 1.0, 0.0, 1.0],
        "pass^5": [0.0, 0.0, 0.0, 1.0],
        "maj@5": [0.0, 1.0, 0.0, 1.0],
    }
    for metric in metrics:
        expected = mean_with_stderr(by_item[metric.name], ["a", "a", "b", "c"])  # items of one group are one draw
        assert (metric.value, metric.stderr) == (pytest.approx(expected.value), pytest.approx(expected.stderr)), metric.name
        assert (metric.bounds, metric.higher_is_better) == ((0.0, 1.0), True)


@pytest.mark.parametrize(("epochs", "ks"), [(2, [2]), (3, [2, 3]), (4, [2, 4]), (8, [2, 4, 8]), (9, [2, 4, 8, 9]), (12, [2, 4, 8, 10, 12])])
def test_which_k(epochs, ks):
    names = [metric.name for metric in summary(NUMBERS, epochs, i=" ".join(["4"] * epochs), j=" ".join(["-3"] * epochs))]
    assert names == ["numeric", *(f"{kind}{k}" for k in ks for kind in ("pass@", "pass^")), f"maj@{epochs}"]


def test_ties_are_shared():
    metrics = {metric.name: metric.value for metric in summary(NUMBERS, 2, i="4 -5")}
    assert metrics["maj@2"] == 0.5


def test_one_epoch_adds_nothing():
    assert [metric.name for metric in summary(NUMBERS, 1, i="4", j="-4")] == ["numeric"]


def test_metrics_that_are_not_right_or_wrong_get_none():
    task = proctor.Task(task="t", data=[{"target": "a b"}], prompt="?", response={"temperature": 1.0, "epochs": 2}, scoring="f1")
    collected = Summary(task, 1.0)
    for value in (0.5, 1.0):
        collected.add(Item("i", {}), Response(text="a"), Score("scored", {"f1": value}, "a"))
    assert [metric.name for metric in collected.result().metrics] == ["f1"]
    for other in (Metric("x", bounds=(0.0, 100.0)), Metric("x", bounds=None), Metric("x", higher_is_better=False)):  # 0 and 1 by accident
        task.scoring.metrics = (other,)
        collected = Summary(task, 1.0)
        for value in (0.0, 1.0):
            collected.add(Item("i", {}), Response(text="a"), Score("scored", {"x": value}, "a"))
        assert [metric.name for metric in collected.result().metrics] == ["x"]


@pytest.mark.parametrize(
    ("scoring", "votes"),
    [
        ("exact_match", True),
        ("contains", False),
        ("quasi_exact", True),
        ({"extract": ["text"], "metrics": ["numeric"]}, False),
        ("numeric", True),
    ],
)
def test_whole_responses_have_no_majority(scoring, votes):
    names = [metric.name for metric in summary(scoring, 2, i="4 4", j="-5 .")]
    assert names[1:3] == ["pass@2", "pass^2"]
    assert (names[3:] == ["maj@2"]) is votes


def test_an_item_that_was_not_asked_often_enough_does_not_count():
    metrics = {metric.name: metric for metric in summary(NUMBERS, 3, a="4 4 4", b="-4 -4 -4", c="4 ? ?")}
    assert metrics["numeric"].value == pytest.approx(2 / 3)
    assert (metrics["pass@3"].value, metrics["pass^2"].value, metrics["maj@3"].value) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("groups", "expected"), [(["", "", ""], 3), (["a", "a", "b"], 2), (["a", "a", "", ""], 3), (["a", "a"], 1)])
def test_groups_are_the_independent_draws(groups, expected):
    rows = [{"id": f"i{k}", "target": 4} for k in range(len(groups))]
    collected = Summary(proctor.Task(task="t", data=rows, prompt="?", scoring="numeric"), 1.0)
    for _ in range(2):
        for k, group in enumerate(groups):
            collected.add(Item(f"i{k}", {}, target=4, group=group), Response(text="4"), Score("scored", {"numeric": 1.0}, "4"))
    result = collected.result()
    assert (result.items, result.groups) == (len(groups), expected)
    assert result.groups == mean_with_stderr([1.0] * len(groups), groups).groups


def test_a_run_reports_them(tmp_path):
    def answer(prompt: str) -> str:
        answer.asked += 1
        return "4" if answer.asked % 2 else "5"

    answer.asked = 0
    rows = [{"id": f"i{k}", "target": 4} for k in range(4)]
    task = proctor.Task(task="t", data=rows, prompt="{{ id }}?", response={"temperature": 1.0, "epochs": 2}, scoring=NUMBERS)
    (run,) = proctor.run(task, answer, out=tmp_path)
    (result,) = run.manifest.tasks
    assert [metric.name for metric in result.metrics] == ["numeric", "pass@2", "pass^2", "maj@2"]
    scores = run.attempts()["score"].to_numpy().reshape(4, 2)
    expected = [scores.mean(), scores.max(axis=1).mean(), scores.min(axis=1).mean(), np.mean(scores.mean(axis=1))]
    assert [metric.value for metric in result.metrics] == pytest.approx(expected)
