"""What more is known of a task that is one of the harness's own files: its configuration, its options, what a filter made of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proctor.results.manifest import TaskResult
from proctor.scoring.lm_eval.filters import FILTERS, run


def is_harness(task: TaskResult) -> bool:
    """Whether the task was read from one of the harness's files."""
    return task.protocol.get("harness") == "lm-eval"


def configuration(task: TaskResult) -> dict[str, Any]:
    """The task's file as the harness writes it beside its results."""
    given = task.protocol.get("config")
    said = {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else {}
    return {
        "task": task.task,
        **({"task_alias": task.title} if task.title else {}),
        **said,
        "num_fewshot": task.protocol.get("num_fewshot"),
        "repeats": task.epochs,
        "metadata": {"version": task.protocol.get("version")},
        "proctor_protocol": task.protocol_hash,
    }


def members(tasks: Sequence[TaskResult]) -> dict[str, list[str]]:
    """What stands directly below each group; of runs without groups, nothing below each task."""
    groups = {task.task: list(task.protocol["members"]) for task in tasks if "members" in task.protocol}
    return groups or {task.task: [] for task in tasks}


def arguments(task: TaskResult, pairs: list[list[Any]]) -> list[list[Any]]:
    """The arguments of the harness's requests: a text alone where it is rolled over, and the options as the file gives them."""
    config = task.protocol["config"]
    kind = config.get("output_type", "generate_until")
    if kind == "loglikelihood_rolling":
        return [[pair[-1]] for pair in pairs]
    options = config.get("generation_kwargs")
    if kind == "generate_until" and isinstance(options, dict):
        said = {**options, "temperature": float(options["temperature"])} if "temperature" in options else dict(options)
        said.setdefault("until", pairs[0][1]["until"])
        return [[pairs[0][0], said]]
    return pairs


def filtered(task: TaskResult, filter_name: str, responses: list[list[Any]], document: Mapping[str, Any]) -> list[Any] | None:
    """What a filter made of the answers; None where it has code of the task's own, which is not run to write a file."""
    scorers = task.protocol.get("scoring", {}).get("scorers", [{}])
    steps = dict(scorers[0].get("filters", [])).get(filter_name)
    if steps is None or any(not isinstance(name, str) or name not in FILTERS or "!function" in str(options) for name, options in steps):
        return None
    try:
        return list(run([FILTERS[name](**options) for name, options in steps], responses, dict(document)))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
