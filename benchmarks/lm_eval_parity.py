"""SmolLM2 on real items through lm-evaluation-harness's `hf` models and through Proctor, from the same task files.

    python benchmarks/lm_eval_parity.py PYTHON_WITH_LM_EVAL [ITEMS]

PYTHON_WITH_LM_EVAL is the interpreter of an environment with lm-eval 0.4.13 and its extra `hf`. ITEMS (default 12) is the number of
questions of each task: MMLU (three subjects, 3 examples, also through the chat template), ARC-Easy (whole answers, none), GSM8K (2
examples, short answers), and the texts of GSM8K rolled over. Both sides compute in float32. Prints the largest difference of
log-likelihoods, whether numbers and texts agree, and the time. Exit code 1 where a log-likelihood differs by more than 1e-3 (1e-2 of a
whole document), or a number does.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2] / "shared")) / "data"
SUBJECTS = ("astronomy", "philosophy", "abstract_algebra")
PEER = """
import json, os, sys, time
os.environ["HF_HUB_OFFLINE"] = "1"
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
folder, gguf, limit, out = sys.argv[1:]
loading = time.perf_counter()
lm = HFLM(pretrained=os.path.dirname(gguf), gguf_file=os.path.basename(gguf), dtype="float32", device="cpu", batch_size=4)
loading = time.perf_counter() - loading
found = {}
for tasks, shots, chat in json.loads(os.environ["PARITY_TASKS"]):
    began = time.perf_counter()
    manager = TaskManager(include_path=folder, include_defaults=False)
    done = simple_evaluate(
        model=lm, tasks=tasks, num_fewshot=shots, limit=int(limit), task_manager=manager, bootstrap_iters=0,
        apply_chat_template=chat != "off", fewshot_as_multiturn=chat == "turns",
    )
    seconds = time.perf_counter() - began
    for name in tasks:
        samples = sorted(done["samples"][name], key=lambda one: one["doc_id"])
        numbers = {k: v for k, v in done["results"][name].items() if isinstance(v, float)}
        shown = name + ("" if chat == "off" else f" ({chat})")
        found[shown] = {"results": numbers, "resps": [one["resps"] for one in samples], "seconds": seconds / len(tasks)}
json.dump({"tasks": found, "loading": loading}, open(out, "w"), default=str)
"""


def prepare(folder: Path) -> list[tuple[list[str], int, str]]:
    """Write data and task files; the tasks with their number of examples and use of the chat template."""

    def write(name: str, rows: list[dict]) -> str:
        path = folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def task(name: str, text: str) -> None:
        (folder / f"{name}.yaml").write_text(f"task: {name}\ndataset_path: json\n{text}")

    for subject in SUBJECTS:
        files = {}
        for split in ("dev", "test"):
            with (SHARED / "mmlu" / split / f"{subject}_{split}.csv").open(newline="") as file:
                rows = [{"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5])} for row in csv.reader(file)]
            files[split] = write(f"{subject}-{split}.jsonl", rows)
        task(
            f"mmlu_{subject}",
            f"dataset_kwargs: {{data_files: {json.dumps(files)}}}\noutput_type: multiple_choice\ntest_split: test\nfewshot_split: dev\n"
            "fewshot_config: {sampler: first_n}\n"
            'description: "The following are multiple choice questions (with answers).\\n\\n"\n'
            'doc_to_text: "{{question.strip()}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\n'
            'D. {{choices[3]}}\\nAnswer:"\n'
            'doc_to_choice: ["A", "B", "C", "D"]\ndoc_to_target: answer\n',
        )
    rows = []
    for one in json.loads((SHARED / "llm_adapters_commonsense_math" / "ARC-Easy_test.json").read_text()):
        question = re.search(r"question:?\s*(.*?)\n\nAnswer1:", one["instruction"], re.DOTALL)
        choices = re.findall(r"Answer\d+: (.*?)(?= Answer\d+:|\n\n)", one["instruction"], re.DOTALL)
        if question and len(choices) > 2:
            rows.append({"question": question[1].strip(), "choices": choices, "answer": int(one["answer"].removeprefix("answer")) - 1})
    task(
        "arc",
        f"dataset_kwargs: {{data_files: {{test: {json.dumps(write('arc.jsonl', rows))}}}}}\noutput_type: multiple_choice\n"
        "test_split: test\n"
        'doc_to_text: "Question: {{question}}\\nAnswer:"\ndoc_to_choice: choices\ndoc_to_target: answer\n'
        "metric_list: [{metric: acc}, {metric: acc_norm}]\n",
    )
    lines = (SHARED / "gsm8k" / "train_first500.jsonl").read_text().splitlines()
    sums = [json.loads(line) for line in lines]
    files = {"train": write("sums-train.jsonl", sums[:20]), "test": write("sums-test.jsonl", sums[20:])}
    task(
        "gsm8k",
        f"dataset_kwargs: {{data_files: {json.dumps(files)}}}\noutput_type: generate_until\ntest_split: test\nfewshot_split: train\n"
        'doc_to_text: "Question: {{question}}\\nAnswer:"\ndoc_to_target: "{{answer}}"\n'
        'generation_kwargs: {until: ["Question:", "</s>", "<|im_end|>"], do_sample: false, temperature: 0.0, max_gen_toks: 48}\n'
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, regexes_to_ignore: [',']}]\n"
        "filter_list:\n  - name: flexible-extract\n    filter:\n"
        "      - {function: regex, group_select: -1, regex_pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)'}\n      - {function: take_first}\n",
    )
    task(
        "texts",
        f"dataset_kwargs: {{data_files: {{test: {json.dumps(files['test'])}}}}}\noutput_type: loglikelihood_rolling\ntest_split: test\n"
        'doc_to_text: ""\ndoc_to_target: "{{question}} {{answer}}"\n',
    )
    mmlu = [f"mmlu_{subject}" for subject in SUBJECTS]
    return [(mmlu, 3, "off"), (mmlu[:1], 3, "turns"), (mmlu[1:2], 3, "one-turn"), (["arc", "texts"], 0, "off"), (["gsm8k"], 2, "off")]


def ours(folder: Path, bundles: list[tuple[list[str], int, str]], items: int) -> dict[str, dict]:
    """The same through Proctor."""
    import polars as pl

    import proctor
    from proctor.tasks.lm_eval.settings import LmEvalSettings
    from proctor.tasks.load import load_suite

    model = proctor.open_model("smollm2?dtype=float32")
    found: dict[str, dict] = {}
    for names, shots, chat in bundles:
        began = time.perf_counter()
        suite = load_suite([f"lm-eval:{name}" for name in names], LmEvalSettings(paths=(str(folder),), compat=True, chat=chat))
        [run] = proctor.run(suite, model, shots=shots, limit=items, out=folder / "store")
        seconds = (time.perf_counter() - began) / len(names)
        frame = pl.read_parquet(run.attempts_path)
        for result in run.manifest.tasks:
            rows = frame.filter(pl.col("task") == result.task)
            found[result.task + ("" if chat == "off" else f" ({chat})")] = {
                "results": {f"{m.name.partition(',')[0]},{m.name.partition(',')[2] or 'none'}": m.value for m in result.metrics},
                "lls": rows["loglikelihoods"].to_list(),
                "texts": rows["text"].to_list(),
                "seconds": seconds,
            }
    return found


def main() -> None:
    peer, items = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12
    from proctor.models.weights import _packaged

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = prepare(folder)
        mine = ours(folder, bundles, items)
        said = folder / "peer.json"
        environment = {**os.environ, "PARITY_TASKS": json.dumps(bundles), "HF_HOME": str(folder / "hf")}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [peer, "-c", PEER, str(folder), str(_packaged()), str(items), str(said)], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        theirs = json.loads(said.read_text())
    print(f"{'task':<30}{'items':>6}{'largest difference':>20}{'same numbers':>14}{'same texts':>12}{'lm-eval s':>11}{'Proctor s':>11}")
    bad = False
    for name, other in theirs["tasks"].items():
        own = mine[name]
        differences = [
            abs(float(a if isinstance(a, int | float | str) else a[0]) - b)
            for per_item, row in zip(other["resps"], own["lls"], strict=True)
            if row is not None
            for (a,), b in zip(per_item, [one for prompt in row for one in prompt], strict=True)
        ]
        texts = [(per_item[0][0], text) for per_item, text in zip(other["resps"], own["texts"], strict=True) if text is not None]
        same_texts = sum(a == b for a, b in texts)
        rolled = name == "texts"
        same = all(
            abs(own["results"][key] - value) < (1e-3 * max(1, abs(value)) if rolled else 1e-12) for key, value in other["results"].items()
        )
        largest = max(differences, default=0.0)
        bad = bad or largest > (1e-2 if rolled else 1e-3) or not same  # a whole document is hundreds of tokens
        shown = f"{same_texts}/{len(texts)}" if texts else "–"
        print(f"{name:<30}{len(other['resps']):>6}{largest:>20.2e}{same!s:>14}{shown:>12}{other['seconds']:>11.1f}{own['seconds']:>11.1f}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
