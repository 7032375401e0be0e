"""Tables of many targets: `item.features`, `item.skip_empty`, the filter `column`."""

import pytest

from proctor import Task, load_suite
from proctor.errors import DataError, TaskError
from proctor.tasks.sources import files

TASK = """
task: tox
each: {endpoint: [liver, heart]}
data: {files: test.csv, shots: train.csv}
item: {features: ["x*", weight], target: "{{ endpoint | column }}", skip_empty: true, group: scaffold}
prompt: "{{ name }}: {{ endpoint }}?"
scoring: probability
"""
HEAD = "id,name,x1,x2,weight,scaffold,liver,heart,unused\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tox.yaml").write_text(TASK)
    (tmp_path / "test.csv").write_text(HEAD + "a,A,1,2,3,s,1,0,u\nb,B,4,5,6,s,,1,u\nc,C,7,8,9,t,0, ,u\n")
    (tmp_path / "train.csv").write_text(HEAD + "p,P,1,1,1,s,0,,u\nq,Q,2,2,2,s,1,1,u\n")
    return tmp_path


def test_each_target_is_a_task_of_the_rows_that_have_it(table):
    liver, heart = load_suite("tox.yaml").tasks
    assert [(item.id, item.target) for item in liver.items] == [("a", "1"), ("c", "0")]
    assert [(item.id, item.target) for item in heart.items] == [("a", "0"), ("b", "1")]
    assert [(item.id, item.target) for item in heart.pool] == [("q", "1")]
    assert liver.features == ("x1", "x2", "weight")
    assert liver.prompter.question(liver.items[0]) == "A: liver?"


def test_an_item_keeps_what_is_named_and_no_more(table):
    liver, _ = load_suite("tox.yaml").tasks
    assert set(liver.items[0].fields) == {"id", "name", "x1", "x2", "weight", "scaffold", "liver", "endpoint"}
    assert liver.items[0].group == "s"


def test_a_file_of_many_tasks_is_read_once(table, monkeypatch):
    read, original = [], files.read_file
    monkeypatch.setattr(files, "read_file", lambda path, *rest: read.append(path.name) or original(path, *rest))
    load_suite("tox.yaml")
    assert sorted(read) == ["test.csv", "train.csv"]
    load_suite("tox.yaml")  # and again, as it may have changed
    assert len(read) == 4


def test_without_features_they_are_what_the_prompt_names():
    task = Task(task="t", data=[{"a": 1, "b": 2, "target": 3}], prompt="{{ a }} of {{ b }}", scoring="regression")
    named = Task(task="t", data=[{"id": "x", "a": 1, "target": 3}], prompt="{{ id }}: {{ a }}", scoring="regression")
    assert named.features == ("a",)
    assert task.features == ("a", "b")
    assert "features" not in task.protocol


def test_features_are_part_of_the_protocol(table):
    liver, _ = load_suite("tox.yaml").tasks
    assert liver.protocol["features"] == ["x1", "x2", "weight"]
    (table / "tox.yaml").write_text(TASK.replace('"x*", weight', '"x*"'))
    assert load_suite("tox.yaml").tasks[0].protocol_hash != liver.protocol_hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight]", "wieght]", "no column is named 'wieght'; did you mean 'weight'?"),
        ("weight]", "liver]", "'liver' holds the target"),
        ("[liver, heart]", "[liver, hart]", "there is no column 'hart'"),
        ("skip_empty: true, ", "", "the target must be 1 or 0"),
    ],
)
def test_mistakes_are_said(table, old, new, message):
    (table / "tox.yaml").write_text(TASK.replace(old, new))
    with pytest.raises((DataError, TaskError)) as said:
        load_suite("tox.yaml")
    assert message in str(said.value)


def test_null_is_empty_to_the_filter():
    task = Task(task="t", data=[{"a": None, "name": "a", "target": "x"}], prompt="[{{ name | column }}]", scoring="f1")
    assert task.prompter.question(task.items[0]) == "[]"
