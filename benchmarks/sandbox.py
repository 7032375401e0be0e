"""What judging a program in the sandbox costs, and whether its verdicts are the published ones.

    python benchmarks/sandbox.py                  seconds per program, programs per second, beside a plain process, in one run
    python benchmarks/sandbox.py --references     every reference solution of HumanEval and MBPP
    python benchmarks/sandbox.py --verdicts       every program of FastEval's two models, its verdict beside the published one

The last two need the shared data (`PROCTOR_SHARED`).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from proctor.scoring.code import called, helpers_of, whole_program
from proctor.scoring.sandbox.engines import base_python
from proctor.scoring.sandbox.judge import judge, run
from proctor.scoring.sandbox_tests import working_engine

PROGRAM = "def add(a, b):\n    return a + b\n"
TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0\n"
CORES = os.cpu_count() or 1


def costs(count: int) -> None:
    """Print what one program costs: alone, and several at a time."""
    engine = working_engine()

    def plain(_: int) -> None:
        subprocess.run([base_python(), "-I", "-c", PROGRAM + TESTS], check=True)

    ways: dict[str, Callable[[int], Any]] = {
        "a plain process, program and tests together": plain,
        "sandbox, program and tests together (`run`)": lambda _: run(engine, PROGRAM + TESTS),
        "two sandboxes (`judge`)": lambda _: judge(engine, PROGRAM, TESTS),
    }
    print(f"{CORES} cores, engine {engine.name}, {count} programs each\n")
    print("| way | wall, median | programs per second, one thread for each core |\n| --- | --- | --- |")
    for name, way in ways.items():
        walls = []
        for number in range(count):
            started = time.perf_counter()
            way(number)
            walls.append(time.perf_counter() - started)
        started = time.perf_counter()
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(way, range(count)))
        rate = count / (time.perf_counter() - started)
        print(f"| {name} | {1000 * median(walls):.0f} ms | {rate:.1f} |")


def shared(name: str) -> Path:
    return Path(os.environ.get("PROCTOR_SHARED", "../shared")) / "data" / name


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def human_eval(problem: dict[str, Any], answer: str) -> tuple[bool, str]:
    """The verdict on an answer to a problem of HumanEval, as `sandbox_tests` gives it."""
    prompt, entry = problem["prompt"], problem["entry_point"]
    tests = called(problem["test"], entry)
    verdict = judge(working_engine(), whole_program(prompt, answer, entry), tests, helpers=helpers_of(prompt, entry), entry_point=entry)
    return verdict.passed, verdict.reason


def mbpp(problem: dict[str, Any], answer: str) -> tuple[bool, str]:
    verdict = judge(working_engine(), answer, "\n".join([problem["test_setup_code"], *problem["test_list"]]))
    return verdict.passed, verdict.reason


def in_threads(jobs: Iterable[tuple[Any, Callable[[], tuple[bool, str]]]]) -> list[tuple[Any, tuple[bool, str]]]:
    jobs = list(jobs)
    with ThreadPoolExecutor(CORES) as pool:
        return [(name, result) for (name, _), result in zip(jobs, pool.map(lambda job: job[1](), jobs), strict=True)]


def references() -> bool:
    """Print how many reference solutions pass; whether all do."""
    good = True
    for name, path, check, key in (
        ("HumanEval", "humaneval/data/HumanEval.jsonl", human_eval, "canonical_solution"),
        ("MBPP", "mbpp/mbpp.jsonl", mbpp, "code"),
    ):
        started = time.perf_counter()
        found = in_threads((one["task_id"], lambda one=one, check=check, key=key: check(one, one[key])) for one in lines(shared(path)))
        failed = {task: reason for task, (passed, reason) in found if not passed}
        print(f"{name}: {len(found) - len(failed)} of {len(found)} reference solutions pass, {time.perf_counter() - started:.0f} s")
        print("".join(f"  {task}: {reason}\n" for task, reason in failed.items()), end="")
        good = good and not failed
    return good


def verdicts() -> bool:
    """Print each verdict that differs from FastEval's (tests of HumanEval proper); whether none does."""
    problems = {one["task_id"]: one for one in lines(shared("humaneval/data/HumanEval.jsonl"))}
    with shared("fasteval/humanevalplus_success.csv").open(encoding="utf-8") as file:
        published = {(row["model"], row["task_id"], int(row["sample"])): row["base"] == "1" for row in csv.DictReader(file)}
    jobs = []
    for path in sorted(shared("fasteval").glob("humanevalplus_answers_*.jsonl")):
        model = path.stem.removeprefix("humanevalplus_answers_")
        samples: Counter[str] = Counter()
        for row in lines(path):
            task = row["task_id"]
            name = (model, task, samples[task])
            samples[task] += 1
            jobs.append((name, lambda task=task, text=row["completion_processed"]: human_eval(problems[task], text)))
    started = time.perf_counter()
    found = in_threads(jobs)
    different = [(name, ours, reason) for name, (ours, reason) in found if ours != published[name]]
    print(f"{len(found) - len(different)} of {len(found)} verdicts as published, {time.perf_counter() - started:.0f} s")
    for model, task, sample in dict.fromkeys(name for name, _, _ in different):
        ours, reason = next((ours, reason) for name, ours, reason in different if name == (model, task, sample))
        print(f"  {model}, {task}, sample {sample}: published {published[model, task, sample]}, here {ours}: {reason}")
    for model in sorted({name[0] for name, _ in found}):
        mine = [passed for name, (passed, _) in found if name[0] == model]
        print(f"  {model}: pass@1 {sum(mine) / len(mine):.6f}")
    return not different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", action="store_true")
    parser.add_argument("--verdicts", action="store_true")
    parser.add_argument("--count", type=int, default=60, help="programs to measure")
    chosen = parser.parse_args()
    if chosen.references:
        sys.exit(0 if references() else 1)
    if chosen.verdicts:
        sys.exit(0 if verdicts() else 1)
    costs(chosen.count)


if __name__ == "__main__":
    main()
