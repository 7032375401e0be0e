"""The suites people know: what is in them, and the number that their authors make of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import proctor
from proctor.errors import UsageError
from proctor.reports.ranking import ranked_boards
from proctor.results.group_results import group_results
from proctor.results.manifest import MetricResult, TaskResult
from proctor.tasks.grouping import groups_of_suite
from proctor.tasks.load import builtin_suites, load_suite, suite_spec, task_specs

SHARED = Path(os.environ.get("PROCTOR_SHARED") or Path(__file__).parents[3] / "shared") / "data"


@pytest.mark.parametrize("name", [name for name in builtin_suites() if name not in ("core", "smoke")])
def test_every_suite_names_tasks_that_are_there_and_says_what_it_is(name):
    spec = suite_spec(name)
    assert spec.title
    assert len(spec.description) > 60
    found = task_specs([name])
    names = [one.task for _, one in found]
    assert len(set(names)) == len(names)
    assert len(found) + sum(":" in entry.task for entry in spec.tasks) >= len(spec.tasks)


def test_the_glue_score_is_the_mean_of_nine_numbers():
    """Whatever their scale: Matthews' correlation and Pearson's beside accuracies, MNLI's two parts as one task."""
    spec = suite_spec("glue")
    values = {"glue_cola": 0.6, "glue_sst2": 0.9, "glue_mrpc": 0.8, "glue_stsb": 0.85, "glue_qqp": 0.7, "glue_qnli": 0.9}
    values |= {"glue_rte": 0.6, "glue_wnli": 0.5, "glue_mnli/matched": 0.8, "glue_mnli/mismatched": 0.7}
    results = [
        TaskResult(
            name,
            name,
            [MetricResult("mcc" if name == "glue_cola" else "accuracy", value, 0.01, bounds=(-1, 1) if name == "glue_cola" else (0, 1))],
            10,
            10,
            {},
            weight=0.5 if "mnli" in name else 1.0,
        )
        for name, value in values.items()
    ]
    known = {name: [name] for name in values} | {"glue_mnli": ["glue_mnli/matched", "glue_mnli/mismatched"]}
    groups = groups_of_suite(spec.groups, known, "glue")
    score = next(result for result in group_results(groups, results) if result.task == "glue_score")
    assert score.main.value == pytest.approx((0.6 + 0.9 + 0.8 + 0.85 + 0.7 + 0.9 + 0.6 + 0.5 + 0.75) / 9)
    assert score.main.name == "score"


def test_big_bench_lite_runs_from_a_folder_of_the_repository(tmp_path):
    """The real tasks where they are at hand; a made-up one stands in for the others."""
    source = SHARED / "big_bench"
    if not source.exists():
        pytest.skip("big_bench is not among the shared data")
    made = {
        "canary": "c",
        "name": "m",
        "description": "d",
        "keywords": ["k"],
        "metrics": ["multiple_choice_grade"],
        "preferred_score": "multiple_choice_grade",
        "examples": [{"input": f"{n}?", "target_scores": {"a": 1, "b": 0}} for n in range(3)],
    }
    (tmp_path / "bb").mkdir()
    real = 0
    for entry in suite_spec("big-bench-lite").tasks:
        name = entry.task.removeprefix("bigbench:")
        if (source / name).exists():
            (tmp_path / "bb" / name).symlink_to(source / name)
            real += 1
        else:
            (tmp_path / "bb" / name).mkdir()
            (tmp_path / "bb" / name / "task.json").write_text(json.dumps({**made, "name": name}))
    assert real == 15
    (tmp_path / "map.yaml").write_text("google/BIG-bench: bb\n")
    suite = load_suite("big-bench-lite", data=tmp_path / "map.yaml")
    assert sum(entry.weight for entry in suite.entries) == pytest.approx(24)
    [run] = proctor.run(suite, "baseline:random", limit=1, out=tmp_path / "store")
    assert ranked_boards([run])[0].rows[0].composite.value is not None
    assert load_suite(run.manifest.suite_source).hash == suite.hash
    with pytest.raises(UsageError, match="google/BIG-bench: FOLDER"):
        load_suite("big-bench-lite")


def _leaderboard_data(work: Path) -> Path:
    """Made-up rows in the columns of the six data sets of the first Open LLM Leaderboard."""
    choices = {"text": ["aa", "b"], "label": ["A", "B"]}
    labels = {"choices": ["aa", "b"], "labels": [1, 0]}

    def rows(count: int) -> dict[str, list[dict]]:
        numbers = range(count)
        return {
            "arc": [{"id": f"i{count}-{n}", "question": f"arc {count} {n}?", "choices": choices, "answerKey": "A"} for n in numbers],
            "hella": [
                {"ind": n, "activity_label": "L", "ctx_a": f"A{count} {n}", "ctx_b": "b", "endings": list("wxyz"), "label": "0"}
                | {"source_id": f"s{count}{n}", "ctx": f"A{count} {n} b"}
                for n in numbers
            ],
            "mmlu": [{"question": f"m {count} {n}", "choices": list("abcd"), "answer": 0, "subject": "s"} for n in numbers],
            "truth": [{"question": f"t {count} {n}", "mc1_targets": labels, "mc2_targets": labels} for n in numbers],
            "wino": [{"sentence": f"w{count} {n} _ ran", "option1": "x", "option2": "y", "answer": "1"} for n in numbers],
            "gsm": [{"question": f"g {count} {n}", "answer": f"{n}\n#### {n}"} for n in numbers],
        }

    for split, found in (("test", rows(3)), ("train", rows(30))):
        for name, its_rows in found.items():
            (work / f"{name}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in its_rows))
    sets = {"allenai/ai2_arc": "arc", "Rowan/hellaswag": "hella", "cais/mmlu": "mmlu", "allenai/winogrande": "wino", "openai/gsm8k": "gsm"}
    sets["truthfulqa/truthful_qa"] = "truth"
    splits = "test: {0}-test.jsonl, validation: {0}-test.jsonl, dev: {0}-train.jsonl, train: {0}-train.jsonl"
    lines = [f"{hub}: {{{splits.format(name)}}}" for hub, name in sets.items()]
    (work / "map.yaml").write_text("\n".join(lines) + "\n")
    return work / "map.yaml"


def test_the_first_leaderboard_is_the_mean_of_six_and_mmlu_that_over_subjects(tmp_path):
    suite = load_suite("open-llm-leaderboard-v1", data=_leaderboard_data(tmp_path))
    shots = {task.name: task.spec.prompt.shots for task in suite.tasks}
    assert (shots["arc/challenge"], shots["hellaswag"], shots["mmlu/anatomy"], shots["winogrande"], shots["gsm8k"]) == (25, 10, 5, 5, 5)
    assert sum(entry.weight for entry in suite.entries) == pytest.approx(6)
    assert {entry.weight for entry in suite.entries if entry.task.name.startswith("mmlu/")} == {1 / 57}
    [run] = proctor.run(suite, "baseline:random", limit=2, out=tmp_path / "store")
    found = {result.task: result for result in run.manifest.tasks}
    six = ["arc/challenge", "hellaswag", "mmlu", "truthfulqa/mc2", "winogrande", "gsm8k"]
    values = [found[name].main.value for name in six]
    assert [found[name].main.name for name in six] == ["acc", "acc", "acc", "p_true", "acc", "numeric"]
    assert ranked_boards([run])[0].rows[0].composite.value == pytest.approx(sum(values) / 6)


def test_the_thirteen_benchmarks_of_quantisation_are_of_six_kinds():
    spec = suite_spec("quantisation")
    assert len(spec.tasks) == 13
    named = [entry.task for entry in spec.tasks]
    assert len(spec.groups) == 6
    assert sorted(member for members in spec.groups.values() for member in members) == sorted(named)
