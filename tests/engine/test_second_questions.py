"""Second questions about confidence: asked after the answer, kept with the attempt, shown in the profile."""

import json

import msgspec
import polars as pl
import pytest

import proctor
from proctor import Task
from proctor.engine.plan import Settings, fit
from proctor.errors import ModelError, TaskError, UsageError
from proctor.models.base import Model
from proctor.reports.profile import full_profile, profile_text
from proctor.results.store import open_store
from proctor.tasks.suite import Suite, Weighted
from proctor.types import Exchange, Generate, Likelihood, Response

ROWS = [{"id": f"q{k}", "q": f"Number {k}?", "c": [f"a{k}", f"b{k}"], "target": 0} for k in range(20)]
CHOICE = {"task": "picks", "data": ROWS, "item": {"choices": "c"}, "prompt": "{{ q }}\n{{ options }}", "response": "choice"}
WRITE = {
    "task": "write",
    "data": [{"id": f"q{k}", "q": f"Number {k}?", "target": "yes"} for k in range(20)],
    "prompt": {"template": "{{ q }}", "system": "Be brief."},
    "response": {"kind": "generate", "max_tokens": 5},
    "scoring": "exact_match",
}
ALL = ["p_true", "p_ik", "verbal", "relative"]


class Knows(Model):
    """Right on even numbers; sure of what it is right about when asked, and in comparisons."""

    uri = "test:knows"
    fingerprint = "knows"

    def __init__(self, kinds=("likelihood", "generate")):
        self.kinds = frozenset(kinds)
        self.asked = []

    def answer(self, asks):
        for ask in asks:
            self.asked.append(ask)
            even = int(ask.item.id[1:]) % 2 == 0
            yes = even
            if ask.step.startswith("surer"):
                other = int(ask.step.split()[2].strip(",")[1:])
                yes = (int(ask.item.id[1:]) % 2 <= other % 2) == ask.step.endswith("first")
            if isinstance(ask.request, Likelihood):
                yield ask, Response(loglikelihoods=((-1.0, -3.0) if yes else (-3.0, -1.0),), greedy=((True, False),), token_counts=(1, 1))
            elif ask.step == "verbal":
                yield ask, Response(text="90%" if even else "no idea")
            elif ask.step:
                yield ask, Response(text="(A)" if yes else "(B)")
            else:
                yield ask, Response(text="yes" if even else "no")


def rows(run):
    return pl.read_parquet(run.attempts_path).sort("item").to_dicts()


def test_every_kind_is_asked_kept_and_summed_up(tmp_path):
    model = Knows()
    run = proctor.run(Task(**CHOICE, confidence=ALL), model, out=tmp_path)[0]
    metrics = {one.name: one for one in run.manifest.tasks[0].metrics}
    assert list(metrics) == ["acc", "p_true", *(f"confidence_{ask}" for ask in ALL)]
    assert (metrics["acc"].value, metrics["confidence_verbal"].value) == (0.5, 0.9)
    assert metrics["confidence_p_true"].value == pytest.approx(0.5)
    assert metrics["confidence_p_true"].stderr > 0
    first = rows(run)[0]
    kept = json.loads(first["metrics"])
    assert kept["confidence_p_true"] == pytest.approx(0.8807971)
    exchanges = msgspec.json.decode(first["exchanges"], type=list[Exchange])
    assert [one.name for one in exchanges][:3] == ["p_true", "p_ik", "verbal"]
    assert len(exchanges) == 3 + 4 * 2
    assert "confidence_verbal" not in json.loads(rows(run)[1]["metrics"])  # "no idea": said nothing
    assert len(model.asked) == 20 * 12


def test_the_same_command_asks_nothing_again_and_rescoring_keeps_them(tmp_path):
    proctor.run(Task(**CHOICE, confidence=ALL), Knows(), out=tmp_path)
    again = Knows()
    proctor.run(Task(**CHOICE, confidence=ALL), again, out=tmp_path)
    assert again.asked == []


def test_what_is_asked(tmp_path):
    task = Task(**WRITE, confidence=["p_true", "verbal", {"ask": "p_ik", "template": "{{ question }} Known, {{ q }}?"}])
    request = task.request(task.items[0])
    true, verbal, known = task.next_steps(task.items[0], 0, request, Response(text="<think>hm</think> yes "))
    prompt = true.request.prompts[0]
    assert prompt.messages[0].content.startswith("Number 0?\n\nProposed answer: yes\n\nIs the proposed answer:\n(A) True")
    assert (prompt.prefill, true.request.continuations) == ("The proposed answer is:", ("(A)", "(B)"))
    assert [(one.role, one.content) for one in verbal.request.prompt.messages][:3] == [
        ("system", "Be brief."),
        ("user", "Number 0?"),
        ("assistant", "yes"),
    ]
    assert "from 0 to 100" in verbal.request.prompt.messages[-1].content
    assert known.request.prompts[0].messages[0].content == "Number 0? Known, Number 0??"
    # Where no answer was found there is none to ask about.
    assert [one.name for one in task.next_steps(task.items[0], 0, request, Response(text=""))] == ["p_ik"]


def test_a_choice_is_named_by_its_line_or_its_text():
    scores = Response(loglikelihoods=((-3.0, -1.0),), greedy=((True, False),), token_counts=(1, 1))
    for by, line in (("letter", "Proposed answer: B. b0"), ("text", "Proposed answer: b0")):
        task = Task(**{**CHOICE, "response": {"kind": "choice", "by": by}}, confidence="p_true")
        step = task.next_steps(task.items[0], 0, task.request(task.items[0]), scores)[0]
        assert line in step.request.prompts[0].messages[0].content
    task = Task(**CHOICE, confidence="p_true").as_generation()
    step = task.next_steps(task.items[0], 0, task.request(task.items[0]), Response(text="The answer is B"))[0]
    assert "Proposed answer: B. b0" in step.request.prompts[0].messages[0].content


def test_a_model_without_likelihoods_writes_its_yes_or_no(tmp_path):
    run = proctor.run(Task(**WRITE), Knows(["generate"]), confidence=["p_true", "relative"], out=tmp_path)[0]
    metrics = {one.name: one.value for one in run.manifest.tasks[0].metrics}
    assert metrics["confidence_p_true"] == 0.5
    exchange = msgspec.json.decode(rows(run)[0]["exchanges"], type=list[Exchange])[0]
    assert isinstance(exchange.request, Generate)
    assert exchange.request.prompt.messages[-1].content.endswith("Write (A) or (B), and nothing else.")


def test_a_run_asks_about_tasks_that_declare_nothing_and_leaves_others(tmp_path):
    text = Task(task="text", data=[{"id": "1", "t": "so it is"}], item={"target": "t"}, prompt="", response="perplexity")
    suite = Suite("s", [Weighted(Task(**CHOICE)), Weighted(text)])
    fitted = fit(suite, Settings(confidence=("p_true",)), frozenset({"likelihood", "generate"}))
    assert [[one.ask for one in task.spec.confidence] for task in fitted.tasks] == [["p_true"], []]
    assert fitted.tasks[0].protocol_hash != suite.tasks[0].protocol_hash
    assert "confidence" not in suite.tasks[0].protocol
    with pytest.raises(UsageError, match="there is no 'p_tru'; did you mean 'p_true'"):
        fit(suite, Settings(confidence=("p_tru",)), frozenset({"likelihood"}))
    with pytest.raises(ModelError, match="which it cannot write"):
        fit(suite, Settings(confidence=("verbal",)), frozenset({"likelihood"}))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("p_tru", "got 'p_tru'; did you mean 'p_true'"),
        (["p_ik", "p_ik"], "'p_ik' is listed twice"),
        ([{"ask": "p_ik", "scale": "ten"}], "belongs to ask: verbal"),
        ([{"ask": "p_ik", "template": "{{ answer }}"}], "'answer' is not a column"),
        ([{"ask": "relative", "pairs": 0}], "confidence.0..pairs: expected 1 or more"),
    ],
)
def test_mistakes_are_named(asked, says):
    with pytest.raises(TaskError, match=says):
        Task(**CHOICE, confidence=asked)


def test_the_profile_shows_each_kind(tmp_path):
    proctor.run(Task(**CHOICE, confidence=ALL), Knows(), out=tmp_path)
    found = json.loads(profile_text(full_profile(open_store(tmp_path).runs(), "test:knows"), "json"))[0]["confidence"]
    by = {one["source"]: one for one in found}
    assert list(by) == ["choices", *ALL]
    assert by["choices"]["auroc"]["value"] == 0.5  # as sure of its wrong choices as of its right ones
    assert by["p_true"]["auroc"]["value"] == 1
    assert by["p_true"]["overconfidence"]["value"] == pytest.approx(0, abs=1e-9)
    assert (by["verbal"]["items"], by["verbal"]["missing"], by["verbal"]["accuracy"]) == (10, 10, 1)
    assert by["relative"]["auroc"]["value"] > 0.95
    assert by["relative"]["overconfidence"]["value"] is None
    table = profile_text(full_profile(open_store(tmp_path).runs(), "test:knows"))
    assert "picks: P(True)" in table
    assert "picks: compared" in table
    assert "Items without a confidence, left out: picks: said 10." in table
