"""A task file of lm-evaluation-harness, typed and checked as far as that needs neither data nor its own code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import fields

from proctor.errors import TaskError, nearest
from proctor.tasks.lm_eval.code_names import missing
from proctor.tasks.lm_eval.keys import KeyReader, Reading, shown
from proctor.tasks.lm_eval.scoring_keys import Filter, Metric, read_filters, read_metrics
from proctor.tasks.lm_eval.templates import check_template
from proctor.tasks.lm_eval.yaml_files import FunctionRef

OutputType = Literal["generate_until", "multiple_choice", "loglikelihood", "loglikelihood_rolling"]

# Keys that say nothing of what is asked or scored: names, and what the harness itself never looks at.
_PASSED_OVER = ("tag", "group", "task_list", "task_alias", "metadata", "should_decontaminate", "doc_to_decontamination_query")
_MAX_TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
MAX_GEN_TOKS = 256  # what the harness's models take where a task says nothing
_WITHOUT_EFFECT: dict[str, Any] = {
    "num_beams": 1,
    "repetition_penalty": 1,
    "use_cache": True,
    "num_return_sequences": 1,
    "length_penalty": 1,
}


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
    read = KeyReader(keys, where)
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
        metrics=read_metrics(read, output),
        filters=read_filters(read),
        process_results=read.function("process_results"),
        metadata=metadata if isinstance(metadata := keys.get("metadata"), dict) else {},
        functions=tuple(functions_of({key: value for key, value in keys.items() if key not in _PASSED_OVER})),
        keys={key: value for key, value in keys.items() if key not in ("tag", "group", "task_list")},
    )
    _check(config, read)
    return config


def _fewshot(read: KeyReader) -> Fewshot:
    said = read.mapping("fewshot_config")
    names = {one.name for one in fields(Fewshot)} | {"fewshot_indices"}
    for key in said:
        if key not in names:
            raise read.fail("fewshot_config", f"unknown key '{key}'{nearest(key, names)}")
    inside = KeyReader(said, read.where, "fewshot_config.")

    def either(key: str) -> KeyReader:
        return inside if key in said else read

    sampler = said.get("sampler", "default")
    if sampler not in ("default", "first_n"):
        raise read.fail("fewshot_config.sampler", f"expected default or first_n, got {shown(sampler)}")
    samples = said.get("samples")
    if (
        samples is not None
        and not isinstance(samples, FunctionRef)
        and not (isinstance(samples, list) and all(isinstance(one, dict) for one in samples))
    ):
        raise read.fail("fewshot_config.samples", f"expected a list of documents or a function, got {shown(samples)}")
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
    return _generation(KeyReader({"generation_kwargs": {"until": [], **said}}, where))


def _generation(read: KeyReader) -> Generation:
    """By the rules of the harness's `hf` models: no sampling means temperature 0."""
    said = read.mapping("generation_kwargs")
    until = said.get("until", [read.text("fewshot_delimiter", "\n\n")])
    stops = [] if until is None else until if isinstance(until, list) else [until]
    if not all(isinstance(one, str) for one in stops):
        raise read.fail("generation_kwargs.until", f"expected a text or a list of texts, got {shown(until)}")
    tokens = next((said[key] for key in _MAX_TOKENS if said.get(key) is not None), MAX_GEN_TOKS)
    try:
        tokens, temperature = int(tokens), float(said.get("temperature") or 0.0)
        top_p = float(1.0 if said.get("top_p") is None else said["top_p"])
    except (TypeError, ValueError):
        raise read.fail("generation_kwargs", f"expected numbers, got {shown(said)}") from None
    if tokens < 1 or not (math.isfinite(temperature) and temperature >= 0) or not 0 < top_p <= 1:
        raise read.fail("generation_kwargs", f"expected at least one token, a temperature from 0 and top_p up to 1, got {shown(said)}")
    sampled = said.get("do_sample")
    if sampled is False or temperature == 0.0:
        temperature, top_p = (1.0, top_p) if sampled and "temperature" not in said else (0.0, 1.0)
    for key, value in said.items():
        if key in ("until", "do_sample", "temperature", "top_p", *_MAX_TOKENS) or _WITHOUT_EFFECT.get(key) == value:
            continue
        if key in ("top_k", "typical_p", "min_p") and temperature == 0.0:
            continue
        raise read.fail(f"generation_kwargs.{key}", f"decoding with {key} {shown(value)} is not offered")
    return Generation(tokens, tuple(one for one in stops if one), temperature, top_p)


def _check(config: Config, read: KeyReader) -> None:
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
