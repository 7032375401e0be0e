import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.types import Generate, Item, Likelihood, Prompt


def ask(item, task="t", epoch=0, request=None):
    return Ask(0, task, Item(item, {}), epoch, request or Generate(Prompt()))


def texts(model, *asks):
    return [r.text if r.finish != "error" else r.error for _, r in model.answer(asks)]


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(dict.fromkeys(k for row in rows for k in row)), restval="")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_model(f"predictions:{path}")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_the_more_particular_row_wins(tmp_path, suffix):
    rows = [
        {"task": "t", "item": "1", "epoch": 1, "answer": "t 1 1"},
        {"task": "t", "item": "1", "answer": "t 1"},
        {"item": "1", "answer": "1"},
        {"item": 2, "epoch": 0, "answer": "2 0"},
    ]
    model = write(tmp_path / f"p{suffix}", rows)
    assert model.kinds == {"generate"}
    found = texts(model, ask("1", epoch=1), ask("1"), ask("1", "u", 1), ask("2"), ask("2", epoch=1), ask("3", "u"))
    assert found == [
        "t 1 1",
        "t 1",
        "1",
        "2 0",
        "no prediction for item 2 of task t, epoch 1",
        "no prediction for item 3 of task u, epoch 0",
    ]


@pytest.mark.parametrize("answer", ["answer", "response", "prediction", "text"])
@pytest.mark.parametrize("item", ["item", "id"])
def test_names_of_the_columns(tmp_path, item, answer):
    assert texts(write(tmp_path / "p.jsonl", [{item: "a", answer: "42"}]), ask("a")) == ["42"]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        min_size=1,
    ),
    suffix=st.sampled_from([".jsonl", ".json", ".csv"]),
)
def test_any_text_comes_back_as_it_was(tmp_path_factory, rows, suffix):
    model = write(tmp_path_factory.mktemp("p") / f"p{suffix}", [{"item": k, "answer": v} for k, v in rows.items()])
    assert texts(model, *map(ask, rows)) == list(rows.values())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", '{"item": "1", "answer": "a"}\n\n{"item": "1", "answer": "b"}\n', "p.jsonl, line 3: a second prediction for item 1$"),
        (
            "p.jsonl",
            '{"task": "t", "item": "1", "epoch": 0, "answer": "a"}\n' * 2,
            "line 2: a second prediction for task t, item 1, epoch 0$",
        ),
        ("p.jsonl", '{"item": "1", "anser": "a"}', r"line 1: unknown column 'anser'; did you mean 'answer'\?; known: task, item"),
        ("p.jsonl", '{"item": "1"}', "exactly one of the columns answer, response, prediction, text, file; found none"),
        ("p.jsonl", '{"item": "1", "answer": "a", "text": "b"}', "found answer and text"),
        ("p.jsonl", '{"item": "1", "id": "2", "answer": "a"}', "columns item, id; found item and id"),
        ("p.jsonl", '{"item": "1", "answer": null}', "answer must be a text"),
        ("p.jsonl", '{"item": true, "answer": "a"}', "item must be the id of an item"),
        ("p.jsonl", '{"item": "1", "epoch": "x", "answer": "a"}', "epoch must be a number from 0, not 'x'"),
        ("p.jsonl", '{"item": "1", "answer": "a"', "p.jsonl, line 1: not JSON"),
        ("p.jsonl", "[1]", "line 1: expected an object"),
        ("p.json", '{"1": "a"}', "expected a list of objects"),
        ("p.csv", "item,answer\n1\n", "line 2: expected 2 fields as in the header"),
        ("p.csv", "item,answer\n1,2,3\n", "line 2: expected 2 fields"),
        ("p.txt", "hello", "read from .jsonl, .json or .csv, not '.txt'"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_message(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        open_model(f"predictions:{tmp_path / name}")


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"item,answer\n1,\xff\n")
    with pytest.raises(ModelError, match="not UTF-8"):
        open_model(f"predictions:{tmp_path / 'p.csv'}")


def test_the_fingerprint_is_the_content(tmp_path):
    a, b, c = (write(tmp_path / f"{n}.jsonl", [{"item": "1", "answer": t}]) for n, t in (("a", "x"), ("b", "x"), ("c", "y")))
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_likelihoods_are_an_error(tmp_path):
    model = write(tmp_path / "p.jsonl", [{"item": "1", "answer": "x"}])
    [(_, response)] = model.answer([ask("1", request=Likelihood((Prompt(),), ("a",)))])
    assert response.finish == "error"


def test_lists_and_mappings_are_answers_as_json(tmp_path):
    model = write(tmp_path / "p.jsonl", [{"item": "1", "answer": []}, {"item": "2", "answer": [{"label": "é", "box": [1, 2.5]}]}])
    assert texts(model, ask("1"), ask("2")) == ["[]", '[{"label":"é","box":[1,2.5]}]']


def test_a_file_is_the_answer(tmp_path):
    (tmp_path / "one.txt").write_text("forty-two", encoding="utf-8")
    assert texts(write(tmp_path / "p.jsonl", [{"item": "1", "file": "one.txt"}]), ask("1")) == ["forty-two"]
    with pytest.raises(ModelError, match="line 1: file must be a text"):
        write(tmp_path / "p.jsonl", [{"item": "1", "file": ["one.txt"]}])


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_a_wide_table_has_a_column_for_each_task(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    with pytest.raises(ModelError, match="unknown column 'liver'"):
        write(path, [{"id": "1", "liver": 0.5, "tox/heart": "no"}, {"id": "2", "liver": "", "tox/heart": "yes"}])
    model = open_model(f"predictions:{path}?wide=true")
    asked = [ask(item, task) for item in ("1", "2") for task in ("tox/liver", "tox/heart", "liver")]
    none = ["no prediction for item 2 of task tox/liver, epoch 0", "no prediction for item 2 of task liver, epoch 0"]
    assert texts(model, *asked) == ["0.5", "no", "0.5", none[0], "yes", none[1]]
    assert open_model(f"predictions:{path}?wide=true").fingerprint == model.fingerprint
    with pytest.raises(ModelError, match="wide=perhaps"):
        open_model(f"predictions:{path}?wide=perhaps")


def test_a_wide_table_needs_items(tmp_path):
    (tmp_path / "p.csv").write_text("liver\n1\n")
    with pytest.raises(ModelError, match="columns item, id; found none"):
        open_model(f"predictions:{tmp_path / 'p.csv'}?wide=true")
