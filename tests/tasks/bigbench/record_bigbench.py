"""Writes `recorded_bigbench.json`: what BIG-bench's own code asks and finds, of made-up tasks and of those in the shared data.

    python record_bigbench.py BIGBENCH-SOURCE SHARED/data/big_bench

It runs where BIG-bench 1.0.0 (its source archive, unpacked), numpy, scipy, scikit-learn, sacrebleu, rouge_score, editdistance, absl-py and
t5 (without what it depends on) are. TensorFlow is not needed: of it JSON tasks use no more than opening files, which is stood in for here.
Of the tasks of others only hashes of prompts, and numbers, are written.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHOTS = (0, 2)
EXAMPLES = 40  # of each task of others at most


def stand_ins() -> None:
    """Modules that BIG-bench imports and JSON tasks do not need."""
    gfile = types.SimpleNamespace(GFile=open, isdir=os.path.isdir, glob=glob.glob)
    for name in ("tensorflow", "tensorflow.compat", "tensorflow.compat.v1", "tensorflow.compat.v2"):
        module = sys.modules[name] = types.ModuleType(name)
        module.io = types.SimpleNamespace(gfile=gfile)  # type: ignore[attr-defined]
        module.logging = types.SimpleNamespace(info=print)  # type: ignore[attr-defined]
    datasets = sys.modules["datasets"] = types.ModuleType("datasets")
    datasets.load_metric = None  # type: ignore[attr-defined]
    spec = importlib.util.find_spec("t5")  # its own __init__ imports all of it
    assert spec is not None
    assert spec.origin is not None
    for name in ("t5", "t5.evaluation"):
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")[1:]))]


class Model:
    """The scripted model in BIG-bench's interface."""

    samples: list[dict[str, Any]]

    def cond_log_prob(self, inputs: list[str], targets: list[list[str]], absolute_normalization: bool) -> list[list[float]]:
        from bigbench_scripted import loglikelihood

        return [[loglikelihood(one, text) for text in texts] for one, texts in zip(inputs, targets, strict=True)]

    def generate_text(self, inputs: list[str], stop_string: str | None, output_regex: str | None) -> list[str]:
        from bigbench.models.model_utils import postprocess_output
        from bigbench_scripted import written

        texts = [written(one, sample["target"]) for one, sample in zip(inputs, self.samples, strict=True)]
        return [postprocess_output(text, None, stop_string, output_regex) for text in texts]


def recorded(data: dict[str, Any], shots: int, texts: bool) -> dict[str, Any]:
    """What a task asks and finds with so many examples."""
    from bigbench.api import json_task

    task = json_task.JsonTask(json.loads(json.dumps(data)), shot_list=[shots])
    task.metrics = [name for name in task.metrics if name != "bleurt"]
    task.generative_metrics = [name for name in task.generative_metrics if name != "bleurt"]
    model = Model()
    model.samples = json_task.make_nshot_dataset(
        task._ds, shots, random_seed=42, separator=task.few_shot_example_separator, max_examples=task.num_examples
    )
    found = task.evaluate_fixed_shot(model, shots)
    inputs = sorted(task.task_prefix + sample["input"] for sample in model.samples)  # with examples they come shuffled
    entry: dict[str, Any] = {"low": task.low_score, "high": task.high_score, "scores": {k: float(v) for k, v in sorted(found.items())}}
    if task.preferred_score in found:
        entry["normalised"] = 100 * (found[task.preferred_score] - task.low_score) / (task.high_score - task.low_score)
    if texts:
        entry["inputs"] = inputs
    else:
        entry["inputs"] = hashlib.sha256("\0".join(inputs).encode()).hexdigest()
    return entry


def main(source: str, shared: str) -> None:
    sys.path[:0] = [source, str(HERE)]
    stand_ins()
    from bigbench_cases import CASES

    made = {name: {str(shots): recorded(data, shots, True) for shots in SHOTS} for name, data in CASES.items()}
    others: dict[str, Any] = {}
    for path in sorted(Path(shared).rglob("task.json")):
        data = json.loads(path.read_bytes())
        name = str(path.parent.relative_to(shared))
        if "examples" not in data:
            continue
        data["examples"] = data["examples"][:EXAMPLES]
        try:
            others[name] = {str(shots): recorded(data, shots, False) for shots in SHOTS}
        except Exception as error:
            others[name] = {"error": f"{type(error).__name__}: {error}"[:200]}
    (HERE / "recorded_bigbench.json").write_text(json.dumps({"made": made, "others": others}, indent=0, sort_keys=True) + "\n")
    print(len(made), len(others), [name for name, one in others.items() if "error" in one])


if __name__ == "__main__":
    main(*sys.argv[1:])
