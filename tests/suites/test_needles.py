"""Needles in a haystack: each text holds its facts once, is as long as it says, and has them where it says."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import DataError
from proctor.suites.generators.needles import WORDINGS, needle_grid
from proctor.tasks.load import load_task
from proctor.tasks.task import Task

FACT = re.compile(r"The code of ([a-z ]+) is (\d{4})\.")


def text_of(row):
    return row["prompt"].split("\n\n")[0]


def test_one_row_for_each_cell():
    rows = list(needle_grid([50, 100], [0, 50, 100], list(WORDINGS)))
    assert len(rows) == len({row["id"] for row in rows}) == 18
    assert len({row["text"] for row in rows}) == 6  # the wordings share a text
    for row in rows:
        [(thing, code)] = FACT.findall(row["prompt"])
        assert row["answers"] == [code]
        assert row["question"] == f"What is the code of {thing}?"
    assert rows == list(needle_grid([50, 100], [0, 50, 100], list(WORDINGS)))
    assert rows != list(needle_grid([50, 100], [0, 50, 100], list(WORDINGS), seed=2))


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 900), st.integers(0, 100), st.integers(1, 9), st.integers(0, 5))
def test_lengths_depths_and_facts(length, depth, needles, seed):
    [row] = needle_grid([length], [depth], needles=needles, seed=seed)
    text = text_of(row)
    facts = FACT.findall(text)
    assert sorted(code for _, code in facts) == sorted(row["answers"])
    assert len(set(row["answers"])) == needles
    filler = FACT.sub("\0", text)
    assert abs(len(filler.replace("\0", " ").split()) - length) <= 1
    assert not re.search(r"\d", filler)
    before = filler.split("\0")[0]
    sentence = 15  # words of the longest generated sentence
    assert abs(len(before.split()) - depth / 100 * length) <= sentence
    at = [len(part.split()) for part in filler.split("\0")]
    step = (1 - depth / 100) * length / needles
    assert all(abs(words - step) <= 2 * sentence for words in at[1:-1])


def test_characters_and_files_of_ones_own(tmp_path):
    (tmp_path / "b.txt").write_text("Second file. It ends here.\n")
    (tmp_path / "a.txt").write_text("First file! It has two sentences.\n\nAnd a third?")
    [row] = needle_grid([60], [0], haystack="*.txt", base=str(tmp_path), unit="characters")
    filler = FACT.sub("", text_of(row)).strip()
    assert filler == "First file! It has two sentences. And a third? Second file."
    [longer] = needle_grid([400], [100], haystack=["a.txt"], base=str(tmp_path), unit="characters")
    assert text_of(longer).count("First file!") > 5  # from the beginning again


def test_tokens_of_a_tokenizer(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0, "[UNK]": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    [row] = needle_grid([100], [50], unit="tokens", tokenizer="tokenizer.json", base=str(tmp_path))
    filler = FACT.sub("", text_of(row))
    assert abs(len(made.encode(filler).ids) - 100) <= 1


def test_a_wording_of_ones_own_and_the_task_file(tmp_path):
    (tmp_path / "hay.txt").write_text("Grass grows. " * 40)
    task = Task(
        task="mine",
        base=tmp_path,
        data={
            "python": "proctor.suites.generators.needles:needle_grid",
            "args": {"lengths": [30], "depths": [50], "needles": 3, "haystack": "hay.txt", "wordings": {"terse": "{text} {question}"}},
        },
        item={"target": "answers", "dimensions": ["length", "depth"]},
        prompt="{{ prompt }}",
        scoring=[{"contains": {"need": "all"}}],
    )
    [item] = task.items
    shown = task.request(item).prompt.messages[0].content
    assert shown.startswith("Grass grows.")
    assert shown.endswith("?")
    scored = task.scoring._parts[0].scorer.measure(f"They are {item.target[0]} and {item.target[2]}.", item, None)
    assert scored.values == {"contains": pytest.approx(2 / 3)}


def test_the_built_in_grid():
    task = load_task("needle_grid")
    assert len(task.items) == 75
    assert task.spec.item.dimensions == ["length", "depth", "wording"]
    assert len({item.group for item in task.items}) == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": []}, "lengths: expected whole numbers"),
        ({"lengths": [0]}, "lengths: expected whole numbers"),
        ({"depths": [120]}, "depths: expected percentages"),
        ({"needles": 10}, "needles: expected 1 to 9"),
        ({"wordings": ["afterwards"]}, "wordings: 'afterwards'.*come with Proctor: after, before, quoted"),
        ({"wordings": {"x": "{text}"}}, "expected a text with {text} and {question}"),
        ({"unit": "pages"}, "unit: expected words, characters or tokens"),
        ({"unit": "tokens"}, "tokenizer: expected a file"),
        ({"haystack": "no/*.txt"}, "haystack: no file matches 'no/\\*.txt'"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(DataError, match=message):
        list(needle_grid(**{"lengths": [20], "depths": [0], **arguments}))
