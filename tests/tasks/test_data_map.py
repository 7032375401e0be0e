"""Data sets of the hub read from this machine: `--data MAP.yaml`."""

from __future__ import annotations

import json

import pytest

import proctor
from proctor import load_suite, load_task
from proctor.errors import DataError, UsageError

TASK = """
task: exam
each: {subject: [sums, cells]}
data: {hub: org/exam, config: "{{ subject }}", split: test, shots: dev, revision: abc}
item: {choices: choices, target: answer, target_as: index}
prompt: {template: "{{ question }}", shots: 1, choose: first}
response: choice
"""
MAP = """
org/exam:
  files: csv/{split}/{name}.csv
  columns: [q, A, B, key]
  delimiter: ";"
  rows: {question: "{{ name }}/{{ split }}: {{ q }}", choices: [A, "{{ B }}!"], answer: "{{ 'AB'.index(key) }}", q: q}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.yaml").write_text(TASK)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "map.yaml").write_text(MAP)
    for split in ("test", "dev"):
        for subject in ("sums", "cells"):
            folder = tmp_path / "maps" / "csv" / split
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{subject}.csv").write_text(f"{subject} {split}?;yes;no;B\n")
    return tmp_path


def test_files_that_look_otherwise_than_on_the_hub(here):
    task = load_task("exam.yaml/sums", data="maps/map.yaml")
    [item] = task.items
    assert item.fields == {
        "question": "sums/test: sums test?",
        "choices": ["yes", "no!"],
        "answer": 1,
        "q": "sums test?",
        "subject": "sums",
    }
    assert item.target == 1
    assert [turn.content for turn in task.request(item).prompts[0].messages] == ["sums/dev: sums dev?", "B", "sums/test: sums test?"]
    assert task.origin == "org/exam sums/test, from sums.csv"


def test_from_python_and_from_a_suite_file(here):
    [run] = proctor.run("exam.yaml/sums", lambda prompt: "B", data="maps/map.yaml", out="store")
    assert run.manifest.tasks[0].main.value == 1
    (here / "all.yaml").write_text("suite: all\ntasks: ['exam.yaml/sums?data=maps/map.yaml', 'exam.yaml/cells?data=maps/map.yaml']\n")
    assert [task.name for task in load_suite("all.yaml").tasks] == ["exam/sums", "exam/cells"]


@pytest.mark.parametrize("text", ["org/exam: '{name}/{split}.jsonl'", "org/exam: {sums: {test: [sums/test.jsonl], dev: sums/dev.jsonl}}"])
def test_patterns_and_files_by_configuration_and_split(here, text):
    (here / "sums").mkdir()
    for split in ("test", "dev"):
        row = {"question": split, "choices": ["a", "b"], "answer": 0}
        (here / "sums" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    (here / "map.yaml").write_text(text)
    task = load_task("exam.yaml/sums", data=here / "map.yaml")
    assert (task.items[0].fields["question"], task.pool[0].fields["question"]) == ("test", "dev")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("org/exam: 3", UsageError, "'org/exam': expected a pattern"),
        ("org/exam: {files: x.csv, colums: [a]}", UsageError, r"unknown key 'colums'; did you mean 'columns'\?"),
        ("org/exam: {files: 3}", UsageError, "files: expected a pattern"),
        ("org/exam: {files: x.csv, columns: a}", UsageError, "columns: expected a list of names"),
        ("org/exam: {files: x.csv, rows: {a: 3}}", UsageError, "rows: expected column: column, template or list"),
        ("- a", UsageError, "expected a mapping from data sets to files"),
        ("a: [", UsageError, "not YAML"),
        ("org/exam: {dev: x.csv}", DataError, "no split 'test'; splits: dev"),
        ("org/exam: {somes: {test: x.csv}}", DataError, "no configuration 'sums'"),
        ("org/exam: '{nam}.csv'", DataError, r"a pattern may name \{name\} and \{split\}"),
        ("org/exam: gone.csv", DataError, "no such file: 'gone.csv'"),
        (MAP.replace("choices: [A,", "choices: [a,").replace("csv/", "maps/csv/"), DataError, "the files have no column 'a'"),
        (
            MAP.replace("index(key)", "index(ky)").replace("csv/", "maps/csv/"),
            DataError,
            "the files have no column 'ky'; did you mean 'key'",
        ),
    ],
)
def test_what_is_wrong_with_a_map_is_one_message(here, text, error, message):
    path = here / f"map{abs(hash(text))}.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_task("exam.yaml/sums", data=path)
