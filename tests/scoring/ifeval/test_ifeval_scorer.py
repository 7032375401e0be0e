import json

import pytest

from proctor import Task
from proctor.errors import DataError, MissingExtra, ProctorError
from proctor.scoring.ifeval.scorer import Ifeval
from proctor.types import Generate, Item, Prompt, Response

TARGET = {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {}]}


def test_strict_and_loose_by_prompt_and_by_instruction(task_values):
    items = [
        Item("1", {}, target=TARGET),
        Item("2", {}, target={"instruction_id_list": ["en:detectable_format:json_format"], "kwargs": ["{}"]}),
        Item("3", {}, target={key: json.dumps(value) for key, value in TARGET.items()}),
    ]
    # Kept strictly: 1 of 2, 0 of 1, none; loosely, without the first line: 2 of 2, 1 of 1, none.
    found = task_values(Ifeval(), ['Sure:\n"a b"', "Here it is:\n[1]", None], items)
    assert found == {"prompt_strict": 0.0, "inst_strict": 1 / 5, "prompt_loose": 2 / 3, "inst_loose": 3 / 5}


def test_the_reason_names_what_is_broken():
    target = {"instruction_id_list": [*TARGET["instruction_id_list"], "detectable_format:title"], "kwargs": [{}, {}, {}]}
    measured = Ifeval().measure('Sure:\n"a, b"', Item("1", {}, target=target), Response())
    assert measured.reason == "broken: punctuation:no_comma (kept loosely), startend:quotation (kept loosely), detectable_format:title"


def test_the_answer_is_taken_with_its_white_space():
    """Loose drops the first line: of an answer that opens with an empty line, that one."""
    task = Task(
        task="t",
        data=[{"id": "1", "q": "?", "target": {"instruction_id_list": ["detectable_format:json_format"], "kwargs": [{}]}}],
        prompt="{{ q }}",
        scoring="ifeval",
    )
    item = task.items[0]
    score = task.scoring.score(item, Generate(Prompt()), Response(text="\nSure:\n[1]"))
    assert score.values["prompt_loose"] == 0
    assert score.answer == "\nSure:\n[1]"
    assert task.scoring.score(item, Generate(Prompt()), Response(text=" ")).state == "unparsed"


def test_by_language_is_an_option():
    item = Item("1", {}, target={"instruction_id_list": ["startend:quotation"], "kwargs": [{}]})
    assert Ifeval().measure("“好的”", item, Response()).values["prompt_strict"] == 0
    assert Ifeval(by_language=True).measure("“好的”", item, Response()).values["prompt_strict"] == 1


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_comma", "must be {instruction_id_list, kwargs}"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "lists of equal length"),
        ({"instruction_id_list": [], "kwargs": []}, "lists of equal length"),
        ({"instruction_id_list": "punctuation", "kwargs": []}, "one as JSON"),
        ({"instruction_id_list": ["punctuation:comma"], "kwargs": [{}]}, "instruction 1: no kind of instruction 'punctuation:comma'"),
        ({"instruction_id_list": [3], "kwargs": [{}]}, "no kind of instruction '3'"),
    ],
)
def test_targets_are_checked_before_anything_is_asked(target, words):
    assert words in Ifeval().check(Item("1", {}, target=target))
    with pytest.raises(DataError):
        Ifeval().measure("x", Item("1", {}, target=target), Response())
    with pytest.raises(ProctorError, match="ifeval"):
        Task(task="t", data=[{"id": "1", "q": "?", "target": target}], prompt="{{ q }}", scoring="ifeval")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("proctor.scoring.ifeval.languages.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"proctor-eval\[ifeval\]"):
        Ifeval()
