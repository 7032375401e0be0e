"""Prompts and numbers against BIG-bench's own code, which `record_bigbench.py` ran."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from bigbench_cases import CASES
from bigbench_scripted import loglikelihood, written

from proctor.results.summary import Summary
from proctor.tasks.bigbench.suite import load_suite
from proctor.tasks.task import Task
from proctor.types import Generate, Response

RECORDED = json.loads((Path(__file__).parent / "recorded_bigbench.json").read_text())
EXAMPLES = 40  # as in record_bigbench.py


def put(data: dict[str, Any], folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(data))
    return f"bigbench:{folder}?compat=bigbench"


def asked(task: Task, index: int) -> str:
    request = task.request(task.items[index])
    prompt = request.prompt if isinstance(request, Generate) else request.prompts[0]
    return prompt.messages[0].content if prompt.messages else ""


def answered(task: Task) -> dict[str, float | None]:
    """The task's numbers for the scripted model."""
    summary = Summary(task, 1.0)
    for index, item in enumerate(task.items):
        request, context = task.request(item), asked(task, index)
        if isinstance(request, Generate):
            response = Response(text=written(context, item.target))
        else:
            response = Response(loglikelihoods=(tuple(loglikelihood(context, one) for one in request.continuations),))
        summary.add(item, response, task.scoring.score(item, request, response))
    return {metric.name: metric.value for metric in summary.result().metrics}


def compare(data: dict[str, Any], recorded: dict[str, Any], folder: Path) -> None:
    suite = load_suite(put(data, folder))
    for shots, found in recorded.items():
        tasks = [task.changed(shots=int(shots)) for task in suite.tasks]
        for task in tasks:
            inputs = sorted(asked(task, index) for index in range(len(task.items)))
            if isinstance(found["inputs"], str):
                assert hashlib.sha256("\0".join(inputs).encode()).hexdigest() == found["inputs"], (folder.name, shots)
            else:
                assert inputs == found["inputs"]
        numbers: dict[str, float | None] = {}
        for task in reversed(tasks):
            numbers |= answered(task)
        normalised = numbers.pop("normalised")
        assert numbers.keys() == found["scores"].keys()
        for name, value in found["scores"].items():
            # t5 gives as ROUGE the median of resampled means, drawn without a seed
            near = 4.0 if name.startswith("rouge") else 1e-9
            assert numbers[name] == pytest.approx(value, abs=near), (folder.name, shots, name)
        main = suite.entries[0]
        if "normalised" in found:
            near = 10.0 if tasks[0].scoring.metrics[0].name.startswith("rouge") else 1e-7
            assert normalised == pytest.approx(found["normalised"], abs=near)
            assert main.task.chance == pytest.approx(found["low"])
            assert main.weight == 1
        else:
            assert main.weight == 0


@pytest.mark.parametrize("name", CASES)
def test_made_up_tasks_as_bigbench_puts_and_scores_them(name: str, tmp_path: Path) -> None:
    compare(CASES[name], RECORDED["made"][name], tmp_path / name)


def shared() -> Path:
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "big_bench"
    if not folder.exists():
        pytest.skip("no shared data: set PROCTOR_SHARED")
    return folder


def test_bigbench_s_own_tasks_as_bigbench_puts_and_scores_them(tmp_path: Path) -> None:
    for name, recorded in RECORDED["others"].items():
        data = json.loads((shared() / name / "task.json").read_bytes())
        data["examples"] = data["examples"][:EXAMPLES]
        compare(data, recorded, tmp_path / name)
    assert len(RECORDED["others"]) == 123
