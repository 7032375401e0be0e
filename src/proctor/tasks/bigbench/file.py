"""A `task.json` of BIG-bench, checked. Source: `bigbench/api/json_task.py` of BIG-bench 1.0.0 and its documentation, `docs/doc.md`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from proctor.errors import TaskError, nearest
from proctor.scoring.bigbench import CHOICE_METRICS, LIKELIHOOD_METRICS, TEXT_METRICS, WITHOUT, reported

_REQUIRED = ("canary", "name", "description", "keywords")
_REQUIRED_OF_EXAMPLES = ("metrics", "preferred_score")
_DEFAULT_REGEX = r"[^\.\?\!\;\n]+"  # json_task._DEFAULT_REGEX: up to the end of the first sentence or line
_TEXTS = ("example_input_prefix", "example_output_prefix", "choice_prefix", "few_shot_example_separator", "task_prefix", "stop_string")


class Example(Struct, frozen=True):
    """One example.

    Attributes:
        row: as it stands in the file.
        input: the text that is asked.
        targets: texts that are right; where the file names none, the best choice.
        scores: what each choice is worth, by its text; empty where there are none.
    """

    row: dict[str, Any]
    input: str
    targets: tuple[str, ...]
    scores: dict[str, float]


class TaskFile(Struct, frozen=True, kw_only=True):
    """A task without subtasks. Attributes are the file's keys unless told otherwise here.

    Attributes:
        where: the file.
        examples: each once: BIG-bench drops those of which all is equal.
        unreported: metrics that the file names and Proctor does not compute.
    """

    where: str
    title: str
    description: str
    keywords: tuple[str, ...]
    metrics: tuple[str, ...]
    preferred: str
    examples: tuple[Example, ...]
    input_prefix: str
    output_prefix: str
    choice_prefix: str
    separator: str
    task_prefix: str
    append_choices: bool
    output_regex: str | None
    stop_string: str | None
    absolute: bool
    unreported: tuple[str, ...]


def read_json(path: Path) -> dict[str, Any]:
    """The contents of a `task.json`. Raises `TaskError` where it cannot be read or lacks what every task has."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise TaskError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise TaskError(f"{path}: expected an object, the keys of a BIG-bench task, found {type(data).__name__}")
    for key in _REQUIRED:
        if key not in data:
            raise TaskError(f"{path}: the key '{key}' is missing, which every BIG-bench task has{nearest(key, data)}")
    return data


def read_task(data: Mapping[str, Any], where: str) -> TaskFile:
    """A task from the contents of its file, which has examples.

    Raises:
        TaskError: a key that is missing or of the wrong kind, an unknown metric, an example without what its metrics need.
    """
    for key in _REQUIRED_OF_EXAMPLES:
        if key not in data:
            raise TaskError(f"{where}: the key '{key}' is missing, which a task with examples has{nearest(key, data)}")
    for key in _TEXTS:
        if not isinstance(data.get(key, ""), str):
            raise TaskError(f"{where}: {key}: expected a text, got {data[key]!r:.80}")
    metrics = _metrics(data, where)
    regex = data.get("output_regex")
    stop = data.get("stop_string")
    if regex is None and stop is None:
        regex = _DEFAULT_REGEX
    try:
        groups = re.compile(regex or "").groups
    except (re.error, TypeError) as error:
        raise TaskError(f"{where}: output_regex: {regex!r:.80} is no regular expression: {error}") from None
    if groups > 1:
        raise TaskError(f"{where}: output_regex: {regex!r:.80} has {groups} groups; with more than one BIG-bench cannot say which is meant")
    examples = _examples(data, metrics, where)
    preferred = data["preferred_score"]
    names = reported(metrics, examples)
    if preferred not in names and preferred not in WITHOUT:
        raise TaskError(f"{where}: preferred_score: '{preferred}' is no number of its metrics, which give {', '.join(names)}")
    return TaskFile(
        where=where,
        title=str(data["name"]),
        description=str(data["description"]),
        keywords=tuple(map(str, data["keywords"])),
        metrics=metrics,
        preferred=preferred,
        examples=examples,
        input_prefix=data.get("example_input_prefix", "\nQ: "),
        output_prefix=data.get("example_output_prefix", "\nA: "),
        choice_prefix=data.get("choice_prefix", "\n  choice: "),
        separator=data.get("few_shot_example_separator", "\n"),
        task_prefix=data.get("task_prefix", ""),
        append_choices=bool(data.get("append_choices_to_input", True)),  # the text "false" counts as true there, and so it does here
        output_regex=regex,
        stop_string=stop,
        absolute=bool(data.get("absolute_normalization", False)),
        unreported=tuple(name for name in metrics if name in WITHOUT),
    )


def _metrics(data: Mapping[str, Any], where: str) -> tuple[str, ...]:
    said = data["metrics"]
    known = (*CHOICE_METRICS, *TEXT_METRICS, *LIKELIHOOD_METRICS, *WITHOUT)
    if not isinstance(said, list) or not said:
        raise TaskError(f"{where}: metrics: expected a list of names, got {said!r:.80}")
    for name in said:
        if name not in known:
            raise TaskError(
                f"{where}: metrics: no metric is called {name!r}{nearest(str(name), known) or ';'} there are: {', '.join(known)}"
            )
    return tuple(dict.fromkeys(said))


def _examples(data: Mapping[str, Any], metrics: tuple[str, ...], where: str) -> tuple[Example, ...]:
    said = data["examples"]
    if not isinstance(said, list) or not said:
        raise TaskError(f"{where}: examples: expected a list of examples, got {said!r:.80}")
    choice = any(name in CHOICE_METRICS for name in metrics)
    text = any(name not in CHOICE_METRICS for name in metrics)
    found: dict[str, Example] = {}
    for index, row in enumerate(said):
        at = f"{where}: examples[{index}]"
        if not isinstance(row, dict) or not isinstance(row.get("input"), str):
            raise TaskError(f"{at}: expected an object with the text 'input', got {row!r:.80}")
        if text and "target" not in row:
            raise TaskError(f"{at}: has no 'target', which metrics of written answers need")
        if choice and "target_scores" not in row:
            raise TaskError(f"{at}: has no 'target_scores', which multiple choice needs")
        scores = _scores(row, at) if "target_scores" in row else {}
        targets = row.get("target", max(scores, key=lambda one: scores[one]) if scores else None)
        listed: list[Any] = targets if isinstance(targets, list) else [targets]
        if not listed or not all(isinstance(one, str) for one in listed):
            raise TaskError(f"{at}: target: expected a text or a list of texts, got {targets!r:.80}")
        found.setdefault(json.dumps(row), Example(row, row["input"], tuple(listed), scores))
    return tuple(found.values())


def _scores(row: Mapping[str, Any], at: str) -> dict[str, float]:
    scores = row["target_scores"]
    numbers = isinstance(scores, dict) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in scores.values()
    )
    if not numbers or not scores:
        raise TaskError(f"{at}: target_scores: expected an object of numbers by choice, got {scores!r:.80}")
    best, worst = max(scores.values()), min(scores.values())
    if "target" not in row and (best <= worst if len(scores) > 1 else best == 0):
        raise TaskError(f"{at}: target_scores: no choice is better than the others, so none is right: {scores!r:.80}")
    return dict(scores)
