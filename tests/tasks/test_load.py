"""Tasks and suites by name: built in, files, folders, suites of suites."""

import pytest

from proctor.errors import DataError, TaskError, UsageError
from proctor.tasks.load import builtin_suites, builtin_tasks, load_suite, load_task, suite_spec, task_specs


def task_file(name: str, q: str = "x") -> str:
    return f"task: {name}\ndata: [{{q: {q}, target: y}}]\nprompt: '{{{{ q }}}}'\nscoring: f1\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "one.yaml": task_file("one"),
        "two.yml": task_file("two"),
        "inner/three.yaml": task_file("three"),
        "inner/data.yaml": "task: four\ndata: d.csv\nprompt: '{{ q }}'\nscoring: f1\n",
        "inner/d.csv": "q,target\na,b\n",
        "inner/part.yaml": "suite: part\ntasks: [{task: three, weight: 2}, data.yaml]\n",
        "all.yaml": "suite: all\ntitle: Everything\ntasks: [one, two.yml, {task: inner/part.yaml, weight: 3}]\n",
        "inner/notes.txt": "not a task",
    }
    (tmp_path / "inner").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def names(suite) -> list[str]:
    return [task.name for task in suite.tasks]


def test_built_in():
    assert {"core", "smoke"} <= set(builtin_suites())
    assert "arithmetic" in builtin_tasks()
    core = load_suite("core")
    assert (core.name, core.source) == ("core", "builtin:core")
    assert names(core) == [entry.task for entry in suite_spec("core").tasks]
    assert load_task("arithmetic").source == "builtin:arithmetic"
    assert load_task("builtin:arithmetic").protocol_hash == load_task("arithmetic").protocol_hash == core.tasks[3].protocol_hash


def test_a_file(here):
    assert load_task("one.yaml").source == "one.yaml"
    assert load_task(here / "two.yml").name == "two"
    suite = load_suite("one.yaml")
    assert (suite.name, names(suite), suite.source) == ("one", ["one"], "one.yaml")


def test_data_is_relative_to_the_task_file(here):
    assert load_task("inner/data.yaml").items[0].target == "b"


def test_a_folder_is_the_suite_of_its_task_files(here):
    for ref in ("inner", "inner/", here / "inner"):
        suite = load_suite(ref)
        assert (suite.name, names(suite)) == ("inner", ["four", "three"])
    (here / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: a folder without task files"):
        load_suite("empty")


def test_a_suite_of_suites_multiplies_weights(here):
    suite = load_suite("all.yaml")
    assert (suite.name, suite.title) == ("all", "Everything")
    assert [(entry.task.name, entry.weight) for entry in suite.entries] == [("one", 1), ("two", 1), ("three", 6), ("four", 3)]


def test_weights_are_part_of_what_makes_composites_comparable(here):
    before = load_suite("all.yaml").hash
    (here / "all.yaml").write_text("suite: all\ntasks: [one, two.yml, {task: inner/part.yaml, weight: 2}]\n")
    assert load_suite("all.yaml").hash != before
    (here / "all.yaml").write_text("suite: all\ntitle: Other\ntasks: [{task: inner/part.yaml, weight: 3}, two.yml, one]\n")
    assert load_suite("all.yaml").hash == before


def test_several_names_form_one_suite(here):
    suite = load_suite(["one.yaml", "arithmetic", "inner"])
    assert suite.name == "one+arithmetic+inner"
    assert names(suite) == ["one", "arithmetic", "four", "three"]
    assert names(load_suite(suite.source.splitlines())) == names(suite)
    long = load_suite(["knowledge", "commonsense", "reading", "arithmetic", "word_problems", "logic", "dates"])
    assert long.name == "knowledge+6"


def test_names_in_a_suite_are_looked_for_beside_it_first(here):
    (here / "arithmetic.yaml").write_text(task_file("arithmetic", q="mine"))
    (here / "s.yaml").write_text("suite: s\ntasks: [arithmetic, logic]\n")
    suite = load_suite("s.yaml")
    assert suite.tasks[0].items[0].fields["q"] == "mine"
    assert suite.tasks[1].source == "builtin:logic"
    assert load_suite("arithmetic").source == "builtin:arithmetic"


def test_a_task_listed_twice(here):
    with pytest.raises(TaskError, match="two tasks are named 'one'"):
        load_suite(["one.yaml", "all.yaml"])


@pytest.mark.parametrize("path", ["loop.yaml", "./loop.yaml", "inner/../loop.yaml"])
def test_a_suite_that_contains_itself(here, path):
    (here / "loop.yaml").write_text("suite: loop\ntasks: [one, between.yaml]\n")
    (here / "between.yaml").write_text(f"suite: between\ntasks: [{path}]\n")
    for load in (load_suite, lambda name: task_specs([name])):
        with pytest.raises(TaskError, match=r"contains itself: loop\.yaml > between\.yaml > loop\.yaml"):
            load("loop.yaml")


def test_a_suite_named_twice_is_no_cycle(here):
    (here / "left.yaml").write_text("suite: left\ntasks: [inner/part.yaml]\n")
    (here / "both.yaml").write_text("suite: both\ntasks: [left.yaml, inner/part.yaml]\n")
    with pytest.raises(TaskError, match="two tasks are named 'three'"):
        load_suite("both.yaml")


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("arithmetics", "no task or suite is named 'arithmetics'; did you mean 'arithmetic'"),
        ("on.yaml", r"on\.yaml: no such file; did you mean 'one\.yaml'"),
        ("iner/three.yaml", r"iner/three\.yaml: no such file"),
        ("one", "no task or suite is named 'one'"),
        ("x" * 300, "no task or suite is named 'xxx"),
        (f"{'x' * 300}.yaml", "no such file"),
    ],
)
def test_unknown_names(here, ref, says):
    for load in (load_suite, load_task):
        with pytest.raises(UsageError, match=says):
            load(ref)


def test_an_unknown_name_in_a_suite(here):
    (here / "s.yaml").write_text("suite: s\ntasks: [aritmetic]\n")
    with pytest.raises(UsageError, match="no task or suite is named 'aritmetic'; did you mean 'arithmetic'"):
        load_suite("s.yaml")
    (here / "s.yaml").write_text("suite: s\ntasks: [inner/thre.yaml]\n")
    with pytest.raises(UsageError, match=r"inner/thre\.yaml: no such file; did you mean 'three\.yaml'"):
        load_suite("s.yaml")


def test_a_suite_is_no_task(here):
    for name in ("core", "all.yaml"):
        with pytest.raises(UsageError, match=f"'{name}' is a suite, not a task"):
            load_task(name)


def test_specs_are_listed_without_reading_data(here):
    (here / "inner/d.csv").unlink()
    assert [spec.task for _, spec in task_specs(["all.yaml"])] == ["one", "two", "three", "four"]
    assert [source for source, _ in task_specs(["inner", "logic"])] == ["inner/data.yaml", "inner/three.yaml", "builtin:logic"]
    with pytest.raises(DataError, match=r"d\.csv"):
        load_suite("all.yaml")


def test_a_suite_says_how_many_examples(here):
    (here / "shots.jsonl").write_text("".join(f'{{"q": "{q}", "target": "y"}}\n' for q in "abc"))
    (here / "one.yaml").write_text(task_file("one").replace("data: [{q: x, target: y}]", "data: {files: shots.jsonl}"))
    (here / "few.yaml").write_text("suite: few\ntasks: [{task: one, shots: 2}, two.yml]\n")
    first, second = load_suite("few.yaml").tasks
    assert (first.spec.prompt.shots, second.spec.prompt.shots) == (2, 0)
    assert first.protocol_hash != load_task("one.yaml").protocol_hash
    (here / "few.yaml").write_text("suite: few\ntasks: [{task: one, shots: -1}]\n")
    with pytest.raises(TaskError, match=r"few.yaml:2: tasks\[0\].shots: expected 0 or more, got -1"):
        load_suite("few.yaml")


def test_of_a_task_and_a_suite_of_one_name():
    assert load_task("multilingual").name == "multilingual"
    assert suite_spec("multilingual").suite == "multilingual"
    assert load_task("multilingual").source == "builtin:multilingual"
    assert load_suite("builtin:multilingual").tasks[0].name == "multilingual"  # as a run says where its task came from
    assert suite_spec("builtin:suites/multilingual").suite == "multilingual"
    assert "multilingual" in [spec.task for _, spec in task_specs(["core"])]  # inside a suite file the task is meant
