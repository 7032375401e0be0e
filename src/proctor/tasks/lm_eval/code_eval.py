"""The metric `code_eval` of the library `evaluate`, which task code loads to run programs: here they run in the sandbox."""

from __future__ import annotations

import importlib
import importlib.machinery
import math
import os
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proctor.scoring.sandbox.judge import judge
from proctor.scoring.sandbox.limits import Limits
from proctor.scoring.sandbox_tests import working_engine
from proctor.tasks.lm_eval.yaml_files import FunctionRef

_RUNS_BY_ITSELF = re.compile(r"\b(?:subprocess|multiprocessing|popen|os\.system|exec\(|eval\()")


class CodeEval:
    """Stands for what `evaluate.load("code_eval")` gives."""

    def compute(
        self,
        references: Sequence[str],
        predictions: Sequence[Sequence[str]],
        k: Sequence[int] = (1, 10, 100),
        num_workers: int = 4,
        timeout: float = 3.0,
    ) -> tuple[dict[str, float], dict[int, list[tuple[int, dict[str, Any]]]]]:
        """pass@k of the programs, and what became of each, as `code_eval` gives them.

        Args:
            references: the tests of each problem.
            predictions: the programs for each problem.
            k: the k of pass@k; those that a problem has fewer programs than are left out.
            num_workers: passed over; one for each core.
            timeout: seconds; here of processor time.
        """
        engine, limits = working_engine(), Limits(cpu=timeout)
        jobs = [(problem, program, tests) for problem, tests in enumerate(references) for program in predictions[problem]]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            verdicts = list(pool.map(lambda job: judge(engine, job[1], job[2], limits=limits), jobs))
        results: dict[int, list[tuple[int, dict[str, Any]]]] = {problem: [] for problem in range(len(references))}
        for (problem, _, _), verdict in zip(jobs, verdicts, strict=True):
            number = len(results[problem])
            said = "passed" if verdict.passed else f"failed: {verdict.reason}"
            results[problem].append((number, {"task_id": problem, "passed": verdict.passed, "result": said, "completion_id": number}))
        counts = [(len(found), sum(one["passed"] for _, one in found)) for found in results.values()]
        shares = {f"pass@{one}": _mean_pass_at(counts, one) for one in k if all(made >= one for made, _ in counts)}
        return shares, results


def _mean_pass_at(counts: list[tuple[int, int]], k: int) -> float:
    """Mean over problems of 1 − C(n−c, k)/C(n, k), for n programs of which c passed (Chen et al. 2021)."""
    return sum(1 - math.comb(made - passed, k) / math.comb(made, k) for made, passed in counts) / len(counts)


def runs_in_the_sandbox(keys: Mapping[str, Any]) -> bool:
    """Whether a task file's code runs programs by `code_eval` and, as far as its text shows, by nothing else."""
    files = {ref.file for ref in _functions(keys)}
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.exists()]
    return any("code_eval" in text for text in texts) and not any(_RUNS_BY_ITSELF.search(text) for text in texts)


def _functions(value: Any) -> Iterator[FunctionRef]:
    if isinstance(value, FunctionRef):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _functions(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _functions(one)


@contextmanager
def evaluate_in_the_sandbox(path: Path) -> Iterator[None]:
    """While a module that names `code_eval` is imported: an `evaluate` whose `code_eval` is ours. All else is of the library itself."""
    if "code_eval" not in path.read_text(encoding="utf-8", errors="replace"):
        yield
        return
    real = sys.modules.pop("evaluate", None)
    module = types.ModuleType("evaluate")
    module.__spec__ = importlib.machinery.ModuleSpec("evaluate", None)

    def library() -> Any:
        if sys.modules.get("evaluate") is module:
            del sys.modules["evaluate"]
        return importlib.import_module("evaluate")

    def load(name: str, *args: Any, **kwargs: Any) -> Any:
        return CodeEval() if name == "code_eval" else library().load(name, *args, **kwargs)

    vars(module).update(load=load, __getattr__=lambda name: getattr(library(), name))
    sys.modules["evaluate"] = module
    try:
        yield
    finally:
        sys.modules.pop("evaluate", None)
        if real is not None:
            sys.modules["evaluate"] = real
