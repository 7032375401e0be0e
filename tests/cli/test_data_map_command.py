"""`--data` on the command line: run, show, rescore; the list of benchmarks."""

import json

from proctor.tasks.load import load_suite

TASK = """
task: exam
each: {subject: [sums, cells]}
data: {hub: org/exam, config: "{{ subject }}", split: test}
prompt: "{{ subject }}: {{ q }}"
scoring: exact_match
"""


def test_a_run_remembers_its_map(tmp_path, monkeypatch, type_in):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.yaml").write_text(TASK)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "map.yaml").write_text("org/exam: '{name}.csv'\n")
    for subject in ("sums", "cells"):
        (tmp_path / "maps" / f"{subject}.csv").write_text(f"q,target\n{subject}?,the answer\n")
    shown = json.loads(type_in("show", "exam.yaml/cells", "--data", "maps/map.yaml", "--json"))
    assert shown["item"]["fields"]["q"] == "cells?"
    out = type_in("run", "exam.yaml", "-m", "baseline:random", "--data", "maps/map.yaml", "--out", "store")
    assert "2 tasks, 2 items" in out  # the row of the whole file is none
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("composite  ", "exam  "))] == ["2", "2"]
    manifest = json.loads(next((tmp_path / "store").glob("*/manifest.json")).read_text())
    assert manifest["suite_source"] == "exam.yaml?data=maps/map.yaml"
    assert load_suite(manifest["suite_source"]).hash == manifest["suite_hash"]
    (tmp_path / "exam.yaml").write_text(TASK.replace("exact_match", "f1"))
    assert "2 tasks" in type_in("rescore", manifest["run"], "--out", "store")


def test_the_benchmarks_are_listed_without_their_data(type_in):
    rows = {row["benchmark"]: row for row in json.loads(type_in("list", "tasks", "benchmarks", "--json"))}
    assert (rows["mmlu"]["tasks"], rows["mmlu"]["title"]) == (57, "MMLU")
    assert "mmlu/anatomy" in type_in("list", "tasks", "mmlu/other")
