"""Task files with `each`: one file, many tasks; their groups; `data.where`."""

from __future__ import annotations

import pytest

import proctor
from proctor import Task, load_suite, load_task
from proctor.errors import DataError, TaskError, UsageError
from proctor.results.group_results import group_results
from proctor.results.manifest import MetricResult, TaskResult
from proctor.tasks.grouping import BY_WEIGHT
from proctor.tasks.load import task_specs
from proctor.tasks.suite import Group

EXAM = """
task: exam
title: "Exam: {{ subject }}"
languages: "{{ codes }}"
domain: "{{ area }}"
human: "{{ human }}"
groups: area
each:
  - {area: stem, subject: [sums, "the cells"], codes: [[en, es]], human: 0.9}
  - {area: arts, subject: music, codes: [en], human: 0.5}
data:
  files: rows.csv
  where: {subject: "{{ subject }}"}
  shots: more.csv
item: {choices: ["{{ a }}", "{{ b }}", "no {{ area }}"], target: right, metadata: [area]}
prompt: {template: "{{ subject }} ({{ area }}): {{ q }}", shots: 1}
response: choice
"""
ROWS = "q,a,b,right,subject\n1+1?,2,3,A,sums\n1+2?,2,3,B,sums\nCell?,x,y,A,the cells\nA?,x,y,B,music\nB?,x,y,B,music\nC?,x,y,B,music\n"


@pytest.fixture
def exam(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.yaml").write_text(EXAM)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "more.csv").write_text("q,a,b,right,subject\n0?,0,1,A,sums\nD?,x,y,A,music\nE?,x,y,A,the cells\n")
    return tmp_path / "exam.yaml"


def written(path, old, new):
    path.write_text(EXAM.replace(old, new))
    return path


def test_every_combination_is_a_task_with_its_rows_and_its_examples(exam):
    suite = load_suite("exam.yaml")
    assert (suite.name, suite.title, suite.source) == ("exam", "Exam", "exam.yaml")
    assert [task.name for task in suite.tasks] == ["exam/sums", "exam/the_cells", "exam/music"]
    assert [len(task.items) for task in suite.tasks] == [2, 1, 3]
    sums, cells, music = suite.tasks
    assert (sums.spec.title, sums.spec.domain, sums.spec.languages, sums.spec.human) == ("Exam: sums", "stem", ["en", "es"], 0.9)
    assert (music.spec.languages, music.source) == (["en"], "exam.yaml/music")
    prompt = sums.request(sums.items[0]).prompts[0]
    assert [turn.content for turn in prompt.messages] == ["sums (stem): 0?", "A", "sums (stem): 1+1?"]
    assert cells.items[0].choices == ("x", "y", "no stem")
    assert cells.items[0].metadata == {"area": "stem"}
    assert "where subject is the cells" in cells.origin


def test_a_part_is_loaded_by_its_name(exam):
    task = load_task("exam.yaml/music")
    assert (task.name, task.protocol_hash) == ("exam/music", load_suite(exam).tasks[2].protocol_hash)
    assert [one.name for one in load_suite("exam.yaml/stem").tasks] == ["exam/sums", "exam/the_cells"]
    one = load_suite("exam.yaml/music")
    assert (one.name, one.source, one.groups) == ("exam/music", "exam.yaml/music", ())
    assert [spec.task for _, spec in task_specs(["exam.yaml/stem"])] == ["exam/sums", "exam/the_cells"]
    with pytest.raises(UsageError, match=r"exam.yaml has no task 'musik'; did you mean 'music'\?"):
        load_task("exam.yaml/musik")
    with pytest.raises(UsageError, match=r"holds 3 tasks; name one, such as exam.yaml/sums"):
        load_task("exam.yaml")


def test_a_file_counts_as_one_task_of_a_suite(exam, tmp_path):
    (tmp_path / "one.yaml").write_text("task: one\ndata: [{q: a, target: b}]\nprompt: '{{ q }}'\nscoring: f1\n")
    (tmp_path / "all.yaml").write_text(
        "suite: all\ntasks: [{task: exam.yaml, weight: 3}, one]\ngroups: {both: [exam/stem, one], every: [both, exam.yaml]}\n"
    )
    suite = load_suite("all.yaml")
    assert [entry.weight for entry in suite.entries] == [1, 1, 1, 1]
    groups = {group.name: group.tasks for group in suite.groups}
    assert groups["exam/stem"] == ("exam/sums", "exam/the_cells")
    assert groups["both"] == ("exam/sums", "exam/the_cells", "one")
    assert groups["every"] == ("exam/sums", "exam/the_cells", "one", "exam/music")
    written(exam, "groups: area", "groups: area\naggregate: items")
    assert [entry.weight for entry in load_suite(exam).entries] == [2 / 6, 1 / 6, 3 / 6]
    (tmp_path / "all.yaml").write_text("suite: all\ntasks: [{task: exam.yaml, weight: 3, aggregate: tasks}, one]\n")
    assert [entry.weight for entry in load_suite("all.yaml").entries] == [1, 1, 1, 1]
    (tmp_path / "all.yaml").write_text("suite: all\ntasks: [exam.yaml, one]\ngroups: {both: [exam/stem, two]}\n")
    with pytest.raises(TaskError, match=r"groups.both: 'two' is not in the suite"):
        load_suite("all.yaml")


def test_a_run_has_the_numbers_of_the_groups(exam, tmp_path):
    [run] = proctor.run("exam.yaml", lambda prompt: "A", out=tmp_path / "store")
    found = {result.task: result for result in run.manifest.tasks}
    assert [found[name].main.value for name in ("exam/sums", "exam/the_cells", "exam/music")] == [0.5, 1, 0]
    assert (found["exam/stem"].main.value, found["exam/arts"].main.value, found["exam"].main.value) == (0.75, 0, 0.5)
    assert found["exam"].chance == pytest.approx(1 / 3)
    assert (found["exam"].weight, found["exam"].source, found["exam"].items) == (0, "group", 6)
    written(exam, "groups: area", "groups: area\naggregate: items")
    [run] = proctor.run("exam.yaml", lambda prompt: "A", out=tmp_path / "store2")
    assert {result.task: result for result in run.manifest.tasks}["exam"].main.value == 2 / 6


def test_a_group_has_no_number_where_a_task_is_missing_or_none_compares():
    def result(name, value, weight=1.0, metric="acc", lower=False):
        return TaskResult(name, name, [MetricResult(metric, value, 0.1, not lower)], 10, 10, {}, weight=weight, chance=0.5)

    group = [Group("g", "", ("a", "b"), ("a", "b"), BY_WEIGHT)]
    [found] = group_results(group, [result("a", 1.0, 3), result("b", 0.2)])
    assert (found.main.name, found.main.value, found.chance) == ("acc", pytest.approx(0.8), 0.5)
    assert found.main.stderr == pytest.approx((0.3**2 + 0.1**2) ** 0.5 / 4)
    assert group_results(group, [result("a", 1.0, 0), result("b", 0.2, 0, "f1")])[0].main.name == "score"
    for other in ([], [result("b", None)], [result("b", 0.2, lower=True)]):
        assert group_results(group, [result("a", 1.0), *other]) == []


def test_the_name_may_be_a_template(exam):
    written(exam, "task: exam", 'task: "big/exam/{{ area }}-{{ subject }}"')
    suite = load_suite(exam)
    assert (suite.name, suite.tasks[1].name) == ("big/exam", "big/exam/stem-the_cells")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"{{ area }}"', '"{{ aera }}"', r"exam.yaml:5: domain: 'aera' is not a value of each; its values: area, subject, codes, human"),
        ("groups: area", "groups: aera", r"exam.yaml:7: groups\[0\]: 'aera' is not a value of each; did you mean 'area'"),
        ("subject: music", "subject: sums", r"exam.yaml:8: each: two tasks are named 'exam/sums'; tell them apart by the name"),
        ("subject: music", "subject: stem", r"exam.yaml:7: groups: 'exam/stem' would be the name of a group and of a task"),
        ("subject: music", "subject: []", r"exam.yaml:10: each\[1\].subject: expected a value or a list of them"),
        ("subject: music", "the-subject: music", r"exam.yaml:10: each\[1\].the-subject: expected a name that a template can use"),
        ("human: 0.5", "human: half", r"human: expected a number, got 'half'"),
        ("task: exam", "task: '{{ subject }}'", r"exam.yaml:2: task: expected a name before the part that is a template"),
        (
            'where: {subject: "{{ subject }}"}',
            "where: {subjekt: sums}",
            r"data.where: rows.csv row 1 has no column 'subjekt'; did you mean",
        ),
        ('where: {subject: "{{ subject }}"}', "where: {subject: sumz}", r"no rows; expected at least one"),
        ('where: {subject: "{{ subject }}"}', "where: {subject: {a: b}}", r"data.where.subject: expected a value of the column"),
    ],
)
def test_wrong_files(exam, old, new, message):
    assert old in EXAM
    with pytest.raises((TaskError, DataError), match=message):
        load_suite(written(exam, old, new))


def test_what_belongs_to_each_does_not_stand_without_it(exam, tmp_path):
    (tmp_path / "one.yaml").write_text("task: one\ngroups: a\ndata: [{q: a, target: b}]\nprompt: '{{ q }}'\nscoring: f1\n")
    with pytest.raises(TaskError, match=r"one.yaml:2: groups: belongs to a file with each"):
        load_suite("one.yaml")
    with pytest.raises(TaskError, match=r"each: makes several tasks"):
        Task(task="t", each=[{"a": "x"}], data=[{"q": "a", "target": "b"}], prompt="{{ q }}", scoring="f1")


def test_where_takes_one_of_several_values_and_any_source():
    rows = [{"q": "a", "target": "b", "level": 1}, {"q": "c", "target": "d", "level": 2}, {"q": "e", "target": "f", "level": 3}]
    task = Task(task="t", data={"items": rows, "where": {"level": ["1", 3]}}, prompt="{{ q }}", scoring="f1")
    assert [item.fields["q"] for item in task.items] == ["a", "e"]


def test_where_takes_a_condition():
    rows = [{"q": "a", "target": "b", "tags": "['draft']"}, {"q": "c", "target": "d", "tags": "[]"}]
    task = Task(task="t", data={"items": rows, "where": "{{ 'draft' not in tags and q != 'z' }}"}, prompt="{{ q }}", scoring="f1")
    assert [item.fields["q"] for item in task.items] == ["c"]
    assert task.origin == "rows in the task file, where {{ 'draft' not in tags and q != 'z' }}"
    with pytest.raises(DataError, match=r"data.where: data.items row 1: expected True or False, the template gives 'draft'"):
        Task(task="t", data={"items": rows, "where": "{{ 'draft' }}"}, prompt="{{ q }}", scoring="f1")
    with pytest.raises(TaskError, match=r"data.where: 'tag' is not a column of the data; did you mean 'tags'"):
        Task(task="t", data={"items": rows, "where": "{{ tag }}"}, prompt="{{ q }}", scoring="f1")
    with pytest.raises(TaskError, match=r"data.where: expected a mapping of columns to values, or a template"):
        Task(task="t", data={"items": rows, "where": "draft"}, prompt="{{ q }}", scoring="f1")


def test_the_mean_over_groups_and_a_group_that_is_one_task(tmp_path):
    (tmp_path / "fold.yaml").write_text(
        "task: fold\naggregate: groups\ngroups: home\n"
        "each: [{home: three, name: [a, b, c]}, {home: d, name: d}, {name: e}]\n"
        "data: [{q: x, target: y}]\nprompt: '{{ name }} {{ q }}'\nscoring: f1\n"
    )
    suite = load_suite(tmp_path / "fold.yaml")
    assert [entry.weight for entry in suite.entries] == pytest.approx([1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3])
    assert [group.name for group in suite.groups] == ["fold/three", "fold"]


def test_keys_of_the_prompt_that_are_no_templates_take_values(tmp_path):
    (tmp_path / "lang.yaml").write_text(
        "task: lang\neach: [{language: en, glue: ' '}, {language: zh, glue: '-'}]\ndata: [{q: x, target: y}]\n"
        "prompt: {template: '{{ q }}', delimiter: '{{ glue }}'}\nscoring: [f1, {exact_match: {}}]\n"
    )
    assert [task.spec.prompt.delimiter for task in load_suite(tmp_path / "lang.yaml").tasks] == [" ", "-"]


def test_a_condition_sees_the_values(tmp_path):
    (tmp_path / "far.yaml").write_text(
        "task: far\neach: [{side: east, codes: [[a, b]]}, {side: west, codes: [[c]]}]\n"
        "data: {files: r.csv, where: \"{{ code in codes and q != '' }}\"}\nprompt: '{{ q }}'\nscoring: f1\n"
    )
    (tmp_path / "r.csv").write_text("code,q,target\na,1,x\nb,,x\nc,3,x\nd,4,x\n")
    assert [[item.fields["q"] for item in task.items] for task in load_suite(tmp_path / "far.yaml").tasks] == [["1"], ["3"]]
