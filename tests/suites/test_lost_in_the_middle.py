"""Lost in the Middle: the prompts of the authors' own tests, real items at every position, gold answers right and wrong ones wrong."""

import json
import os
import re
import string
from pathlib import Path

import pytest

from proctor.tasks.load import load_suite
from proctor.types import Response

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2].parent / "shared")) / "data" / "lost_in_the_middle"
REAL = pytest.mark.skipif(not SHARED.exists(), reason="the data of Lost in the Middle is not here")


def suite(name, tmp_path, config, file):
    data_map = tmp_path / f"{config}.yaml"  # maps are read once
    data_map.write_text(f"nelson-liu/lost-in-the-middle: {{{config}: {{test: {file}}}}}\n")
    return load_suite(name, data=str(data_map))


def shown(task, item):
    [message] = task.request(item).prompt.messages
    return message.content


def test_the_prompts_are_the_authors(tmp_path):
    """After `tests/test_prompting.py` of the authors."""
    pairs = [[f"key{i}", f"value{i}"] for i in range(75)]
    (tmp_path / "kv.jsonl").write_text(json.dumps({"ordered_kv_records": pairs, "key": "key7", "value": "value7"}))
    task = suite("lost_in_the_middle_kv", tmp_path, "kv-75", "kv.jsonl").tasks[1]
    moved = [pair for pair in pairs if pair[0] != "key7"]
    moved.insert(24, ["key7", "value7"])
    lines = ",\n ".join(f'"{key}": "{value}"' for key, value in moved)
    assert shown(task, task.items[0]) == (
        "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n{" + lines + "}\n\n"
        'Key: "key7"\nCorresponding value:'
    )
    documents = [{"title": "first doc", "text": "first doc text", "isgold": True}, {"title": "second doc", "text": "more", "isgold": False}]
    (tmp_path / "qa.jsonl").write_text(json.dumps({"question": "test question", "answers": ["x"], "ctxs": documents}))
    task = suite("lost_in_the_middle_qa", tmp_path, "qa-20", "qa.jsonl").tasks[0]
    assert shown(task, task.items[0]) == (
        "Write a high-quality answer for the given question using only the provided search results (some of which might be irrelevant).\n\n"
        "Document [1](Title: first doc) first doc text\nDocument [2](Title: second doc) more\n\nQuestion: test question\nAnswer:"
    )


@REAL
def test_the_key_stands_where_it_should_and_its_value_is_right(tmp_path):
    found = suite("lost_in_the_middle_kv", tmp_path, "kv-75", SHARED / "kv-retrieval-75_keys_first60.jsonl")
    assert [task.name for task in found.tasks] == [f"lost_in_the_middle_kv/{n}" for n in (0, 24, 49, 74)]
    for task, position in zip(found.tasks, (0, 24, 49, 74), strict=True):
        assert len(task.items) == 60
        for item in task.items[:5]:
            records = json.loads(shown(task, item).split("JSON data:\n")[1].split("\n\nKey:")[0])
            assert len(records) == 75
            assert list(records)[position] == item.id
            assert records[item.id] == item.target
            other = next(value for key, value in records.items() if key != item.id)
            request = task.request(item)
            assert task.scoring.score(item, request, Response(text=f' "{item.target.upper()}".')).values == {"contains": 1.0}
            assert task.scoring.score(item, request, Response(text=other)).values == {"contains": 0.0}


def normal(text):
    """`normalize_answer` of the authors, written anew."""
    text = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


@REAL
def test_questions_over_real_passages(tmp_path):
    """The published file of one gold passage each; what does not hold the answer is other questions' passages, not the authors'."""
    rows = [json.loads(line) for line in (SHARED / "nq-open-oracle_first300.jsonl").read_text().splitlines()]
    made = []
    for index, row in enumerate(rows[:40]):
        others = [{**rows[(index + step) % 300]["ctxs"][0], "isgold": False} for step in range(1, 20)]
        made.append({**row, "ctxs": [others[0], *row["ctxs"], *others[1:]]})
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    found = suite("lost_in_the_middle_qa", tmp_path, "qa-20", "qa.jsonl")
    for task, position in zip(found.tasks, (0, 4, 9, 14, 19), strict=True):
        for item, row in zip(task.items, made, strict=True):
            lines = shown(task, item).split("\n\n")[1:-1]
            documents = re.findall(r"^Document \[(\d+)\]\(Title: (.*?)\) ", "\n\n".join(lines), re.MULTILINE)
            assert [int(number) for number, _ in documents] == list(range(1, 21))
            assert documents[position][1] == next(one["title"] for one in row["ctxs"] if one["isgold"]).split("\n")[0]
            request = task.request(item)
            for said in (f"The {item.target[0].upper()}!\nSomething else", "none of these", row["ctxs"][0]["text"][:80]):
                first = said.split("\n")[0]
                expected = float(any(normal(target) in normal(first) for target in item.target))
                assert task.scoring.score(item, request, Response(text=said)).values == {"quasi_contains": expected}
            assert task.scoring.score(item, request, Response(text=f"\n{item.target[0]}")).state in ("scored", "unparsed")
