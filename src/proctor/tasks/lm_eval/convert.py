"""Tasks of the harness as task files of Proctor's: items written out, prompts as they were, scoring by the scorers that come nearest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.errors import DataError, TaskError
from proctor.tasks.lm_eval.yaml_files import FunctionRef
from proctor.types import Item

if TYPE_CHECKING:
    from proctor.tasks.lm_eval.task import LmEvalTask


def convert(task: LmEvalTask, folder: Path) -> tuple[list[Path], list[str]]:
    """Write the task as `NAME.yaml`, its items as `NAME.jsonl`, and its examples as `NAME-examples.jsonl` where it has any.

    Args:
        task: with the number of examples it is to have.
        folder: made where it is not there.

    Returns:
        The files, and what could not be carried over, in a sentence each.

    Raises:
        TaskError: its scoring is code of its own, or nothing of Proctor's comes near it.
    """
    notes: list[str] = []
    keys, rows, examples = _written(task, notes)
    name = task.name.replace("/", "_")
    keys["data"] = {"files": f"{name}.jsonl", **({"shots": f"{name}-examples.jsonl"} if examples else {})}
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.yaml", folder / f"{name}.jsonl"]
    said = "".join(f"# {note}\n" for note in notes)
    written[0].write_text(f"# From lm-evaluation-harness, {task.origin}.\n{said}{_yaml(keys)}", encoding="utf-8")
    written[1].write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    if examples:
        written.append(folder / f"{name}-examples.jsonl")
        written[2].write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in examples))
    return written, notes


def _written(task: LmEvalTask, notes: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    config, shots = task.config, task.spec.prompt.shots
    if config.process_results is not None or any(
        metric.function or isinstance(metric.aggregation, FunctionRef) for metric in config.metrics
    ):
        raise TaskError(f"task '{task.name}' is scored by code of its own; run it as it is, or write the code as a scorer `python`")
    if task.material.sniffed[0]:
        raise TaskError(
            f"task '{task.name}' compares contexts before one continuation, which task files of Proctor's do not; run it as it is"
        )
    rows = [_row(task, item) for item in task.items]
    examples = _examples(task) if shots else []
    if examples:
        for row in rows:  # the template of an example's answer may name only columns that all items have
            row["answer"] = ""
    description = {str(task.material.reader.field(item.fields, config.description, "description") or "") for item in task.items}
    keys: dict[str, Any] = {"task": task.name.replace("::", "."), "version": task.spec.version, "title": task.spec.title or None}
    prompt: dict[str, Any] = {
        "template": "{{ question }}",
        "style": "plain",
        "delimiter": config.target_delimiter,
        "separator": config.fewshot_delimiter,
    }
    if shots:
        prompt |= {"answer": "{{ answer }}", "shots": shots, "choose": task.spec.prompt.choose}
        if description != {""}:
            said = description.pop()
            if description:
                notes.append("the description differs between items; that of the first is used")
            prompt["system"] = said.removesuffix(config.fewshot_delimiter)
            if not said.endswith(config.fewshot_delimiter):
                notes.append("after the description stands the separator, which the harness leaves out")
    elif description != {""}:
        for row, item in zip(rows, task.items, strict=True):
            row["question"] = str(task.material.reader.field(item.fields, config.description, "description") or "") + row["question"]
    if config.gen_prefix:
        prompt["prefill"] = "{{ prefix }}"
    keys |= {"prompt": prompt, **_asked(task, notes)}
    return {key: value for key, value in keys.items() if value is not None}, rows, examples


def _row(task: LmEvalTask, item: Item) -> dict[str, Any]:
    material = task.material
    question = (
        material.reader.text(material.rows[material.positions[item.id]]) if task.config.output_type != "loglikelihood_rolling" else ""
    )
    row: dict[str, Any] = {"id": item.id, "question": str(question), "target": item.target}
    if item.choices:
        if item.target == -100:
            raise DataError(f"task '{task.name}': no choice of item '{item.id}' is right")
        row["choices"] = list(item.choices)
    if task.config.gen_prefix:
        row["prefix"] = material.reader.prefix(item.fields) or ""
    return row


def _examples(task: LmEvalTask) -> list[dict[str, Any]]:
    contexts, rows = task.material.contexts, []
    for item, document in zip(task.material.pool, task.material.pool_rows, strict=True):
        question, answer = contexts.example(document)
        row: dict[str, Any] = {"id": item.id, "question": question.content, "answer": answer.content, "target": answer.content}
        if task.config.output_type == "multiple_choice":
            known = task.material.document_of(dict(document))
            row |= {"choices": list(known.choices), "target": known.gold.value if known.gold else 0}
        if task.config.gen_prefix:
            row["prefix"] = ""
        rows.append(row)
    return rows


def _asked(task: LmEvalTask, notes: list[str]) -> dict[str, Any]:
    """The kind of response, and the scoring."""
    config = task.config
    names = [metric.name for metric in config.metrics]
    if config.output_type == "multiple_choice":
        normalise = "none" if "acc" in names else next((way for name, way in _NORMALISED.items() if name in names), "none")
        left = [
            name
            for name in names
            if name != ("acc" if normalise == "none" else next(n for n, way in _NORMALISED.items() if way == normalise))
        ]
        if left:
            notes.append(f"reported no longer: {', '.join(left)}; for another normalisation change response.normalise")
        return {"item": {"choices": "choices", "target_as": "index"}, "response": {"kind": "choice", "by": "text", "normalise": normalise}}
    if config.output_type != "generate_until":
        if config.output_type == "loglikelihood":
            notes.append("whether the text is the likeliest (acc) is reported no longer; its likelihood is, per byte and per word")
        return {"response": {"kind": "perplexity"}}
    how = config.generation
    response: dict[str, Any] = {"kind": "generate", "max_tokens": how.max_tokens, "stop": list(how.stop)}
    if how.temperature:
        response |= {"temperature": how.temperature, "top_p": how.top_p}
    if config.repeats > 1:
        response["epochs"] = config.repeats
        notes.append(f"each of the {config.repeats} answers is scored by itself, and not what the filters make of all of them")
    return {"response": response, "scoring": {"extract": _extract(config, notes), "metrics": _metrics(config, notes), "thinking": "keep"}}


_NORMALISED = {"acc_norm": "char", "acc_bytes": "byte", "acc_mutual_info": "unconditional"}


def _extract(config: Any, notes: list[str]) -> list[Any]:
    pipeline = config.filters[0]
    if len(config.filters) > 1:
        notes.append(f"of the filters only '{pipeline.name}' is carried over")
    for function, options in pipeline.steps:
        if function == "regex" and options.get("group_select", 0) in (0, -1):
            return [
                {
                    "regex": {
                        "pattern": options.get("regex_pattern", r"#### (\-?[0-9\.\,]+)"),
                        "which": "last" if options.get("group_select") else "first",
                    }
                }
            ]
        if function not in ("take_first", "remove_whitespace", "lowercase"):
            notes.append(f"the filter '{function if isinstance(function, str) else function.name}' is not carried over")
    return ["text"]


def _metrics(config: Any, notes: list[str]) -> list[Any]:
    found: list[Any] = []
    for metric in config.metrics:
        if metric.name == "exact_match":
            options = {key: True for key in ("ignore_case", "ignore_punctuation") if metric.options.get(key)}
            if any(metric.options.get(key) for key in ("regexes_to_ignore", "ignore_numbers")):
                notes.append("exact_match no longer ignores what regexes_to_ignore or ignore_numbers said")
            found.append({"exact_match": options} if options else "exact_match")
        elif metric.name in ("bleu", "chrf", "chrf++"):
            found.append({"chrf": {"word_order": 2}} if metric.name == "chrf++" else metric.name)
        else:
            notes.append(f"the metric '{metric.name}' is reported no longer")
    if not found:
        raise TaskError(f"{config.where}: none of its metrics is among Proctor's scorers; run it as it is")
    return found


def _yaml(keys: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=120)
    return text
