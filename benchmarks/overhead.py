"""What Proctor itself costs per attempt: plan, render, hash, journal, score, write Parquet, with a model that costs nothing.

    python benchmarks/overhead.py [ITEMS] [--only WORDS]

Made-up tasks of ITEMS items (default 20,000) in JSON-lines files, each in a process of its own, on `baseline:random`: questions of 45
words, four choices of six; without examples and with five, which make a prompt of some 1,700 to 2,700 characters. Prints the CPU time of
each stretch in microseconds per attempt, the wall time and the peak memory.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

import proctor
from proctor.engine.run import Observer

TEXT = """the of a river which year first city under measure between light system often several number called large found water energy
state during known change process following example north field small century pressure increase cell result surface person law"""

FREE = """
response: {kind: generate, max_tokens: 8}
scoring: {extract: number, metrics: numeric}
item: {target: answer}
"""
CHOICE = "item: {choices: choices, target: right, target_as: index}\n"
TASKS = {
    "free answers": 'prompt: "{{ question }}"' + FREE,
    "free answers, 5 examples": 'prompt: {template: "Question: {{ question }}\\nAnswer:", shots: 5}' + FREE,
    "four choices": 'prompt: "{{ question }}"\nresponse: {kind: choice, by: text}\n' + CHOICE,
    "four letters": 'prompt: "{{ question }}\\n{{ options }}\\nAnswer:"\nresponse: choice\n' + CHOICE,
    "four letters, 5 examples": 'prompt: {template: "{{ question }}\\n{{ options }}\\nAnswer:", shots: 5}\nresponse: choice\n' + CHOICE,
}


def text(rng, words):
    return " ".join(rng.choices(TEXT.split(), k=words)).capitalize()


def write_items(path, count):
    rng = random.Random(count)
    with path.open("w") as file:
        for k in range(count):
            choices = [f"{text(rng, 6)} {k}{letter}" for letter in "abcd"]
            row = {"id": f"item-{k}", "question": f"{text(rng, 45)} {k}?", "choices": choices, "right": k % 4, "answer": k % 997}
            file.write(json.dumps(row) + "\n")


class Times(Observer):
    """CPU seconds at which each stretch ends."""

    def begin(self, run, model, suite, total, kept):
        self.planned = time.process_time()

    def scoring(self):
        self.asked = time.process_time()


def measure(keys, folder, answer):
    Path(folder, "made-up.yaml").write_text(f"task: made-up\ndata: {{files: items.jsonl}}\n{keys}")
    times = Times()
    wall, cpu = time.perf_counter(), time.process_time()
    task = proctor.load_task(f"{folder}/made-up.yaml")
    loaded = time.process_time()
    (run,) = proctor.run(task, "baseline:random", out=f"{folder}/store", observer=times)
    stretches = [loaded - cpu, times.planned - loaded, times.asked - times.planned, time.process_time() - times.asked]
    assert run.manifest.totals["states"]["scored"] == len(task.items)
    answer.send((stretches, time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("items", type=int, nargs="?", default=20_000)
    parser.add_argument("--only", default="", help="the tasks whose names have these words")
    args = parser.parse_args()
    print(
        f"{args.items:,} items       CPU, µs each:{'load':>7}{'plan':>7}{'ask':>7}{'write':>7}{'attempt':>9}{'wall, s':>9}{'peak, MiB':>11}"
    )
    context = multiprocessing.get_context("spawn")
    for name, keys in TASKS.items():
        if args.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write_items(Path(folder, "items.jsonl"), args.items)
            ours, theirs = context.Pipe()
            process = context.Process(target=measure, args=(keys, folder, theirs))
            process.start()
            theirs.close()
            stretches, wall, peak = ours.recv()
            process.join()
        each = [1e6 * seconds / args.items for seconds in stretches]
        print(f"{name:33}" + "".join(f"{one:7.0f}" for one in each) + f"{sum(each[1:]):9.0f}{wall:9.1f}{peak:11.0f}", flush=True)


if __name__ == "__main__":
    main()
