"""Record what lm-evaluation-harness makes of the made-up tasks: `python record_lm_eval.py [TASK…]`, where lm-eval 0.4.13 is installed.

With names of tasks only those are recorded anew, beside what is there. Writes `recorded_lm_eval.json.gz` beside this file: hashes of
prompts, and numbers.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ["DISABLE_MULTIPROC"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import lm_eval_cases as cases

ITERATIONS = 2000
RECORDED = Path(__file__).parent / "recorded_lm_eval.json.gz"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = folder
        cases.write(Path(folder))
        only = sys.argv[1:]
        recorded = json.loads(gzip.decompress(RECORDED.read_bytes()))["bundles"] if only else {}
        for bundle in cases.BUNDLES:
            recorded[bundle] = {**recorded.get(bundle, {}), **_record(bundle, Path(folder), only)}
    text = json.dumps({"lm_eval": "0.4.13", "iterations": ITERATIONS, "bundles": recorded}, ensure_ascii=False, sort_keys=True)
    RECORDED.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(RECORDED.stat().st_size, "bytes")


def _record(bundle: str, folder: Path, only: list[str]) -> dict:
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Scripted(LM):
        tokenizer_name = "scripted"

        def __init__(self) -> None:
            super().__init__()
            self.times: Counter = Counter()

        def loglikelihood(self, requests):
            return [cases.loglikelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests):
            return [cases.rolling(request.args[0]) for request in requests]

        def generate_until(self, requests):
            said = []
            for request in requests:
                key = (request.task_name, request.doc_id)
                said.append(cases.generated(request.args[0], self.times[key]))
                self.times[key] += 1
            return said

        def apply_chat_template(self, chat_history, add_generation_prompt=True):
            return cases.chat_text(chat_history, not add_generation_prompt)

        def chat_template(self, chat_template=False):
            return "scripted"

    shots, chat, limit = cases.BUNDLES[bundle]
    manager = TaskManager(include_path=str(folder / "tasks"), include_defaults=False)

    def run(names: list[str]) -> dict:
        found = simple_evaluate(
            model=Scripted(),
            tasks=names,
            num_fewshot=shots,
            limit=limit,
            apply_chat_template=chat != "off",
            fewshot_as_multiturn=chat == "turns",
            bootstrap_iters=ITERATIONS,
            task_manager=manager,
            log_samples=True,
        )
        assert found is not None
        return found

    recorded = {}
    for name in cases.names(bundle):
        if only and name not in only:
            continue
        try:
            found = run([name])
        except Exception as error:  # what the harness cannot do is recorded, too
            recorded[name] = {"error": type(error).__name__}
            print(bundle, name, "fails:", type(error).__name__, str(error)[:120])
            continue
        recorded[name] = {
            "results": _numbers(found["results"][name]),
            "higher_is_better": found["higher_is_better"].get(name),
            "samples": [
                {
                    "doc_id": one["doc_id"],
                    "doc_hash": one["doc_hash"][:16],
                    "arguments": digest(one["arguments"]),
                    "filter": one["filter"],
                    "filtered": digest(one["filtered_resps"]),
                    "target_hash": one["target_hash"][:16],
                    **{metric: _value(one[metric]) for metric in one["metrics"]},
                }
                for one in found["samples"][name]
            ],
        }
    if bundle in ("default", "three") and not only:
        for name in cases.groups():
            if shots and name == "nested":
                continue
            found = run([name])
            recorded[f"group {name}"] = {
                "results": {one: _numbers(numbers) for one, numbers in found["results"].items()},
                "groups": sorted(found.get("groups", {})),
                "group_subtasks": found["group_subtasks"],
                "versions": {one: str(version) for one, version in found["versions"].items()},
            }
    return recorded


def digest(arguments) -> str:
    """A hash of the arguments of a document's requests."""
    text = json.dumps(arguments, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numbers(results: dict) -> dict:
    return {key: _value(value) for key, value in results.items() if key not in ("name", "sample_count")}


def _value(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if value == value else "nan"
    return [_value(one) for one in value] if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    main()
