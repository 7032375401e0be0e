"""What the harness itself costs, beside lm-evaluation-harness and Inspect: 20,000 items without a model, and the first request.

    python benchmarks/peers_without_model.py --lm-eval PYTHON [--inspect PYTHON] [--items 20000] [--rounds 2]

PYTHON is the interpreter of the peer's own environment:

    python -m venv lmeval; lmeval/bin/pip install torch==2.13.0; lmeval/bin/pip install "lm_eval[hf,api]==0.4.13"
    python -m venv inspect; inspect/bin/pip install inspect-ai openai

Whole commands in turn, each a process of its own, all of whose answers are kept on the disk: `proctor run` and `lm-eval run
--log_samples` over the same made-up JSON-lines file. Free answers: `baseline:majority` and lm-eval's `dummy` both answer "lol" to
everything, which is right for one item in four, so that both must report the same number. Four choices: both guess, so that both must
report a quarter within four standard errors. Inspect's `mockllm/model` answers the same text to everything. Then 20 items at a server
here that answers at once, and what passes until its first request.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TEXT = "the of a river year first city under measure between light system often several number called large found water energy state"
PROCTOR = """
task: free
data: {files: items.jsonl}
prompt: "{{ question }}\\nAnswer:"
response: {kind: generate, max_tokens: 8}
scoring: exact_match
===
task: choices
data: {files: items.jsonl}
prompt: "{{ question }}\\nAnswer:"
response: {kind: choice, by: text}
item: {choices: choices, target: right, target_as: index}
"""
LM_EVAL = """
task: free
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/items.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{ question }}\\nAnswer:"
doc_to_target: "{{ target }}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
===
task: choices
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/items.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{ question }}\\nAnswer:"
doc_to_choice: choices
doc_to_target: right
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
INSPECT = """
import sys
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

@task
def free():
    data = json_dataset("FOLDER/items.jsonl", FieldSpec(input="question", target="target", id="id"))
    return Task(data, solver=generate(), scorer=exact())
"""


def write_items(path, count):
    rng = random.Random(count)
    with path.open("w") as file:
        for k in range(count):
            question = " ".join(rng.choices(TEXT.split(), k=45)).capitalize()
            choices = [f"{' '.join(rng.choices(TEXT.split(), k=6))} {letter}" for letter in "abcd"]
            row = {
                "id": f"i{k}",
                "question": f"{question} {k}?",
                "choices": choices,
                "right": k % 4,
                "target": "lol" if k % 4 == 0 else f"w{k}",
            }
            file.write(json.dumps(row) + "\n")


def write_tasks(folder):
    for text, kind in ((PROCTOR, "proctor"), (LM_EVAL, "lm_eval")):
        (folder / kind).mkdir()
        for one in (
            text.replace("FOLDER", str(folder))
            .replace("items.jsonl", "items.jsonl" if kind == "lm_eval" else "../items.jsonl")
            .split("===")
        ):
            name = re.search(r"task: (\w+)", one)[1]
            (folder / kind / f"{name}.yaml").write_text(one)
    (folder / "inspect_free.py").write_text(INSPECT.replace("FOLDER", str(folder)))


class Run:
    """One whole command: seconds, CPU seconds and peak memory of the process (MiB)."""

    def __init__(self, command, folder):
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hf"),
            "OPENAI_API_KEY": "none",
            "TOKENIZERS_PARALLELISM": "false",
        }
        began = time.perf_counter()
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.wall, self.cpu, self.peak = time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{(folder / 'said').read_text()[-3000:]}")


def proctor_command(model, task, store):
    return [sys.executable, "-m", "proctor", "run", f"proctor/{task}.yaml", "-m", model, "--out", store]


def lm_eval_command(python, task, store, *model):
    return [python, "-m", "lm_eval", "run", *model, "--tasks", task, "--include_path", "lm_eval", "--output_path", store, "--log_samples"]


def inspect_command(python, store, *model):
    return [python, "-m", "inspect_ai", "eval", "inspect_free.py", *model, "--log-dir", store, "--display", "none"]


def proctor_result(folder, store, task):
    manifest = json.loads(next((folder / store).glob("*/manifest.json")).read_text())
    (result,) = manifest["tasks"]
    return result["items"], result["metrics"][0]["value"]


def lm_eval_result(folder, store, task):
    (found,) = (folder / store).rglob("results_*.json")
    results = json.loads(found.read_text())
    value = next(v for k, v in results["results"][task].items() if k.split(",")[0] in ("exact_match", "acc"))
    return results["n-samples"][task]["effective"], value


def without_model(folder, args):
    def report(name, runs):
        best = min(runs, key=lambda run: run.wall)
        print(f"  {name:34}{best.wall:9.1f}{best.cpu:9.1f}{min(run.peak for run in runs):9.0f}", flush=True)
        return best.wall

    print(f"{args.items:,} items, whole commands:{'':9}{'seconds':>9}{'CPU s':>9}{'MiB':>9}")
    for task, baseline in (("free", "baseline:majority"), ("choices", "baseline:random")):
        runs = {}
        for k in range(args.rounds):
            ours, theirs = f"ours-{task}-{k}", f"theirs-{task}-{k}"
            runs.setdefault(f"proctor, {baseline}", []).append(Run(proctor_command(baseline, task, ours), folder))
            runs.setdefault("lm-eval, dummy", []).append(Run(lm_eval_command(args.lm_eval, task, theirs, "--model", "dummy"), folder))
            found, expected = proctor_result(folder, ours, task), lm_eval_result(folder, theirs, task)
            assert found[0] == expected[0] == args.items, (found, expected)
            if task == "free":
                assert found[1] == expected[1] == 0.25, (found, expected)
            else:
                assert all(abs(value - 0.25) < 4 * (0.1875 / args.items) ** 0.5 for _, value in (found, expected)), (found, expected)
            if args.inspect and task == "free":
                command = inspect_command(args.inspect, f"inspect-{k}", "--model", "mockllm/model")
                runs.setdefault("inspect, mockllm", []).append(Run(command, folder))
        print(f" {task}: proctor {found[1]:.4f}, lm-eval {expected[1]:.4f}")
        walls = [report(name, ones) for name, ones in runs.items()]
        print(f"  ratio: {', '.join(f'{wall / walls[0]:.1f}' for wall in walls[1:])}")


class Server(BaseHTTPRequestHandler):
    """Chat completions, at once; keeps when the first request came."""

    protocol_version = "HTTP/1.1"
    first = None

    def do_POST(self):
        Server.first = Server.first or time.perf_counter()
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "lol"}
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        said = json.dumps(body | {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


def first_request(folder, args):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    chat = [
        "--model",
        "local-chat-completions",
        "--model_args",
        f"base_url={base}/chat/completions,model=m,num_concurrent=8",
        "--apply_chat_template",
    ]
    commands = {
        "proctor": lambda k: proctor_command(f"{base}?api=chat#m", "free", f"first-ours-{k}"),
        "lm-eval": lambda k: lm_eval_command(args.lm_eval, "free", f"first-theirs-{k}", *chat),
    }
    if args.inspect:
        model = ["--model", "openai/m", "--model-base-url", base, "-M", "responses_api=false"]
        commands["inspect"] = lambda k: inspect_command(args.inspect, f"first-inspect-{k}", *model)
    print("20 items, from the start of the command to its first request, least of all rounds; ratio")
    least = {}
    for k in range(args.rounds + 1):
        for name, command in commands.items():
            Server.first = None
            began = time.perf_counter()
            Run(command(k), folder)
            least[name] = min(least.get(name, 1e9), Server.first - began)
    for name, seconds in least.items():
        print(f"  {name:34}{seconds:9.2f}{seconds / least['proctor']:9.1f}")
    server.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lm-eval", required=True, metavar="PYTHON")
    parser.add_argument("--inspect", metavar="PYTHON")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    for count, measure in ((args.items, without_model), (20, first_request)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_items(folder / "items.jsonl", count)
            write_tasks(folder)
            measure(folder, args)


if __name__ == "__main__":
    main()
