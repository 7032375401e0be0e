"""The command line over task files of lm-evaluation-harness."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "exams"
    place.mkdir()
    rows = [{"q": f"{i} + 1", "choices": [str(i), str(i + 1)], "right": 1} for i in range(6)]
    (place / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = (
        "tag: exam\ndataset_path: my/sums\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: '{{q}} ='\ndoc_to_choice: choices\ndoc_to_target: right\n"
    )
    (place / "sums.yaml").write_text(f"task: sums\n{task}")
    (place / "coded.yaml").write_text(f"task: coded\nprocess_docs: !function utils.change\n{task}")
    (place / "utils.py").write_text("def change(docs): return docs\n")
    (place / "odd.yaml").write_text(f"task: odd\ndoc_to_image: x\n{task}")
    (place / "group.yaml").write_text("group: both\ntask: [sums, coded]\naggregate_metric_list: [{metric: acc}]\n")
    (place / "map.yaml").write_text("my/sums: {test: sums.jsonl}\n")
    return place


@pytest.fixture
def options(folder):
    return ["--lm-eval-path", str(folder), "--data", str(folder / "map.yaml")]


def test_tasks_are_listed_with_what_they_run(type_in, folder):
    listed = json.loads(type_in("list", "tasks", "lm-eval", "--lm-eval-path", str(folder), "--json"))
    found = {row["name"]: row for row in listed}
    assert {name: row["kind"] for name, row in found.items() if name in ("sums", "coded", "both", "exam")} == {
        "sums": "task",
        "coded": "task",
        "both": "group",
        "exam": "tag",
    }
    assert found["coded"]["code of its own"] == "utils.py: change"
    unsupported = type_in("list", "tasks", "lm-eval", "odd", "--lm-eval-path", str(folder), "--unsupported")
    assert "doc_to_image: shows pictures or sound" in unsupported


def test_a_task_is_shown(type_in, options):
    said = type_in("show", "lm-eval:sums", "--item", "3", *options)
    assert "3 + 1 =" in said
    assert "' 4'" in said


def test_a_task_is_run_exported_and_converted(type_in, options, tmp_path):
    store = tmp_path / "store"
    said = type_in("run", "lm-eval:sums", "-m", "baseline:random", "--out", str(store), "--compat", "lm-eval", "--limit", "4", *options)
    assert "sums" in said
    type_in("export", "--format", "lm-eval", "-o", str(tmp_path / "out"), "--out", str(store))
    assert list((tmp_path / "out").rglob("samples_sums_*.jsonl"))
    type_in("convert", "lm-eval:sums", "-o", str(tmp_path / "tasks"), *options)
    assert "0 + 1 =" in type_in("show", str(tmp_path / "tasks" / "sums.yaml"))


def test_code_is_not_run_unless_it_is_trusted(type_in, options, tmp_path):
    arguments = ["run", "lm-eval:both", "-m", "baseline:random", "--out", str(tmp_path / "store"), *options]
    type_in(*arguments, code=2)
    assert "utils.py: change" in type_in.err
    assert "both" in type_in(*arguments, "--trust-task-code")
