"""`proctor run --dry-run`: what would be asked, without asking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from proctor.engine.plan import Settings, check_media, fit
from proctor.models.base import Model
from proctor.tasks.suite import Suite
from proctor.tasks.task import Task
from proctor.types import Generate, Likelihood, Prompt, prompts_of

CHARACTERS_PER_TOKEN = 4.0  # where the model's tokenizer is not at hand; right within a third for English
SAMPLE = 20  # prompts of a task that are tokenised to estimate the rest


def dry_run(suite: Suite, uris: Sequence[str], settings: Settings, *, as_json: bool) -> None:
    """Print, for each model and task, items, requests, estimated tokens and cost, and one full example per task."""
    from proctor.models.open import open_model

    plans = []
    for uri in uris:
        model = open_model(uri)
        try:
            fitted = fit(suite, settings, model.kinds)
            check_media(fitted, model)
            plans.append(
                {
                    "model": model.uri,
                    "suite": suite.name,
                    "protocol": fitted.hash,
                    "tasks": [_task_plan(task, model) for task in fitted.tasks],
                }
            )
        finally:
            model.close()
    if as_json:
        click.echo(json.dumps(plans, indent=2, ensure_ascii=False))
        return
    for plan in plans:
        _print(plan)


def _task_plan(task: Task, model: Model) -> dict[str, Any]:
    items = task.items[:: max(1, len(task.items) // SAMPLE)][:SAMPLE]
    exact = True
    per_item: list[int] = []
    for item in items:
        request = task.request(item)
        continuations = request.continuations if isinstance(request, Likelihood) else ()
        count = 0
        for text in [*(_text(prompt) for prompt in prompts_of(request)), *continuations]:
            tokens = model.count_tokens(text)
            exact = exact and tokens is not None
            count += tokens if tokens is not None else round(len(text) / CHARACTERS_PER_TOKEN)
        per_item.append(count)
    attempts = len(task.items) * task.epochs
    mean = sum(per_item) / len(per_item)
    written = task.spec.response.max_tokens * attempts if isinstance(request, Generate) else 0
    tokens_in = round(mean * attempts)
    cost = model.cost(tokens_in, written)
    preview = model.preview(task.request(task.items[0]))
    return {
        "task": task.name,
        "protocol": task.protocol_hash,
        "items": len(task.items),
        "requests": attempts,
        "input_tokens": tokens_in,
        "tokens_by": "the model's tokenizer" if exact else f"{CHARACTERS_PER_TOKEN:g} characters a token",
        "output_tokens_at_most": written,
        "cost_at_most": None if task.media else cost,  # what a picture costs is the provider's own reckoning
        "shows": sorted(task.media),
        "depends_on_answers": task.has_steps,
        "example": preview.texts[0],
        "rendered": preview.note,
    }


def _text(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt.messages) + prompt.prefill


def _print(plan: dict[str, Any]) -> None:
    from proctor.cli.output import print_tables
    from proctor.reports.render import Table
    from proctor.visible import one_line, visible

    tasks = plan["tasks"]
    costs = [task["cost_at_most"] for task in tasks]
    total = {key: sum(task[key] for task in tasks) for key in ("items", "requests", "input_tokens", "output_tokens_at_most")}
    total_cost = sum(costs) if all(cost is not None for cost in costs) else None
    rows = []
    for task in [*tasks, {"task": "in all", **total, "cost_at_most": total_cost}]:
        cost = "unknown" if task["cost_at_most"] is None else f"${task['cost_at_most']:.4f}"
        tokens = [f"{task['input_tokens']:,}", f"{task['output_tokens_at_most']:,}"]
        rows.append([task["task"], str(task["items"]), str(task["requests"]), *tokens, cost])
    more = [task["task"] for task in tasks if task["depends_on_answers"]]
    not_counted = (
        [f"not counted, as it depends on the answers: later turns, second questions and judges of {', '.join(more)}"] if more else []
    )
    shows = [task["task"] for task in tasks if task["shows"]]
    if shows:
        not_counted.append(f"not counted: the pictures, sounds and documents of {', '.join(shows)}")
    print_tables(
        [
            Table(
                title=f"{plan['suite']} on {plan['model']}: nothing is asked yet",
                columns=["task", "items", "requests", "tokens in", "tokens out ≤", "cost ≤"],
                rows=rows,
                rules=frozenset({len(tasks)}),
                notes=[f"tokens counted by {tasks[0]['tokens_by']}; shared prefixes are counted each time", *not_counted],
            )
        ]
    )
    for task in tasks:
        click.echo(click.style(f"\n── {one_line(task['task'])} ({one_line(task['rendered'])}) ──", bold=True))
        click.echo(visible(task["example"]))
