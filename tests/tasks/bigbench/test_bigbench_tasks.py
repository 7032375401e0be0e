"""Tasks of BIG-bench as a user meets them: folders, subtasks, names, settings, and what is wrong with a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bigbench_cases import CASES

import proctor
from proctor.errors import ProctorError
from proctor.tasks.load import load_suite, load_task
from proctor.types import Generate, Likelihood, Response


def put(folder: Path, data: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.json").write_text(json.dumps(data))
    return folder


def test_a_folder_with_subtasks_is_one_task_in_parts(tmp_path: Path) -> None:
    container = {key: CASES["sums"][key] for key in ("canary", "name", "description", "keywords")}
    put(tmp_path / "mixed", container)
    put(tmp_path / "mixed" / "kinds", CASES["defaults"])
    put(tmp_path / "mixed" / "sums", CASES["sums"])
    put(tmp_path / "alone", CASES["both"])
    whole = load_suite(f"bigbench:{tmp_path}")
    weights = {entry.task.name: entry.weight for entry in whole.entries}
    assert weights == {
        "bigbench/alone": 1.0,
        "bigbench/alone/written": 0.0,
        "bigbench/mixed/kinds": 0.5,
        "bigbench/mixed/sums": 0.5,
    }
    assert [group.name for group in whole.groups] == ["bigbench/mixed"]
    again = load_suite(whole.source)
    assert again.hash == whole.hash


def test_numbers_asked_in_another_way_are_a_task_beside_it(tmp_path: Path) -> None:
    suite = load_suite(f"bigbench:{put(tmp_path / 'both', CASES['both'])}")
    assert [(entry.task.name, entry.weight) for entry in suite.entries] == [("bigbench/both", 1.0), ("bigbench/both/written", 0.0)]
    task = load_task(f"bigbench:{tmp_path / 'both'}")
    assert task.name == "bigbench/both"
    assert task.chance == pytest.approx(0.25)
    request = task.request(task.items[0])
    assert isinstance(request, Likelihood)
    assert request.continuations == ("mammal", "bird", "fish", "amphibian")


def test_examples_by_proctor_s_rule_do_not_depend_on_the_limit(tmp_path: Path) -> None:
    task = load_task(f"bigbench:{put(tmp_path / 'sums', CASES['sums-regex'])}").changed(shots=2)
    few = task.limited(3)
    for item in few.items:
        request = few.request(item)
        assert request == task.request(item)
        assert isinstance(request, Generate)
        text = request.prompt.messages[0].content
        assert text.startswith("Add. \nQ: ")
        assert text.count("\nA: ") == 3
        assert text.endswith(f"\nQ: {item.fields['question'].split('Q: ')[1].split(chr(10))[0]}\nA: ")


def test_right_answers_are_right_and_white_space_counts_only_in_compat(tmp_path: Path) -> None:
    folder = put(tmp_path / "sums", CASES["sums"])
    ours, theirs = load_task(f"bigbench:{folder}"), load_task(f"bigbench:{folder}?compat=bigbench")
    assert ours.protocol_hash != theirs.protocol_hash
    item = ours.items[0]
    for task, said, value in [(ours, "3", 1), (ours, " 3 ", 1), (theirs, "3", 1), (theirs, " 3 ", 0), (ours, "30", 0), (ours, "", 0)]:
        score = task.scoring.score(item, task.request(item), Response(text=said))
        assert score.values["exact_str_match"] == value, (said, task.source)
        assert score.values["normalised"] == 100 * value


def test_a_number_near_a_negative_one_must_be_near_it(tmp_path: Path) -> None:
    folder = put(tmp_path / "near", CASES["near"])
    for ref, far in [(f"bigbench:{folder}", 0.0), (f"bigbench:{folder}?compat=bigbench", 1.0)]:
        task = load_task(ref)
        item = next(one for one in task.items if one.target == ["-8"])
        for said, value in [("-8.5", 1.0), ("500", far)]:
            score = task.scoring.score(item, task.request(item), Response(text=said))
            assert score.values["numeric_match_with_0_1_relative_error"] == value


def test_a_model_without_likelihoods_is_shown_letters(tmp_path: Path) -> None:
    task = load_task(f"bigbench:{put(tmp_path / 'kinds', CASES['defaults'])}")
    asked = task.as_generation().request(task.as_generation().items[0])
    assert isinstance(asked, Generate)
    assert "A. mammal\nB. bird" in asked.prompt.messages[0].content


def test_an_empty_choice_is_not_asked_and_is_the_likeliest(tmp_path: Path) -> None:
    examples = [{"input": "Nothing?", "target_scores": {"some": 0, "": 1, "all": 0}}]
    task = load_task(f"bigbench:{put(tmp_path / 'none', {**CASES['defaults'], 'examples': examples})}")
    request = task.request(task.items[0])
    assert isinstance(request, Likelihood)
    assert request.continuations == ("some", "all")
    score = task.scoring.score(task.items[0], request, Response(loglikelihoods=((-1.0, -2.0),)))
    assert score.values["multiple_choice_grade"] == 1
    assert score.answer == "B"


def test_a_run_reports_the_mean_of_subtasks(tmp_path: Path) -> None:
    put(tmp_path / "kinds", CASES["defaults"])
    run = proctor.run(f"bigbench:{tmp_path / 'kinds'}", "baseline:majority", out=tmp_path / "store")[0]
    result = run.manifest.tasks[0]
    assert result.main.name == "multiple_choice_grade"
    assert result.main.value == pytest.approx(2 / 7)  # mammal, as the first of the kinds that are right most often
    assert {metric.name: metric.value for metric in result.metrics}["normalised"] == pytest.approx(100 * (2 / 7 - 0.25) / 0.75)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["bleuu"]}, "did you mean 'bleu'"),
        ({"metrics": None}, "expected a list of names"),
        ({"preferred_score": "rouge"}, "is no number of its metrics"),
        ({"examples": [{"input": "a"}]}, r"examples\[0\]: has no 'target'"),
        ({"examples": [{"target": "a"}]}, r"examples\[0\]: expected an object with the text 'input'"),
        ({"examples": []}, "expected a list of examples"),
        ({"output_regex": "("}, "is no regular expression"),
        ({"output_regex": "(a)(b)"}, "has 2 groups"),
        ({"task_prefix": 3}, "task_prefix: expected a text"),
        ({"metrics": ["bleurt"], "preferred_score": "bleurt"}, "needs a neural model"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "bad", {**CASES["sums"], **change})
    with pytest.raises(ProctorError, match=message):
        load_suite(f"bigbench:{folder}")


def test_names_that_name_nothing(tmp_path: Path) -> None:
    for ref, message in [
        ("bigbench:", "names no folder"),
        (f"bigbench:{tmp_path}/none", "no such file or folder"),
        (f"bigbench:{tmp_path}", "holds no task.json"),
        (f"bigbench:{tmp_path}?compatible=1", "unknown key 'compatible'"),
        (f"bigbench:{tmp_path}?compat=1", "expected 'bigbench'"),
    ]:
        with pytest.raises(ProctorError, match=message):
            load_suite(ref)


# Their subtasks are not among the shared files, which leaves a task.json without examples.
WITHOUT_SUBTASKS = [
    "abstract_narrative_understanding",
    "authorship_verification",
    "chess_state_tracking",
    "cifar10_classification",
    "color",
    "elementary_math_qa",
    "goal_step_wikihow",
    "intersect_geometry",
    "minute_mysteries_qa",
    "modified_arithmetic",
    "multiemo",
    "real_or_fake_text",
    "simp_turing_concept",
    "tracking_shuffled_objects",
    "unit_conversion",
    "unnatural_in_context_learning",
]


def test_every_shared_task_loads_or_has_a_reason() -> None:
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "big_bench"
    if not folder.exists():
        pytest.skip("no shared data: set PROCTOR_SHARED")
    files = sorted(folder.rglob("task.json"))
    assert len(files) == 163
    refused = []
    for path in files:
        try:
            for task in load_suite(f"bigbench:{path}").tasks:
                task.request(task.items[0])
        except ProctorError as error:
            refused.append((str(path.parent.relative_to(folder)), "has neither examples nor" in str(error)))
    assert refused == [(name, True) for name in WITHOUT_SUBTASKS]
