"""Runs as they come out of a real suite, for every test of the reports."""

import math
from collections.abc import Callable

import pytest

from proctor.results.manifest import Manifest, MetricResult, TaskResult

CORE = (  # name, domain, capabilities, items, chance, metric, bounds
    ("knowledge", "knowledge", ["knowledge"], 48, 0.25, "acc", (0.0, 1.0)),
    ("commonsense", "reasoning", ["reasoning"], 40, 0.5, "acc", (0.0, 1.0)),
    ("reading", "language", ["reading"], 30, 0.25, "acc", (0.0, 1.0)),
    ("arithmetic", "mathematics", ["mathematics"], 40, 0.0, "numeric", (0.0, 1.0)),
    ("word_problems", "mathematics", ["mathematics", "reasoning"], 24, 0.0, "numeric", (0.0, 1.0)),
    ("logic", "reasoning", ["reasoning"], 36, 0.5, "acc", (0.0, 1.0)),
    ("dates", "reasoning", ["reasoning", "planning"], 30, 0.25, "acc", (0.0, 1.0)),
    ("units", "science", ["mathematics"], 30, 0.25, "acc", (0.0, 1.0)),
    ("code_output", "code", ["code"], 24, 0.0, "exact_match", (0.0, 1.0)),
    ("code_writing", "code", ["code"], 12, 0.0, "passed", (0.0, 1.0)),
    ("multilingual", "language", ["language"], 45, 0.25, "acc", (0.0, 1.0)),
    ("grammar", "language", ["language"], 40, 0.5, "acc", (0.0, 1.0)),
    ("sentiment", "language", ["language"], 36, 0.333, "macro_f1", (0.0, 1.0)),
    ("instructions", "instructions", ["instruction-following"], 20, 0.0, "all", (0.0, 1.0)),
    ("needle", "retrieval", ["retrieval"], 10, 0.0, "contains", (0.0, 1.0)),
    ("odd_one_out", "knowledge", ["reasoning", "knowledge"], 24, 0.25, "acc", (0.0, 1.0)),
)


def make_task(name: str, value: float | None, items: int = 40, **more) -> TaskResult:
    """A task's result; `stderr` as of a proportion unless given."""
    bounds = more.pop("bounds", (0.0, 1.0))
    stderr = more.pop("stderr", None if value is None or bounds != (0.0, 1.0) else math.sqrt(value * (1 - value) / (items - 1)))
    metric = MetricResult(more.pop("metric", "acc"), value, stderr, more.pop("higher_is_better", True), bounds)
    states = more.pop("states", {"scored": items})
    extra = more.pop("extra", [])
    return TaskResult(name, "p" + name, [metric, *extra], items, items, states, groups=items, **more)


def make_run(model: str, tasks: list[TaskResult], **more) -> Manifest:
    """A complete run of the suite `core` unless told otherwise."""
    fingerprint = more.pop("fingerprint", "f" + model.encode("utf-8", "replace").hex()[-15:].rjust(15, "0"))
    suite, suite_hash = more.pop("suite", "core"), more.pop("suite_hash", "3fa1b2c4d5e6f708")
    return Manifest(
        run=more.pop("run", f"{suite}-{fingerprint[:6]}"),
        suite=suite,
        suite_hash=suite_hash,
        model=model,
        fingerprint=fingerprint,
        signature=more.pop("signature", f"{suite}#{suite_hash}|model:{model}@{fingerprint[:8]}|proctor:0.1.0"),
        state=more.pop("state", "complete"),
        tasks=tasks,
        totals=more.pop("totals", {"input_tokens": 35_204, "output_tokens": 5_110, "cost": None}),
        settings=more.pop("settings", {}),
        started_at=more.pop("started_at", 1_795_000_000.0),
        finished_at=more.pop("finished_at", 1_795_000_098.0),
        seconds=more.pop("seconds", 98.3),
        **more,
    )


def make_core_run(model: str, skill: float, **more) -> Manifest:
    """The 16 tasks of `core`, scores varying about chance + skill × (1 − chance)."""
    tasks = []
    for position, (name, domain, capabilities, items, chance, metric, bounds) in enumerate(CORE):
        level = max(0.0, min(1.0, skill + 0.25 * math.sin(position * 1.7)))
        value = round((chance + level * (1 - chance)) * items) / items
        odd = {"unparsed": 3, "truncated": 5} if metric == "numeric" else {"refused": 1} if metric == "all" else {}
        tasks.append(
            make_task(
                name,
                value,
                items,
                metric=metric,
                bounds=bounds,
                chance=chance,
                domain=domain,
                capabilities=capabilities,
                title=name.replace("_", " ").capitalize(),
                description=f"Items on {name.replace('_', ' ')}, written for this test.",
                licence="CC0-1.0",
                languages=["en", "es", "zh"] if name == "multilingual" else ["en"],
                states={"scored": items - sum(odd.values()), **odd},
                seconds=items / 5,
                input_tokens=items * 80,
                output_tokens=items * 12,
            )
        )
    return make_run(model, tasks, suite_title="Core abilities", **more)


@pytest.fixture
def task() -> Callable[..., TaskResult]:
    return make_task


@pytest.fixture
def run() -> Callable[..., Manifest]:
    return make_run


@pytest.fixture
def core_run() -> Callable[..., Manifest]:
    return make_core_run


@pytest.fixture
def three_models() -> list[Manifest]:
    """A small model, a baseline and an API model over `core`."""
    return [
        make_core_run("smollm2", 0.2),
        make_core_run("baseline:random", 0.0, totals={"input_tokens": 0, "output_tokens": 0}, seconds=0.8),
        make_core_run(
            "http://127.0.0.1:8000/v1#Qwen/Qwen2.5-7B-Instruct",
            0.65,
            totals={"input_tokens": 41_000, "output_tokens": 9_000, "cost": 0.0312},
        ),
    ]
