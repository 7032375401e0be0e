"""`metric_list` and `filter_list` of a task file."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from proctor.errors import nearest
from proctor.scoring.lm_eval.aggregations import AGGREGATIONS
from proctor.scoring.lm_eval.filters import FILTERS, check_filter
from proctor.scoring.lm_eval.metrics import DEFAULT_METRICS, METRICS, default_aggregation, default_direction
from proctor.tasks.lm_eval.keys import KeyReader, shown
from proctor.tasks.lm_eval.yaml_files import FunctionRef


class Metric(Struct, frozen=True):
    """An entry of `metric_list`: `name` is a function's own name where `function` is one."""

    name: str
    function: FunctionRef | None
    aggregation: str | FunctionRef
    higher_is_better: bool
    options: dict[str, Any]


class Filter(Struct, frozen=True):
    """A pipeline of `filter_list`: its steps as (filter, options)."""

    name: str
    steps: tuple[tuple[str | FunctionRef, dict[str, Any]], ...]


def read_metrics(read: KeyReader, output: str) -> tuple[Metric, ...]:
    """The metrics of a task with `output` as its type, in order; the harness's defaults where it names none. Raises `TaskError`."""
    said = read.items("metric_list")
    scored_by_itself = read.keys.get("process_results") is not None
    if said is None:
        return tuple(
            Metric(name, None, default_aggregation(name) or "mean", default_direction(name), {}) for name in DEFAULT_METRICS[output]
        )
    found: dict[str, Metric] = {}
    for number, entry in enumerate(said):
        at = f"metric_list[{number}]"
        if not isinstance(entry, dict) or entry.get("metric") is None:
            raise read.fail(at, f"expected a mapping with the key 'metric', got {shown(entry)}")
        metric = entry["metric"]
        function = metric if isinstance(metric, FunctionRef) else None
        name = function.name.rpartition(".")[2] if function else str(metric)
        if not scored_by_itself and function is None and not (name in METRICS and output in METRICS[name]):
            of = (
                "of the library `evaluate`, which is not used here"
                if name not in METRICS or entry.get("hf_evaluate")
                else f"no metric of {output}"
            )
            raise read.fail(at, f"'{name}' is {of}{nearest(name, METRICS)}")
        aggregation = entry.get("aggregation") or default_aggregation(name)
        if aggregation is None or (isinstance(aggregation, str) and aggregation not in AGGREGATIONS):
            said_so = (
                f"unknown aggregation {shown(aggregation)}{nearest(str(aggregation), AGGREGATIONS)}"
                if aggregation
                else "says no aggregation, and has no default"
            )
            raise read.fail(at, f"'{name}' {said_so}" if not aggregation else said_so)
        if not isinstance(aggregation, str | FunctionRef):
            raise read.fail(at, f"aggregation: expected a name or a function, got {shown(aggregation)}")
        higher = entry.get("higher_is_better")
        options = {key: value for key, value in entry.items() if key not in ("metric", "aggregation", "higher_is_better", "hf_evaluate")}
        found[name] = Metric(name, function, aggregation, default_direction(name) if higher is None else bool(higher), options)
    return tuple(found.values())


def read_filters(read: KeyReader) -> tuple[Filter, ...]:
    """The filters of a task, in order; the first answer where it names none. Raises `TaskError`."""
    said = read.items("filter_list")
    if said is None:
        return (Filter("none", (("take_first", {}),)),)
    found = []
    for number, entry in enumerate(said):
        at = f"filter_list[{number}]"
        if not isinstance(entry, dict) or "name" not in entry or not isinstance(entry.get("filter"), list):
            raise read.fail(at, f"expected a name and a list 'filter', got {shown(entry)}")
        steps = []
        for step in entry["filter"]:
            function = step.get("function") if isinstance(step, dict) else None
            if isinstance(function, str) and function not in FILTERS:
                raise read.fail(at, f"unknown filter '{function}'{nearest(function, FILTERS)}")
            if not isinstance(function, str | FunctionRef):
                raise read.fail(at, f"expected steps with the key 'function', got {shown(step)}")
            options = {key: value for key, value in step.items() if key != "function"}
            problem = check_filter(function, options) if isinstance(function, str) else None
            if problem:
                raise read.fail(at, f"{function}: {problem}")
            steps.append((function, options))
        found.append(Filter(str(entry["name"]), tuple(steps)))
    if not found:
        raise read.fail("filter_list", "names no filter")
    return tuple(found)
