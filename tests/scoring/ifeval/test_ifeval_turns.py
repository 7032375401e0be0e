import csv
import json

import numpy as np
import pytest

from proctor import Task
from proctor.analysis.robustness import forgetting
from proctor.errors import DataError
from proctor.scoring.ifeval.turns import IfevalTurns
from proctor.tasks.load import load_task
from proctor.types import Exchange, Generate, Item, Message, Prompt, Response

ASK = Generate(Prompt())
COMMA, TITLE, JSON = "punctuation:no_comma", "detectable_format:title", "detectable_format:json_format"


def target(*turns):
    return [{"instruction_id_list": kinds, "kwargs": [{} for _ in kinds]} for kinds in turns]


def conversation(first, *later, finish="stop"):
    exchanges = [Exchange(f"turn {number}", ASK, Response(text=text, finish=finish)) for number, text in enumerate(later, 2)]
    return Response(text=first, exchanges=tuple(exchanges))


def test_each_turn_is_scored_and_what_is_forgotten(task_values):
    items = [
        Item("1", {}, target=target([COMMA], [COMMA, TITLE], [COMMA, TITLE, JSON])),
        Item("2", {}, target=target([COMMA], [COMMA, TITLE])),
    ]
    responses = [conversation("a b", "<<a>> b", "[1, 2]"), conversation("a, b", "<<a>>")]
    found = task_values(IfevalTurns(), ["[1, 2]", "<<a>>"], items, responses)
    # Turn 1: item 1 keeps 1 of 1, item 2 breaks it (loosely too, on one line). Turn 2: both keep 2 of 2. Turn 3: item 1 keeps 1 of 3.
    assert found["turn_1"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 2 + 1 / 2) / 4)
    assert found["turn_2"] == 1.0
    assert found["turn_3"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 3) / 4)
    assert found["accuracy"] == pytest.approx(np.mean([np.mean([1, 1, 1 / 6]), np.mean([0, 1])]))
    followed = [[1, 1, 0], [np.nan, 1, 0], [np.nan, np.nan, 1], [0, 1, np.nan], [np.nan, 1, np.nan]]
    assert found["forgotten"] == pytest.approx(forgetting(followed).overall.value)
    assert found["forgotten"] == pytest.approx(2 / 3)  # the title and the comma, of three kept and asked again


def test_turns_are_named_where_they_break():
    item = Item("1", {}, target=target([COMMA], [COMMA, TITLE]))
    assert IfevalTurns().measure("", item, conversation("a, b", "c")).reason == f"broken: turn 1: {COMMA}, turn 2: {TITLE}"


def make_task():
    rows = [{"id": "1", "q": "?", "next": ["more"], "target": target([COMMA], [COMMA, TITLE])}]
    return Task(task="t", data=rows, prompt={"template": "{{ q }}", "turns": "next"}, scoring="ifeval_turns")


@pytest.mark.parametrize(
    ("last", "finish", "state"), [("", "stop", "unparsed"), ("<think>so", "stop", "unparsed"), ("", "refused", "refused")]
)
def test_earlier_turns_count_where_the_last_has_no_answer(last, finish, state):
    task = make_task()
    score = task.scoring.score(task.items[0], ASK, conversation("fine", last, finish=finish))
    assert score.state == state
    assert (score.values["turn_1"], score.values["turn_2"]) == (1, 0)


def test_thinking_is_no_part_of_any_turn():
    task = make_task()
    said = conversation("<think>one, two</think>fine", "<think>hm, hm</think><<fine>>")
    assert task.scoring.score(task.items[0], ASK, said).values["accuracy"] == 1


def test_an_attempt_that_failed_keeps_nothing():
    task = make_task()
    score = task.scoring.score(task.items[0], ASK, Response(finish="error", error="no route"))
    assert score.values["accuracy"] == 0
    assert score.values["turn_2_instructions"] == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "must be a list of 1 to 3 turns"),
        (target([COMMA], [COMMA], [COMMA], [COMMA]), "must be a list of 1 to 3 turns"),
        ({"turns": 2}, "must be a list of 1 to 3 turns"),
        (target([COMMA], [TITLE]), "turn 2: its instructions must begin with those of the turn before"),
        (target([COMMA], [COMMA, "no_such"]), "turn 2: instruction 2: no kind"),
    ],
)
def test_targets_are_checked(given, words):
    item = Item("1", {}, target=given)
    assert words in IfevalTurns().check(item)
    with pytest.raises(DataError):
        IfevalTurns().measure("", item, Response())


# Rows in the form of Multi-IF's file, written for this test: messages, lists and arguments are JSON in CSV cells, arguments JSON in JSON.
ROWS = [
    (
        "1:1:en",
        "English",
        [("Describe the sea without commas.", [COMMA], [{}]), ("Now with a title in <<>>.", [COMMA, TITLE], [{}, {}])],
    ),
    (
        "2:1:zh",
        "Chinese",
        [
            ("用至少十个字介绍大海。", ["length_constraints:number_words"], [{"num_words": 10, "relation": "at least"}]),
            (
                "再加上双引号。",
                ["length_constraints:number_words", "startend:quotation"],
                [{"num_words": 10, "relation": "at least"}, {}],
            ),
            (
                "结尾写“再见”。",
                ["length_constraints:number_words", "startend:quotation", "startend:end_checker"],
                [{"num_words": 10, "relation": "at least"}, {}, {"end_phrase": "再见”"}],
            ),
        ],
    ),
]


@pytest.fixture
def multi_if(tmp_path):
    """The shipped tasks of two languages over a file in the form of the data."""
    columns = ["turns", "responses", "turn_index", "key", "language"]
    columns += [f"turn_{turn}_{name}" for turn in (1, 2, 3) for name in ("prompt", "instruction_id_list", "kwargs")]
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for key, language, turns in ROWS:
            row = {"key": key, "language": language}
            for number, (prompt, kinds, arguments) in enumerate(turns, 1):
                row[f"turn_{number}_prompt"] = json.dumps({"role": "user", "content": prompt})
                row[f"turn_{number}_instruction_id_list"] = json.dumps(kinds)
                row[f"turn_{number}_kwargs"] = json.dumps([json.dumps(one) for one in arguments])
            writer.writerow(row)
    (tmp_path / "map.yaml").write_text("facebook/Multi-IF: rows.csv\n", encoding="utf-8")
    return [load_task(f"multi_if/{language}", data=tmp_path / "map.yaml") for language in ("English", "Chinese")]


def test_multi_if_puts_the_turns_there_are(multi_if):
    for task, texts in zip(multi_if, (["the sea", "<<the sea>>"], ["大海", "“大海”", "“大海再见”"]), strict=True):
        (item,) = task.items
        request = task.request(item)
        response, asked = Response(text=texts[0]), [request]
        while steps := task.next_steps(item, 0, request, response):
            (step,) = steps
            asked.append(step.request)
            said = Exchange(step.name, step.request, Response(text=texts[len(asked) - 1]))
            response = Response(text=texts[0], exchanges=(*response.exchanges, said))
        assert len(asked) == len(texts)
        turns = next(turns for key, _, turns in ROWS if key == item.id)
        shown = [Message("user", turns[0][0])]
        for text, (prompt, *_) in zip(texts, turns[1:], strict=False):
            shown += [Message("assistant", text), Message("user", prompt)]
        assert list(asked[-1].prompt.messages) == shown
        assert (request.temperature, request.top_p, request.max_tokens) == (0.6, 0.9, 1024)
    assert [task.spec.languages for task in multi_if] == [["en"], ["zh"]]


def test_multi_if_scores_right_as_right_and_wrong_as_wrong(multi_if):
    long = "大海很大，也很蓝，我喜欢去看它"
    good = conversation("the sea", "<<the sea>>"), conversation(long, f"“{long}”", f"“{long}，再见”")
    bad = conversation("a, b", "c, d"), conversation("大海", "大海", "大海")
    for task, right, wrong in zip(multi_if, good, bad, strict=True):
        assert task.scoring.score(task.items[0], ASK, right).values["accuracy"] == 1
        assert task.scoring.score(task.items[0], ASK, wrong).values["accuracy"] == 0
    assert "turn_3" not in multi_if[0].scoring.score(multi_if[0].items[0], ASK, good[0]).values
