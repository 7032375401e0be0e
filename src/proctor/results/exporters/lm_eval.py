"""Runs as lm-evaluation-harness writes them: MODEL/results_TIME.json, and MODEL/samples_TASK_TIME.jsonl for each task with attempts."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.canonical import canonical_json
from proctor.errors import UsageError
from proctor.results.attempts import reading_attempts
from proctor.results.exporters.lm_eval_task import arguments, configuration, filtered, is_harness, members
from proctor.results.importers.lm_eval_samples import INVALID, OURS, document_hash, item_id
from proctor.results.importers.task_result import estimate
from proctor.results.manifest import Manifest, MetricResult, TaskResult
from proctor.results.store import Run

if TYPE_CHECKING:
    import polars as pl


def write(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write each run as one file of results and its samples, under the harness's names.

    An item that was asked several times becomes one sample, as in the harness: its answers are all in `resps`, its numbers are means.

    Raises:
        UsageError: a task's name cannot be part of a file's name.
    """
    written: list[Path] = []
    for run in runs:
        for task in run.manifest.tasks:
            if task.attempts and ("/" in task.task or "\0" in task.task):
                raise UsageError(
                    f"task '{task.task}' of run '{run.manifest.run}': the harness's files are named after tasks, and a '/' cannot be"
                )
    for run in runs:
        manifest = run.manifest
        place = folder / _sanitized(manifest.model)
        place.mkdir(parents=True, exist_ok=True)
        when = datetime.datetime.fromtimestamp(manifest.finished_at or manifest.started_at, tz=datetime.UTC).replace(tzinfo=None)
        while (path := place / f"results_{_stamp(when)}.json") in written:
            when += datetime.timedelta(microseconds=1)
        hashes: dict[str, str] = {}
        means, likelihoods = set(), set()
        for task in manifest.tasks:
            if not task.attempts:
                continue
            samples = place / f"samples_{task.task}_{_stamp(when)}.jsonl"
            frame = _attempts(run, task)
            found = estimate(frame).value
            if found is not None and math.isclose(found, task.main.value or 0.0, rel_tol=1e-9, abs_tol=1e-12):
                means.add(task.task)
            if frame["loglikelihoods"].null_count() < len(frame):
                likelihoods.add(task.task)
            digest = sha256()
            with samples.open("wb") as file:
                for sample in _samples(frame, task):
                    digest.update((sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"]).encode())
                    file.write(msgspec.json.encode(sample) + b"\n")
            hashes[task.task] = digest.hexdigest()
            written.append(samples)
        path.write_bytes(
            msgspec.json.format(msgspec.json.encode(_results(manifest, hashes, means, likelihoods), enc_hook=str), indent=2) + b"\n"
        )
        written.append(path)
    return written


def _stamp(when: datetime.datetime) -> str:
    return when.isoformat(timespec="microseconds").replace(":", "-")


def _sanitized(model: str) -> str:
    """As the harness makes a model's name into a folder's; a name of dots alone, which is another folder's, becomes one too."""
    return re.sub(r"[\"<>:/\|\\?\*\[\]\0]+|^\.+$", "__", model)


def _key(metric: MetricResult, stderr: bool = False) -> str:
    name, _, filter_name = metric.name.partition(",")
    return f"{name}{'_stderr' if stderr else ''},{filter_name or 'none'}"


def _results(manifest: Manifest, hashes: dict[str, str], means: set[str], likelihoods: set[str]) -> dict[str, Any]:
    tasks = manifest.tasks
    info, settings = manifest.model_info, manifest.settings
    described = {key: info.get(key) for key in ("num_parameters", "dtype", "revision", "sha")}
    known = "backend" in info or "arguments" in info
    arguments = _joined(info.get("arguments"), settings.get("model_args")) if known else {"model": manifest.model}
    derived = {task.task: dict(_numbers(task)) for task in tasks if not task.weight and not task.attempts}
    return {
        "results": {task.task: dict(_numbers(task)) for task in tasks},
        **({"groups": derived} if derived else {}),
        "group_subtasks": members(tasks),
        "configs": {
            task.task: _config(manifest, task, task.task in means or not task.attempts, task.task in likelihoods)
            for task in tasks
            if task.task not in derived
        },
        "versions": {task.task: version for task in tasks if (version := _version(manifest, task)) is not None},
        "n-shot": {task.task: shots for task in tasks if (shots := _shots(task)) is not None},
        "higher_is_better": {
            task.task: {metric.name.partition(",")[0]: metric.higher_is_better for metric in task.metrics} for task in tasks
        },
        "n-samples": {task.task: {"original": task.items, "effective": task.items} for task in tasks if task.items},
        "config": {
            "model": info.get("backend", "proctor"),
            "model_args": arguments,
            **{f"model_{key}": value for key, value in described.items() if value is not None},
            **{
                key: settings.get(key)
                for key in ("batch_size", "limit", "gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
            },
        },
        "date": manifest.started_at,
        **({"lm_eval_version": manifest.versions["lm_eval"]} if "lm_eval" in manifest.versions else {}),
        **({"transformers_version": manifest.versions["transformers"]} if "transformers" in manifest.versions else {}),
        "task_hashes": hashes,
        "model_source": info.get("backend", "proctor"),
        "model_name": manifest.model,
        "model_name_sanitized": _sanitized(manifest.model),
        "system_instruction": next((one for task in tasks if (one := task.protocol.get("system_instruction"))), None),
        "fewshot_as_multiturn": next((one for task in tasks if (one := task.protocol.get("fewshot_as_multiturn")) is not None), None),
        "chat_template": "applied" if any(task.protocol.get("chat_template") for task in tasks) else None,
        "total_evaluation_time_seconds": str(manifest.seconds),
        "proctor": {"run": manifest.run, "suite": manifest.suite, "signature": manifest.signature},
    }


def _joined(what: Any, ways: Any) -> Any:
    """A model's arguments as the harness took them, texts or mappings: what it is, and how it was run."""
    if isinstance(what, dict) or isinstance(ways, dict):
        return {**(what or {}), **(ways or {})}
    return ",".join(part for part in (what, ways) if part) or None


def _numbers(task: TaskResult) -> Iterator[tuple[str, Any]]:
    yield "alias", task.title or task.task
    if is_harness(task):
        yield "name", task.task
    if task.items:
        yield "sample_len", task.items
    for metric in task.metrics:
        if metric.value is not None:
            yield _key(metric), metric.value
            yield _key(metric, stderr=True), "N/A" if metric.stderr is None else metric.stderr


def _version(manifest: Manifest, task: TaskResult) -> Any:
    ours = None if manifest.provenance and manifest.provenance.format == "lm-eval" else task.version
    return task.protocol.get("version", ours)


def _shots(task: TaskResult) -> Any:
    prompt = task.protocol.get("prompt")
    return task.protocol.get("num_fewshot", prompt.get("shots") if isinstance(prompt, dict) else None)


def _config(manifest: Manifest, task: TaskResult, mean: bool, likelihood: bool) -> dict[str, Any]:
    """The task's configuration: the harness's own where the run came from it, else what its readers look at and the protocol's hash."""
    if manifest.provenance and manifest.provenance.format == "lm-eval":
        given = task.protocol.get("config")
        return {"task": task.task, **given} if isinstance(given, dict) else {}
    if is_harness(task):
        return configuration(task)
    response = task.protocol.get("response")
    kind = response.get("kind") if isinstance(response, dict) else None
    return {
        "task": task.task,
        "description": task.description,
        "output_type": "generate_until" if not likelihood else "loglikelihood_rolling" if kind == "perplexity" else "multiple_choice",
        "metric_list": [
            {
                "metric": metric.name.partition(",")[0],
                "aggregation": "mean" if mean else "corpus",
                "higher_is_better": metric.higher_is_better,
            }
            for metric in task.metrics
        ],
        "proctor_protocol": task.protocol_hash,
    }


def _attempts(run: Run, task: TaskResult) -> pl.DataFrame:
    import polars as pl

    rows = pl.scan_parquet(run.attempts_path, glob=False).filter(pl.col("task") == task.task, pl.col("protocol") == task.protocol_hash)
    with reading_attempts(run.attempts_path):
        return rows.collect()


def _samples(frame: pl.DataFrame, task: TaskResult) -> Iterator[dict[str, Any]]:
    """The samples of a task: a line for each item and filter."""
    pieces: Iterable[list[dict[str, Any]]] = ([row] for row in frame.iter_rows(named=True))
    if frame["item"].n_unique() < len(frame):
        pieces = (part.to_dicts() for part in frame.partition_by("item", maintain_order=True))
    for attempts in pieces:
        yield from _item(attempts, task)


def _item(attempts: list[dict[str, Any]], task: TaskResult) -> Iterator[dict[str, Any]]:
    first = attempts[0]
    item = first["item"]
    request = _decoded(first["request"])
    metadata = _decoded(first["metadata"])
    numbers: dict[str, Any] = _means([_decoded(row["metrics"]) for row in attempts])
    scores = [row["score"] for row in attempts if row["score"] is not None]
    if scores:
        numbers[task.main.name] = sum(scores) / len(scores)
    elif first["state"] != "failed":
        numbers.setdefault(task.main.name, [])  # of a metric of the whole corpus: a share that is no number, as the harness has it
    target = metadata.get("target", first["target"] if first["target"] is not None else "")
    doc = metadata.get("doc", {"id": item, **metadata})
    prompt = arguments(task, _prompts(request)) if is_harness(task) else _prompts(request)
    # The item's id without the document's hash, where the import made it of both.
    place = item.rpartition("#")[0]
    whole = {"doc_id": place, "doc": doc, "doc_hash": metadata.get("doc_hash")}
    made = bool(place) and item_id(whole) == item
    shared = {
        "doc_id": _number(place if made else item),
        **({} if made else {"item": item}),
        "doc": doc,
        "target": target,
        "arguments": {f"gen_args_{i}": {f"arg_{j}": one for j, one in enumerate(pair)} for i, pair in enumerate(prompt)},
        "resps": _responses(attempts),
        "doc_hash": document_hash(whole),
        "prompt_hash": metadata.get("prompt_hash") or _hash(str(prompt[0][0]) if prompt else ""),
        "target_hash": metadata.get("target_hash") or _hash(str(target)),
        **{name: first[name] for name in OURS if len(attempts) == 1 and first.get(name) not in (None, "")},
    }
    filters: dict[str, dict[str, Any]] = {task.main.name.partition(",")[2] or "none": {}}
    for name, value in numbers.items():
        metric, _, filter_name = name.partition(",")
        filters.setdefault(filter_name or "none", {})[metric] = value
    for filter_name, values in filters.items():
        kept = filtered(task, filter_name, shared["resps"], doc) if is_harness(task) else None
        answers = _filtered(attempts, shared["resps"]) if kept is None else kept
        yield {**shared, "filter": filter_name, "filtered_resps": answers, "metrics": list(values), **values}


def _number(item: str) -> int | str:
    return int(item) if re.fullmatch(r"0|[1-9]\d{0,17}", item) else item


def _decoded(text: Any) -> dict[str, Any]:
    value = msgspec.json.decode(text) if isinstance(text, str) and text else {}
    return value if isinstance(value, dict) else {}


def _means(numbers: list[dict[str, Any]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in numbers for name in one)
    known = {name: [float(one[name]) for one in numbers if isinstance(one.get(name), int | float)] for name in names}
    return {name: sum(values) / len(values) for name, values in known.items() if values}


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _context(prompt: dict[str, Any]) -> str:
    """A running text as it is; a conversation as the JSON that the harness gives chat APIs."""
    messages = prompt.get("messages", [])
    if prompt.get("style") == "plain" and len(messages) <= 1:
        return str(messages[0]["content"]) if messages else ""
    return canonical_json(messages).decode() if messages else ""


def _prompts(request: dict[str, Any]) -> list[list[Any]]:
    """The harness's arguments: a context and options, or pairs of context and continuation."""
    if request.get("kind") == "generate":
        options = {
            "until": request.get("stop", []),
            "max_gen_toks": request.get("max_tokens", 256),
            "temperature": request.get("temperature", 0.0),
        }
        return [[_context(request.get("prompt", {})), options]]
    contexts = [_context(prompt) for prompt in request.get("prompts", [])]
    return [[context, one] for context in contexts for one in request.get("continuations", [])]


def _responses(attempts: list[dict[str, Any]]) -> list[Any]:
    """Requests × repeats × answer; the harness writes every number as text."""
    first = attempts[0]
    if first["loglikelihoods"] is None and first["text"] is None:
        return [[]]
    if first["loglikelihoods"] is None:
        return [[row["text"] if row["text"] is not None else "" for row in attempts]]
    flat = []
    for row in attempts:
        numbers = [one for prompt in row["loglikelihoods"] or [] for one in prompt]
        greedy = [one for prompt in row["greedy"] or [] for one in prompt] or [False] * len(numbers)
        flat.append([[repr(number), str(flag)] for number, flag in zip(numbers, greedy, strict=False)])
    return [[row[index] for row in flat if index < len(row)] for index in range(len(flat[0]))]


def _filtered(attempts: list[dict[str, Any]], responses: list[Any]) -> list[Any]:
    first = attempts[0]
    if first["loglikelihoods"] is not None:
        return [one[0] for one in responses]
    return [first["answer"] if first["answer"] is not None else INVALID if first["state"] == "unparsed" else ""]
