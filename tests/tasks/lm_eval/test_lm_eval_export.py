"""Runs of the harness's tasks, written as it writes them."""

from __future__ import annotations

import hashlib
import json

import lm_eval_cases as cases
import pytest
from lm_eval_scripted import Scripted
from test_lm_eval_parity import BUNDLES, close, digest, settings

import proctor
from proctor.results.exporters.formats import write
from proctor.results.importers.formats import read
from proctor.tasks.load import load_suite

NAMES = ["mc_plain", "mc_metrics", "gen_plain", "gen_two_filters", "gen_first_k", "ll_acc", "roll_plain", "mc_contexts", "mc_several"]
# Of every filter what it made of the answers.
NAMES += ["gen_regex", "gen_space", "gen_lower", "gen_upper", "gen_map", "gen_letters", "gen_span", "gen_tags", "gen_votes", "gen_raw"]
NAMES += ["gen_until_text"]


@pytest.fixture(scope="module")
def exported(lm_eval_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    suite = load_suite([*(f"lm-eval:{name}" for name in NAMES)], settings(lm_eval_folder, "default"))
    [run] = proctor.run(suite, Scripted(), out=folder / "store")
    files = write("lm-eval", [run], folder / "out")
    return {path.name: path for path in files}


def of(exported, beginning):
    return next(path for name, path in exported.items() if name.startswith(beginning))


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_fields_and_values_of_the_harness(name, exported):
    ours = [json.loads(line) for line in of(exported, f"samples_{name}_").read_text().splitlines()]
    theirs = BUNDLES["default"][name]["samples"]
    order = {one["filter"]: None for one in theirs}
    ours.sort(key=lambda one: (list(order).index(one["filter"]), one["doc_id"]))
    assert len(ours) == len(theirs)
    for mine, sample in zip(ours, theirs, strict=True):
        assert mine["doc_id"] == sample["doc_id"]
        assert mine["doc_hash"][:16] == sample["doc_hash"]
        assert mine["target_hash"][:16] == sample["target_hash"]
        assert hashlib.sha256(str(mine["target"]).encode()).hexdigest()[:16] == sample["target_hash"]
        arguments = [list(one.values()) for one in mine["arguments"].values()]
        if cases.tasks(of(exported, "results").parent)[name].get("repeats", 1) == 1:
            assert digest(arguments) == sample["arguments"]
        assert mine["prompt_hash"] == hashlib.sha256(arguments[0][0].encode()).hexdigest()
        if cases.tasks(of(exported, "results").parent)[name]["output_type"] == "generate_until":
            assert digest(mine["filtered_resps"]) == sample["filtered"]
        for metric in mine["metrics"]:
            if isinstance(sample[metric], int | float):
                assert close(mine[metric], sample[metric])
        assert {"doc", "resps", "filtered_resps"} <= set(mine)


def test_results_have_the_keys_and_numbers_of_the_harness(exported):
    document = json.loads(of(exported, "results_").read_text())
    for name in NAMES:
        theirs = BUNDLES["default"][name]["results"]
        for key, value in theirs.items():
            if isinstance(value, int | float) and "_stderr" not in key:
                assert close(document["results"][name][key], value), (name, key)
            elif "_stderr" in key and isinstance(value, str):
                assert document["results"][name][key] == "N/A"
        assert document["n-shot"][name] == 0
        assert document["configs"][name]["output_type"]
    assert document["versions"]["gen_plain"] == 2.0


def test_what_is_exported_comes_back(exported):
    [run] = read("lm-eval", [of(exported, "results_").parent])
    assert {task.task for task in run.tasks} == set(NAMES)


def test_groups_are_exported_as_groups(lm_eval_folder, tmp_path):
    [run] = proctor.run(load_suite("lm-eval:nested", settings(lm_eval_folder, "default")), Scripted(), out=tmp_path / "store")
    files = write("lm-eval", [run], tmp_path / "out")
    document = json.loads(next(path for path in files if path.name.startswith("results_")).read_text())
    recorded = BUNDLES["default"]["group nested"]
    assert sorted(document["groups"]) == recorded["groups"]
    assert document["group_subtasks"] == recorded["group_subtasks"]
    assert close(document["groups"]["nested"]["acc,none"], recorded["results"]["nested"]["acc,none"])
    assert document["results"]["nested"]["alias"] == "Nested"
