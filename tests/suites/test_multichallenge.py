"""MultiChallenge by the shipped task, over rows of our own in the form of its data."""

import json

import pytest

from proctor.errors import DataError
from proctor.tasks.load import load_suite, load_task
from proctor.types import Exchange, Message, Response

ROWS = [
    {
        "QUESTION_ID": "a",
        "AXIS": "INFERENCE_MEMORY",
        "CONVERSATION": [
            {"role": "user", "content": "I cannot eat nuts."},
            {"role": "assistant", "content": "I will remember."},
            {"role": "user", "content": "Name a cake."},
        ],
        "TARGET_QUESTION": "Is the cake free of nuts?",
        "PASS_CRITERIA": "YES",
    },
    {
        "QUESTION_ID": "b",
        "AXIS": "SELF_COHERENCE",
        "CONVERSATION": [{"role": "user", "content": "You said 5. It is 6, is it not?"}],
        "TARGET_QUESTION": "Does the model give in?",
        "PASS_CRITERIA": "NO",
    },
]
ROWS += [{**ROWS[0], "QUESTION_ID": axis, "AXIS": axis} for axis in ("INSTRUCTION_RETENTION", "RELIABLE_VERSION_EDITING")]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    (tmp_path / "map.yaml").write_text("nmayorga7/multichallenge: rows.jsonl\n", encoding="utf-8")
    return tmp_path / "map.yaml"


def judged(task, reply):
    (item,) = task.items
    request, answer = task.request(item), Response(text="A lemon cake.")
    (step,) = task.next_steps(item, 0, request, answer)
    said = Exchange(step.name, step.request, Response(text=reply), step.by)
    return step, task.scoring.score(item, request, Response(text=answer.text, exchanges=(said,)))


def test_the_model_goes_on_where_the_conversation_stands(data):
    task = load_task("multichallenge/INFERENCE_MEMORY", data=data)
    assert task.request(task.items[0]).prompt.messages == tuple(Message(**turn) for turn in ROWS[0]["CONVERSATION"])


def test_the_judge_sees_the_answer_and_the_question_alone(data):
    step, _ = judged(load_task("multichallenge/INFERENCE_MEMORY", data=data), "[[YES]]")
    (message,) = step.request.prompt.messages
    assert "<MODEL_RESPONSE>\nA lemon cake.\n</MODEL_RESPONSE>" in message.content
    assert "<CRITERIA>\nIs the cake free of nuts?\n</CRITERIA>" in message.content
    assert "nuts." not in message.content
    assert step.by == "openai:gpt-4o-2024-08-06"


@pytest.mark.parametrize(
    ("axis", "reply", "score"),
    [
        ("INFERENCE_MEMORY", "It has none. [[YES]]", 1),
        ("INFERENCE_MEMORY", "It has some. [[NO]]", 0),
        ("SELF_COHERENCE", "It does. [[YES]]", 0),
        ("SELF_COHERENCE", "It does not. [[no]]", 1),
    ],
)
def test_the_verdict_that_passes_differs_between_items(data, axis, reply, score):
    _, found = judged(load_task(f"multichallenge/{axis}", data=data), reply)
    assert found.values["judged"] == score


def test_the_whole_is_the_mean_over_four_axes(data):
    suite = load_suite("multichallenge", data=data)
    assert sorted(entry.task.name.rpartition("/")[2] for entry in suite.entries) == sorted({row["AXIS"] for row in ROWS})


def test_what_passes_must_be_a_category(tmp_path, data):
    (tmp_path / "rows.jsonl").write_text(json.dumps({**ROWS[0], "PASS_CRITERIA": "MAYBE"}), encoding="utf-8")
    with pytest.raises(DataError, match="'PASS_CRITERIA' must name one of YES, NO, not 'MAYBE'"):
        load_task("multichallenge/INFERENCE_MEMORY", data=data)
