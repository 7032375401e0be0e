"""A task file of lm-evaluation-harness, typed and checked as far as that needs neither data nor its own code."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import fields

from proctor.errors import TaskError, nearest
from proctor.scoring.lm_eval.aggregations import AGGREGATIONS
from proctor.scoring.lm_eval.filters import FILTERS, check_filter
from proctor.scoring.lm_eval.metrics import DEFAULT_METRICS, METRICS, default_aggregation, default_direction
from proctor.tasks.lm_eval.templates import check_template
from proctor.tasks.lm_eval.yaml_files import FunctionRef

OutputType = Literal["generate_until", "multiple_choice", "loglikelihood", "loglikelihood_rolling"]

# Keys that say nothing of what is asked or scored: names, and what the harness itself never looks at.
_PASSED_OVER = ("tag", "group", "task_list", "task_alias", "metadata", "should_decontaminate", "doc_to_decontamination_query")
_KEYS = (
    *("task", "task_alias", "tag", "group", "task_list", "custom_dataset", "dataset_path", "dataset_name", "dataset_kwargs"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_image"),
    *("doc_to_audio", "unsafe_code", "doc_to_choice", "process_results", "use_prompt", "description", "target_delimiter"),
    *("fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats", "filter_list"),
    *("should_decontaminate", "doc_to_decontamination_query", "gen_prefix", "metadata"),
)
_MAX_TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
MAX_GEN_TOKS = 256  # what the harness's models take where a task says nothing
_WITHOUT_EFFECT: dict[str, Any] = {
    "num_beams": 1,
    "repetition_penalty": 1,
    "use_cache": True,
    "num_return_sequences": 1,
    "length_penalty": 1,
}

Reading = str | int | list[Any] | dict[str, Any] | FunctionRef | None


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


class Fewshot(Struct, frozen=True):
    """Where examples come from and how they read; what `fewshot_config` does not say is as in the task."""

    sampler: str = "default"
    split: str | None = None
    process_docs: FunctionRef | None = None
    samples: list[Any] | FunctionRef | None = None
    doc_to_text: Reading = None
    doc_to_choice: Reading = None
    doc_to_target: Reading = None
    gen_prefix: str | None = None
    fewshot_delimiter: str = "\n\n"
    target_delimiter: str = " "


class Generation(Struct, frozen=True):
    """`generation_kwargs`, under the names of `proctor.types.Generate`."""

    max_tokens: int
    stop: tuple[str, ...]
    temperature: float
    top_p: float


class Config(Struct, frozen=True, kw_only=True):
    """A task. Attributes are the file's keys unless told otherwise here.

    Attributes:
        where: the file, for messages.
        functions: all code of the task's own that would run.
        keys: the file's keys as they were read, for the protocol and for exports.
    """

    task: str
    where: str
    alias: str
    dataset_path: str | None
    dataset_name: str | None
    dataset_kwargs: dict[str, Any]
    custom_dataset: FunctionRef | None
    training_split: str | None
    validation_split: str | None
    test_split: str | None
    process_docs: FunctionRef | None
    doc_to_text: Reading
    doc_to_target: Reading
    doc_to_choice: Reading
    description: str
    gen_prefix: str | None
    target_delimiter: str
    fewshot_delimiter: str
    fewshot: Fewshot
    num_fewshot: int | None
    output_type: OutputType
    generation: Generation
    repeats: int
    metrics: tuple[Metric, ...]
    filters: tuple[Filter, ...]
    process_results: FunctionRef | None
    metadata: dict[str, Any]
    functions: tuple[FunctionRef, ...]
    keys: dict[str, Any] = field(default_factory=dict)


def functions_of(value: Any) -> list[FunctionRef]:
    """Every `!function` in a value, each once, except those that nothing ever calls."""

    def walk(one: Any) -> Iterator[FunctionRef]:
        if isinstance(one, FunctionRef):
            yield one
        elif isinstance(one, dict):
            for key, inside in one.items():
                if key not in ("doc_to_decontamination_query",):
                    yield from walk(inside)
        elif isinstance(one, list):
            for inside in one:
                yield from walk(inside)

    return list(dict.fromkeys(walk(value)))


def problem_of(keys: Mapping[str, Any], where: str) -> str:
    """Why a task cannot be run, in a line; empty where nothing speaks against it."""
    try:
        read_config(keys, where)
    except TaskError as error:
        return str(error).removeprefix(f"{where}: ")
    return ""


def read_config(keys: Mapping[str, Any], where: str) -> Config:
    """A task from its file's keys. Raises `TaskError` that names the file and the key."""
    read = _Reader(keys, where)
    read.known()
    read.supported()
    output = read.choice("output_type", get_args(OutputType), "generate_until")
    config = Config(
        task=read.text("task") or "",
        where=where,
        alias=read.text("task_alias") or "",
        dataset_path=read.text("dataset_path"),
        dataset_name=read.text("dataset_name"),
        dataset_kwargs=read.mapping("dataset_kwargs"),
        custom_dataset=read.function("custom_dataset"),
        training_split=read.text("training_split"),
        validation_split=read.text("validation_split"),
        test_split=read.text("test_split"),
        process_docs=read.function("process_docs"),
        doc_to_text=read.reading("doc_to_text"),
        doc_to_target=read.reading("doc_to_target"),
        doc_to_choice=read.reading("doc_to_choice"),
        description=read.text("description") or "",
        gen_prefix=read.text("gen_prefix"),
        target_delimiter=read.text("target_delimiter", " "),
        fewshot_delimiter=read.text("fewshot_delimiter", "\n\n"),
        fewshot=_fewshot(read),
        num_fewshot=read.whole("num_fewshot"),
        output_type=output,
        generation=_generation(read),
        repeats=read.whole("repeats") or 1,
        metrics=_metrics(read, output),
        filters=_filters(read),
        process_results=read.function("process_results"),
        metadata=metadata if isinstance(metadata := keys.get("metadata"), dict) else {},
        functions=tuple(functions_of({key: value for key, value in keys.items() if key not in _PASSED_OVER})),
        keys={key: value for key, value in keys.items() if key not in ("tag", "group", "task_list")},
    )
    _check(config, read)
    return config


class _Reader:
    """Keys with their types."""

    def __init__(self, keys: Mapping[str, Any], where: str, section: str = "") -> None:
        self.keys, self.where, self.section = keys, where, section

    def fail(self, key: str, message: str) -> TaskError:
        return TaskError(f"{self.where}: {self.section}{key}: {message}")

    def known(self) -> None:
        for key in self.keys:
            if key not in _KEYS:
                raise TaskError(f"{self.where}: unknown key '{key}'{nearest(key, _KEYS)}")

    def supported(self) -> None:
        for key in ("doc_to_image", "doc_to_audio"):
            if self.keys.get(key) is not None:
                raise self.fail(key, "shows pictures or sound, which Proctor does not")
        if self.keys.get("unsafe_code"):
            raise self.fail(
                "unsafe_code", "runs programs that a model wrote outside a sandbox; use a task with Proctor's scorer code_tests"
            )
        if self.keys.get("use_prompt") is not None:
            raise self.fail("use_prompt", "prompts of promptsource are not read")

    def text(self, key: str, default: Any = None) -> Any:
        value = self.keys.get(key, default)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # a name such as 2024 that nobody quoted
        raise self.fail(key, f"expected a text, got {_shown(value)}")

    def whole(self, key: str) -> int | None:
        value = self.keys.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        raise self.fail(key, f"expected a whole number, got {_shown(value)}")

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.keys.get(key)
        if value is None or isinstance(value, dict):
            return dict(value or {})
        raise self.fail(key, f"expected a mapping, got {_shown(value)}")

    def items(self, key: str) -> list[Any] | None:
        value = self.keys.get(key)
        if value is None or isinstance(value, list):
            return value
        raise self.fail(key, f"expected a list, got {_shown(value)}")

    def function(self, key: str) -> FunctionRef | None:
        value = self.keys.get(key)
        if value is None or isinstance(value, FunctionRef):
            return value
        raise self.fail(key, f"expected !function module.function, got {_shown(value)}")

    def reading(self, key: str) -> Reading:
        value = self.keys.get(key)
        if value is None or (isinstance(value, str | int | list | dict | FunctionRef) and not isinstance(value, bool)):
            return value
        raise self.fail(key, f"expected a column, a template or a function, got {_shown(value)}")

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self.keys.get(key, default) or default
        if value not in allowed:
            raise self.fail(key, f"expected one of {', '.join(allowed)}, got {_shown(value)}")
        return value


def _shown(value: Any) -> str:
    return f"!function {value.name}" if isinstance(value, FunctionRef) else f"{value!r:.80}"


def _fewshot(read: _Reader) -> Fewshot:
    said = read.mapping("fewshot_config")
    names = {one.name for one in fields(Fewshot)} | {"fewshot_indices"}
    for key in said:
        if key not in names:
            raise read.fail("fewshot_config", f"unknown key '{key}'{nearest(key, names)}")
    inside = _Reader(said, read.where, "fewshot_config.")

    def either(key: str) -> _Reader:
        return inside if key in said else read

    sampler = said.get("sampler", "default")
    if sampler not in ("default", "first_n"):
        raise read.fail("fewshot_config.sampler", f"expected default or first_n, got {_shown(sampler)}")
    samples = said.get("samples")
    if (
        samples is not None
        and not isinstance(samples, FunctionRef)
        and not (isinstance(samples, list) and all(isinstance(one, dict) for one in samples))
    ):
        raise read.fail("fewshot_config.samples", f"expected a list of documents or a function, got {_shown(samples)}")
    return Fewshot(
        sampler=sampler,
        split=inside.text("split") if "split" in said else read.text("fewshot_split"),
        process_docs=either("process_docs").function("process_docs"),
        samples=samples,
        doc_to_text=either("doc_to_text").reading("doc_to_text"),
        doc_to_choice=either("doc_to_choice").reading("doc_to_choice"),
        doc_to_target=either("doc_to_target").reading("doc_to_target"),
        gen_prefix=either("gen_prefix").text("gen_prefix"),
        fewshot_delimiter=either("fewshot_delimiter").text("fewshot_delimiter", "\n\n"),
        target_delimiter=either("target_delimiter").text("target_delimiter", " "),
    )


def generation_of(said: Mapping[str, Any], where: str) -> Generation:
    """The options of one of the harness's requests. Raises `TaskError`."""
    return _generation(_Reader({"generation_kwargs": {"until": [], **said}}, where))


def _generation(read: _Reader) -> Generation:
    """By the rules of the harness's `hf` models: no sampling means temperature 0."""
    said = read.mapping("generation_kwargs")
    until = said.get("until", [read.text("fewshot_delimiter", "\n\n")])
    stops = [] if until is None else until if isinstance(until, list) else [until]
    if not all(isinstance(one, str) for one in stops):
        raise read.fail("generation_kwargs.until", f"expected a text or a list of texts, got {_shown(until)}")
    tokens = next((said[key] for key in _MAX_TOKENS if said.get(key) is not None), MAX_GEN_TOKS)
    try:
        tokens, temperature = int(tokens), float(said.get("temperature") or 0.0)
        top_p = float(1.0 if said.get("top_p") is None else said["top_p"])
    except (TypeError, ValueError):
        raise read.fail("generation_kwargs", f"expected numbers, got {_shown(said)}") from None
    if tokens < 1 or not (math.isfinite(temperature) and temperature >= 0) or not 0 < top_p <= 1:
        raise read.fail("generation_kwargs", f"expected at least one token, a temperature from 0 and top_p up to 1, got {_shown(said)}")
    sampled = said.get("do_sample")
    if sampled is False or temperature == 0.0:
        temperature, top_p = (1.0, top_p) if sampled and "temperature" not in said else (0.0, 1.0)
    for key, value in said.items():
        if key in ("until", "do_sample", "temperature", "top_p", *_MAX_TOKENS) or _WITHOUT_EFFECT.get(key) == value:
            continue
        if key in ("top_k", "typical_p", "min_p") and temperature == 0.0:
            continue
        raise read.fail(f"generation_kwargs.{key}", f"decoding with {key} {_shown(value)} is not offered")
    return Generation(tokens, tuple(one for one in stops if one), temperature, top_p)


def _metrics(read: _Reader, output: str) -> tuple[Metric, ...]:
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
            raise read.fail(at, f"expected a mapping with the key 'metric', got {_shown(entry)}")
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
                f"unknown aggregation {_shown(aggregation)}{nearest(str(aggregation), AGGREGATIONS)}"
                if aggregation
                else "says no aggregation, and has no default"
            )
            raise read.fail(at, f"'{name}' {said_so}" if not aggregation else said_so)
        if not isinstance(aggregation, str | FunctionRef):
            raise read.fail(at, f"aggregation: expected a name or a function, got {_shown(aggregation)}")
        higher = entry.get("higher_is_better")
        options = {key: value for key, value in entry.items() if key not in ("metric", "aggregation", "higher_is_better", "hf_evaluate")}
        found[name] = Metric(name, function, aggregation, default_direction(name) if higher is None else bool(higher), options)
    return tuple(found.values())


def _filters(read: _Reader) -> tuple[Filter, ...]:
    said = read.items("filter_list")
    if said is None:
        return (Filter("none", (("take_first", {}),)),)
    found = []
    for number, entry in enumerate(said):
        at = f"filter_list[{number}]"
        if not isinstance(entry, dict) or "name" not in entry or not isinstance(entry.get("filter"), list):
            raise read.fail(at, f"expected a name and a list 'filter', got {_shown(entry)}")
        steps = []
        for step in entry["filter"]:
            function = step.get("function") if isinstance(step, dict) else None
            if isinstance(function, str) and function not in FILTERS:
                raise read.fail(at, f"unknown filter '{function}'{nearest(function, FILTERS)}")
            if not isinstance(function, str | FunctionRef):
                raise read.fail(at, f"expected steps with the key 'function', got {_shown(step)}")
            options = {key: value for key, value in step.items() if key != "function"}
            problem = check_filter(function, options) if isinstance(function, str) else None
            if problem:
                raise read.fail(at, f"{function}: {problem}")
            steps.append((function, options))
        found.append(Filter(str(entry["name"]), tuple(steps)))
    if not found:
        raise read.fail("filter_list", "names no filter")
    return tuple(found)


def _check(config: Config, read: _Reader) -> None:
    if config.test_split is None and config.validation_split is None:
        raise TaskError(f"{config.where}: names neither test_split nor validation_split: there is nothing to ask")
    if config.dataset_path is None and config.custom_dataset is None:
        raise TaskError(f"{config.where}: names no dataset_path")
    if config.dataset_path and config.dataset_path.startswith("/") and not Path(config.dataset_path).exists():
        raise read.fail("dataset_path", f"'{config.dataset_path}' lies on somebody else's machine")
    for key, value in (
        ("doc_to_text", config.doc_to_text),
        ("doc_to_target", config.doc_to_target),
        ("doc_to_choice", config.doc_to_choice),
        ("description", config.description),
        ("gen_prefix", config.gen_prefix),
        ("fewshot_config.doc_to_text", config.fewshot.doc_to_text),
        ("fewshot_config.doc_to_target", config.fewshot.doc_to_target),
        ("fewshot_config.doc_to_choice", config.fewshot.doc_to_choice),
    ):
        if isinstance(value, str):
            check_template(value, f"{config.where}: {key}")
    if config.output_type == "multiple_choice" and config.doc_to_choice is None:
        raise read.fail("doc_to_choice", "multiple_choice needs it")
    if config.doc_to_text is None and config.output_type != "loglikelihood_rolling":
        raise read.fail("doc_to_text", "missing")
    if config.doc_to_target is None:
        raise read.fail("doc_to_target", "missing")
    for ref in config.functions:
        problem = missing(ref)
        if problem:
            raise TaskError(f"{config.where}: !function {ref.name}: {problem}")


def missing(ref: FunctionRef) -> str:
    """What is wrong with a reference, found without running anything; empty where nothing is, or where it cannot be known."""
    name = ref.name.rpartition(".")[2]
    try:
        changed = ref.file.stat().st_mtime_ns
    except OSError:
        return ""  # a module that is installed, perhaps: known when it is imported
    names = _names(str(ref.file), changed)
    if names is None:
        return ""
    if isinstance(names, str):
        return names
    return "" if name in names or "*" in names else f"{ref.file.name} has no '{name}'{nearest(name, names)}"


@functools.lru_cache(maxsize=4096)
def _names(path: str, changed: int) -> frozenset[str] | str | None:
    """The names a module defines; None where it cannot be read, a text where it is no Python. `changed` is when it was, as it may again."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except OSError:
        return None
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"{Path(path).name} is not Python: {error}"
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((one.asname or one.name).partition(".")[0] for one in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Call) and "globals" in ast.dump(node)[:200]:
            found.add("*")  # made while it runs
    return frozenset(found)
