"""Choices that stand in the question, and continuations that are more than the choice."""

import pytest

import proctor
from proctor.errors import TaskError
from proctor.models.base import plain_text
from proctor.scoring.choice import normalised
from proctor.types import Response

ROWS = [
    {"id": "a", "s": "The cup does not fit the box as _ is too small.", "who": ["the cup", "the box"], "target": 1},
    {"id": "b", "s": "Ann thanked Bea since _ had helped.", "who": ["Ann", "Bea"], "target": 1},
]


def gap(rows=ROWS, **keys):
    prompt = {"template": "{{ s.split('_')[0] }}{{ choice }}", "style": "plain", **keys.pop("prompt", {})}
    response = {"kind": "choice", "by": "text", "continuation": "{{ s.split('_')[1] | trim }}", **keys.pop("response", {})}
    return proctor.Task(task="gap", data=rows, item={"choices": "who", "target_as": "index"}, prompt=prompt, response=response, **keys)


def test_what_follows_is_scored_after_each_choice():
    task = gap()
    request = task.request(task.items[0])
    assert [plain_text(prompt) for prompt in request.prompts] == [
        ("The cup does not fit the box as the cup", " "),
        ("The cup does not fit the box as the box", " "),
    ]
    assert request.continuations == ("is too small.",)
    score = task.scoring.score(task.items[0], request, Response(loglikelihoods=((-9.0,), (-3.0,))))
    assert (score.answer, score.values["acc"]) == ("B", 1.0)
    assert score.values["p_true"] == pytest.approx(1 / (1 + 2.718281828459045**-6))
    assert normalised([[-9.0], [-3.0]], ["is too small."], None, "none") == [-9.0, -3.0]


def test_an_example_holds_the_right_choice_and_what_follows():
    task = gap(prompt={"shots": 1, "separator": "\n"})
    (first, _) = task.request(task.items[0]).prompts
    assert plain_text(first)[0] == "Ann thanked Bea since Bea had helped.\nThe cup does not fit the box as the cup"


def test_a_model_that_gives_no_likelihoods_is_shown_a_gap():
    written = gap().as_generation()
    (message,) = written.request(written.items[1]).prompt.messages
    assert message.content.startswith("Ann thanked Bea since ____\nA. Ann\nB. Bea")


def test_a_continuation_may_hold_the_choice_and_more():
    rows = [{"id": "a", "q": "@ won the race against the tortoise.", "who": ["The hare", "The snail"], "target": 0}]
    task = proctor.Task(
        task="cloze",
        data=rows,
        item={"choices": "who", "target_as": "index"},
        prompt={"template": "A hare raced a tortoise.", "style": "plain"},
        response={"kind": "choice", "by": "text", "continuation": "{{ q | replace('@', choice) }}"},
    )
    request = task.request(task.items[0])
    assert request.continuations == ("The hare won the race against the tortoise.", "The snail won the race against the tortoise.")
    assert len(request.prompts) == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"response": {"continuation": None}}, "it names 'choice', which is no column"),
        ({"response": {"continuation": "{{ choice }}"}}, "must be the same text for all choices"),
        ({"response": {"normalise": "char"}}, "neither response.normalise nor prompt.prefill"),
        ({"response": {"by": "letter"}, "prompt": {"template": "{{ s }}"}}, "belongs to kind: choice with by: text"),
    ],
)
def test_continuations_that_cannot_be(keys, message):
    def asked():
        task = gap(**keys)
        return task.request(task.items[0])

    with pytest.raises(TaskError, match=message):
        asked()


def test_baselines_and_a_whole_run(tmp_path):
    for model in ("baseline:random", "baseline:majority"):
        (run,) = proctor.run(gap(), model, out=tmp_path)
        assert run.manifest.totals["states"]["scored"] == 2
    assert run.attempts()["score"].to_list() == [1.0, 1.0]  # both targets are the second


@pytest.mark.model
def test_a_real_model_fills_the_gap(tmp_path):
    (run,) = proctor.run(gap(), "smollm2", out=tmp_path)
    assert all(len(row) == 2 and len(row[0]) == 1 for row in run.attempts()["loglikelihoods"].to_list())
