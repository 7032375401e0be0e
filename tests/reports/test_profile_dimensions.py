"""A profile by the dimensions that tasks declare: from the rows of a task file to the tables."""

import csv
import io
import json

import pytest

import proctor
from proctor.errors import TaskError


def rows(count=24):
    made = []
    for number in range(count):
        kind = "photo" if number % 2 else "chart"
        made.append(
            {
                "id": f"i{number}",
                "q": str(number),
                "target": "x",
                "kind": kind,
                "skills": ["reading"] if number % 3 else ["reading", "counting"],
            }
        )
    return made


def task(name="one", **keys):
    item = {"dimensions": ["kind", "skills"]} | keys.pop("item", {})
    return proctor.Task(task=name, data=rows(), item=item, prompt="{{ q }}", scoring="exact_match", **keys)


def reads_charts(prompt):
    number = int(prompt)
    return "x" if number % 2 == 0 and number % 5 else "y"


@pytest.fixture
def runs(tmp_path):
    return proctor.run([task(), task("two", item={"metadata": ["q"], "dimensions": ["kind"]})], reads_charts, out=tmp_path)


def test_dimensions_are_metadata_and_no_part_of_the_protocol():
    plain = proctor.Task(task="one", data=rows(), prompt="{{ q }}", scoring="exact_match")
    assert task().protocol_hash == plain.protocol_hash
    assert task().items[0].metadata == {"kind": "chart", "skills": ["reading", "counting"]}
    with pytest.raises(TaskError, match=r"item\.dimensions"):
        task(item={"dimensions": ["kind", "kind"]})


def test_the_values_of_each_dimension_over_all_tasks_that_have_it(runs):
    (part,) = json.loads(proctor.profile(runs, "reads_charts", "json"))
    kind, skills = part["dimensions"]
    assert (kind["name"], kind["tasks"], kind["items"]) == ("kind", ["one", "two"], 48)
    chart, photo = kind["values"]
    right = sum(number % 5 > 0 for number in range(0, 24, 2))
    assert (chart["name"], chart["n"], chart["verdict"]) == ("chart", 24, "strength")
    assert chart["value"] == pytest.approx(right / 12)
    assert 0 < chart["low"] < chart["value"] < chart["high"] < 1
    assert (photo["name"], photo["value"], photo["verdict"]) == ("photo", 0.0, "weakness")
    assert chart["difference"] == pytest.approx(right / 12) == pytest.approx(-photo["difference"])
    assert (skills["tasks"], skills["items"]) == (["one"], 24)
    assert {one["name"]: one["n"] for one in skills["values"]} == {"reading": 24, "counting": 8}


def test_every_format_says_it(runs):
    text = proctor.profile(runs, "reads_charts", "table")
    assert "by kind" in text
    assert "chart ▲" in text
    assert "against the rest" in text
    lines = list(csv.DictReader(io.StringIO(proctor.profile(runs, "reads_charts", "csv"))))
    assert {line["name"] for line in lines if line["kind"] == "dimension kind"} == {"chart", "photo"}
    assert "photo" in proctor.profile(runs, "reads_charts", "md")
