"""Tasks of lm-evaluation-harness under its own protocol, against what lm-eval 0.4.13 itself made of them (`record_lm_eval.py`)."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import random
from pathlib import Path

import lm_eval_cases as cases
import numpy as np
import polars as pl
import pytest
from lm_eval_scripted import Scripted, arguments

import proctor
from proctor.errors import ProctorError
from proctor.scoring.base import Columns
from proctor.scoring.lm_eval.aggregations import make_metric
from proctor.tasks.lm_eval.settings import LmEvalSettings
from proctor.tasks.load import load_suite

RECORDED = json.loads(gzip.decompress((Path(__file__).parent / "recorded_lm_eval.json.gz").read_bytes()))
BUNDLES = RECORDED["bundles"]
PAIRS = [(bundle, name) for bundle in BUNDLES for name in cases.names(bundle)]
WORKING = [(bundle, name) for bundle, name in PAIRS if "error" not in BUNDLES[bundle][name]]
RESAMPLED = ("f1", "mcc", "perplexity", "bleu", "chrf", "chrf++", "ter")


def settings(folder, bundle):
    return LmEvalSettings(paths=(str(folder / "tasks"),), compat=True, chat=cases.BUNDLES[bundle][1], trust=True)


@pytest.fixture(scope="module")
def runs(lm_eval_folder, tmp_path_factory):
    """One run for each way of running, over all tasks that the harness could run so."""
    made = {}
    for bundle, (shots, _, limit) in cases.BUNDLES.items():
        names = [f"lm-eval:{name}" for of, name in WORKING if of == bundle]
        suite = load_suite(names, settings(lm_eval_folder, bundle))
        [run] = proctor.run(suite, Scripted(), shots=shots, limit=limit, out=tmp_path_factory.mktemp("store"))
        frame = pl.read_parquet(run.attempts_path)
        made[bundle] = suite, run.manifest, {task: part for (task,), part in frame.partition_by("task", as_dict=True).items()}
    return made


def fitted(runs, bundle, name):
    suite, _, _ = runs[bundle]
    shots, _, limit = cases.BUNDLES[bundle]
    task = next(task for task in suite.tasks if task.name == name).changed(shots=shots)
    return task.limited(limit) if limit else task


def digest(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]


def close(ours, theirs):
    if theirs == "nan":
        return ours is None
    return ours is not None and math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)


def documents(recorded):
    first = recorded["samples"][0]["filter"]
    return [one for one in recorded["samples"] if one["filter"] == first]


@pytest.mark.parametrize(("bundle", "name"), WORKING)
def test_prompts_are_the_same_to_the_byte(bundle, name, runs):
    task = fitted(runs, bundle, name)
    samples = documents(BUNDLES[bundle][name])
    assert len(samples) == len(task.items)
    for sample, item in zip(samples, task.items, strict=True):
        asked = task.request(item)
        pairs = arguments(asked)
        if task.config.output_type == "loglikelihood_rolling":
            pairs = [[pairs[0][1]]]
        elif task.config.output_type == "generate_until":
            pairs = [[pairs[0][0], dict(generation(task))]]
        assert digest(pairs) == sample["arguments"], (sample["doc_id"], pairs)
        assert item.metadata["doc_hash"][:16] == sample["doc_hash"]
        assert hashlib.sha256(str(task.material.reader.target(item.fields)).encode()).hexdigest()[:16] == sample["target_hash"]


def generation(task):
    """The harness's options as it fills them in."""
    said = task.config.keys.get("generation_kwargs")
    if said is None:
        return {"temperature": 0.0, "do_sample": False, "max_gen_toks": 256, "until": [task.config.fewshot_delimiter]}
    return {**said, "temperature": float(said["temperature"])} if "temperature" in said else said


@pytest.mark.parametrize(("bundle", "name"), WORKING)
def test_documents_are_worth_the_same(bundle, name, runs):
    _, _, frames = runs[bundle]
    task = fitted(runs, bundle, name)
    frame = frames[name].unique("item", keep="first", maintain_order=True)
    ours = [json.loads(metrics) for metrics in frame["metrics"]]
    for number, sample in enumerate(BUNDLES[bundle][name]["samples"]):
        values = ours[number % len(ours)]
        suffix = "" if sample["filter"] == "none" else f",{sample['filter']}"
        for metric in set(sample) - {"doc_id", "doc_hash", "arguments", "filter", "filtered", "target_hash"}:
            if isinstance(sample[metric], int | float):
                assert close(values[metric + suffix], sample[metric]), (sample["doc_id"], metric)
    assert len(task.items) == len(ours)


@pytest.mark.parametrize(("bundle", "name"), WORKING)
def test_numbers_and_standard_errors_are_the_same(bundle, name, runs):
    _, manifest, _ = runs[bundle]
    [result] = [one for one in manifest.tasks if one.task == name]
    theirs = BUNDLES[bundle][name]["results"]
    compared = 0
    for metric in result.metrics:
        base, _, filter_name = metric.name.partition(",")
        key = f"{base},{filter_name or 'none'}"
        assert key in theirs, metric.name
        assert close(metric.value, theirs[key]), (key, metric.value, theirs[key])
        stderr = theirs[f"{base}_stderr,{filter_name or 'none'}"]
        if isinstance(stderr, str):
            assert metric.stderr is None, key
        elif base in RESAMPLED or name in ("mc_median", "mc_nanmean", "gen_overlap_median"):
            # Two spreads of random draws: the harness's of few, and of a perplexity that hangs on two or three documents.
            assert metric.stderr == pytest.approx(stderr, rel=0.35, abs=0.02 if "median" in name else 1e-9), key
        else:
            assert close(metric.stderr, stderr), (key, metric.stderr, stderr)
        compared += 1
    stated = {key for key in theirs if "," in key and "_stderr" not in key}
    assert compared == len(stated)
    for metric, higher in (BUNDLES[bundle][name]["higher_is_better"] or {}).items():
        for one in result.metrics:
            if one.name.partition(",")[0] == metric:
                assert one.higher_is_better == higher


AGGREGATION = {"mcc": "matthews_corrcoef"}


@pytest.mark.parametrize(("bundle", "name"), WORKING)
def test_sums_resampled_by_the_harness_draws_give_its_standard_errors(bundle, name):
    """Our statistics of sums, put through the very draws of the harness, give its number to the last digit."""
    recorded = BUNDLES[bundle][name]
    for key, stderr in recorded["results"].items():
        base, _, filter_name = key.partition("_stderr,")
        if base not in RESAMPLED or not filter_name or isinstance(stderr, str) or name in ("mc_own_f1",):
            continue
        metric = make_metric(base, AGGREGATION.get(base, base), higher_is_better=True, bounds=None)
        rows = metric.statistics(Columns([], [], {}, [{base: one[base]} for one in recorded["samples"] if one["filter"] == filter_name]))
        iterations = 100 if base in ("bleu", "chrf", "chrf++", "ter") else RECORDED["iterations"]
        chunk, drawn = min(1000, iterations), []
        for seed in range(iterations // chunk):
            rng = random.Random(seed)
            drawn += [rows[rng.choices(range(len(rows)), k=len(rows))].sum(axis=0) for _ in range(chunk)]
        values = metric.value(np.array(drawn))
        assert float(values.std(ddof=1)) == pytest.approx(stderr, rel=1e-9), key


@pytest.mark.parametrize(("bundle", "name"), [pair for pair in PAIRS if pair not in WORKING])
def test_what_the_harness_cannot_do_is_one_message(bundle, name, lm_eval_folder, tmp_path):
    shots, _, _ = cases.BUNDLES[bundle]
    with pytest.raises(ProctorError):
        proctor.run(load_suite(f"lm-eval:{name}", settings(lm_eval_folder, bundle)), Scripted(), shots=shots, out=tmp_path)


def test_there_is_enough_to_compare():
    assert len({name for _, name in WORKING}) >= 60
    kinds = {cases.tasks(Path())[name]["output_type"] for _, name in WORKING}
    assert kinds == {"multiple_choice", "generate_until", "loglikelihood", "loglikelihood_rolling"}


@pytest.mark.parametrize(
    ("bundle", "name"), [(bundle, key[6:]) for bundle in BUNDLES for key in BUNDLES[bundle] if key.startswith("group ")]
)
def test_groups_have_the_same_numbers(bundle, name, lm_eval_folder, tmp_path):
    shots, _, limit = cases.BUNDLES[bundle]
    suite = load_suite(f"lm-eval:{name}", settings(lm_eval_folder, bundle))
    [run] = proctor.run(suite, Scripted(), shots=shots, limit=limit, out=tmp_path)
    recorded = BUNDLES[bundle][f"group {name}"]
    results = {result.task: result for result in run.manifest.tasks}
    derived = {task for task, result in results.items() if result.source == "group"}
    assert derived == set(recorded["groups"])
    for task, numbers in recorded["results"].items():
        stated = {key: value for key, value in numbers.items() if "," in key and "_stderr" not in key}
        if not stated:
            continue
        ours = {f"{metric.name.partition(',')[0]},{metric.name.partition(',')[2] or 'none'}": metric for metric in results[task].metrics}
        assert set(ours) == set(stated)
        for key, value in stated.items():
            assert close(ours[key].value, value), (task, key)
            stderr = numbers[key.replace(",", "_stderr,", 1)]
            if not isinstance(stderr, str):
                assert close(ours[key].stderr, stderr), (task, key)
        assert results[task].items == numbers["sample_len"]
    for task in derived:
        assert results[task].protocol["members"] == recorded["group_subtasks"][task]
        assert results[task].weight == 0
