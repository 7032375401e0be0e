"""Inspect, lm-evaluation-harness and Proctor over the same chat requests against the same server, one after the other in one run.

    python benchmarks/api_peers.py [--inspect PYTHON] [--lm-eval PYTHON] [--server slow faulty instant] [--requests 5000]

PYTHON is the interpreter of an environment that has the peer (`pip install inspect-ai openai`; `pip install lm-eval[api]`). Each is started
as its users start it, as a process of its own, over the same file of items; every item must come back with its own answer. The server is
that of `api_engine.py`, 256 connections. Printed: seconds from first request to last answer, and their share of the ideal (256 connections
never idle); wall time and CPU (user and system, of the whole process tree) from start to end; CPU per item; time to the first request.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from api_engine import CONNECTIONS, serve

TASK = """task: echo
dataset_path: json
dataset_kwargs: {{data_files: {{test: {items}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{until: [], max_gen_toks: 16, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""
SIDES = Path(__file__).parent / "peers"


def proctor(python, folder, url):
    Path(folder, "echo.yaml").write_text("task: echo\ndata: {files: items.jsonl}\nprompt: '{{ q }}'\nscoring: exact_match\n")
    command = [python, "-m", "proctor", "run", "echo.yaml", "-m", f"{url}?api=chat&concurrency={CONNECTIONS}#m", "--out", "store"]

    def check(count):
        (manifest,) = Path(folder, "store").glob("*/manifest.json")
        said = json.loads(manifest.read_text())
        assert said["totals"]["states"]["scored"] == count
        assert said["tasks"][0]["metrics"][0]["value"] == 1.0

    return command, check


def inspect(python, folder, url):
    return [python, str(SIDES / "inspect_side.py"), "items.jsonl", url, str(CONNECTIONS), "logs"], lambda count: None  # checks itself


def lm_eval(python, folder, url):
    Path(folder, "tasks").mkdir()
    Path(folder, "tasks", "echo.yaml").write_text(TASK.format(items=Path(folder, "items.jsonl")))
    arguments = f"model=m,base_url={url}/chat/completions,num_concurrent={CONNECTIONS},max_retries=10,tokenized_requests=False"
    command = [python, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", arguments, "--tasks", "echo"]
    command += ["--include_path", "tasks", "--apply_chat_template", "--output_path", "out", "--log_samples"]

    def check(count):
        (samples,) = Path(folder, "out").rglob("samples_echo_*.jsonl")
        rows = [json.loads(line) for line in samples.read_text().splitlines()]
        assert len(rows) == count
        assert all(row["exact_match"] == 1.0 for row in rows)

    return command, check


def run(side, python, url, count, shared):
    """(seconds from first request to last answer, wall, CPU, start-up); all in seconds, of the whole process tree."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"id": f"i{k}", "q": f"question {k}", "target": f"question {k}"} for k in range(count)]
        Path(folder, "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command, check = side(python, folder, url)
        home = {"HOME": folder, "XDG_CACHE_HOME": folder, "HF_HOME": folder, "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}
        first, last = shared
        first.value = last.value = 0.0
        said = Path(folder, "said.txt")
        began = time.time()
        pid = os.fork()
        if not pid:  # a fork of our own, as only wait4 tells what one child and its children used
            os.chdir(folder)
            out = os.open(said, os.O_WRONLY | os.O_CREAT)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.execve(command[0], command, {**os.environ, **home})
        _, status, used = os.wait4(pid, 0)
        wall = time.time() - began
        if status:
            sys.exit(f"{command}\n{said.read_text()[-3000:]}")
        check(count)
        return last.value - first.value, wall, used.ru_utime + used.ru_stime, first.value - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inspect", metavar="PYTHON")
    parser.add_argument("--lm-eval", metavar="PYTHON")
    parser.add_argument("--server", choices=("slow", "faulty", "instant"), nargs="+", default=("slow", "faulty", "instant"))
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--jitter", type=float, default=0.04)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    shared = context.Value("d", 0.0), context.Value("d", 0.0)
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, *shared), daemon=True)
    server.start()
    root = f"http://127.0.0.1:{ours.recv()}"
    sides = {"Proctor": (proctor, sys.executable), "lm-eval": (lm_eval, args.lm_eval), "Inspect": (inspect, args.inspect)}
    slow = f"{args.latency}/{args.jitter}"
    servers = {
        "slow": (f"{args.latency:g} ± {args.jitter:g} s", f"{slow}/0"),
        "faulty": ("the same, 1 % of 429 and 500", f"{slow}/0.01"),
        "instant": ("zero latency", "0/0/0"),
    }
    n, ideal = args.requests, args.requests * args.latency / CONNECTIONS
    print(f"{n} requests, {CONNECTIONS} connections, best of {args.rounds}; ideal {ideal:.2f} s")
    print(f"{'':30}{'':10}{'asking s':>10}{'of ideal':>10}{'wall s':>9}{'CPU s':>9}{'CPU ms/item':>13}{'start-up s':>12}")
    for way, path in (servers[name] for name in args.server):
        for name, (side, python) in sides.items():
            if python is None:
                continue
            taken = [run(side, python, f"{root}/{path}/v1", n, shared) for _ in range(args.rounds)]
            asking, wall, cpu, start = (min(one) for one in zip(*taken, strict=True))
            share = "" if way == "zero latency" else f"{100 * ideal / asking:.1f} %"
            print(f"{way:30}{name:10}{asking:10.2f}{share:>10}{wall:9.2f}{cpu:9.2f}{1000 * cpu / n:13.2f}{start:12.2f}", flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
