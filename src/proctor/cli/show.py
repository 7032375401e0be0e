"""`proctor show`."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("show")
@click.argument("task_name", metavar="TASK")
@click.option("--item", "item_id", help="Id of the item; default: the first.")
@click.option("-m", "--model", "uri", help="Show it as this model sees it, token by token where its tokenizer is at hand.")
@click.option("--shots", type=click.IntRange(0), help="With N few-shot examples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(task_name: str, item_id: str | None, uri: str | None, shots: int | None, as_json: bool) -> None:
    """Show exactly what a model will see for an item, and what counts as right.

    \b
    proctor show arithmetic
    proctor show my-task.yaml --item q17 --model smollm2
    """
    from proctor.engine.plan import Settings, fit
    from proctor.models.base import Preview, plain_text
    from proctor.models.open import open_model
    from proctor.tasks.load import load_suite, load_task
    from proctor.types import Generate

    task = load_task(task_name)
    settings = Settings(shots=shots)
    model = open_model(uri) if uri else None
    suite = load_suite(task_name)
    task = fit(suite, settings, model.kinds if model else frozenset({"generate", "likelihood"})).tasks[0]
    item = task.only([item_id]).items[0] if item_id else task.items[0]
    request = task.request(item)
    prompts = (request.prompt,) if isinstance(request, Generate) else request.prompts
    preview = (
        model.preview(request)
        if model
        else Preview(tuple(plain_text(prompt)[0] for prompt in prompts), None, "as running text; --model shows a model's own rendering")
    )
    if as_json:
        import msgspec

        shown = {
            "task": task.name,
            "protocol": task.protocol_hash,
            "item": msgspec.to_builtins(item),
            "request": msgspec.to_builtins(request),
            "texts": preview.texts,
            "tokens": preview.tokens,
            "rendered": preview.note,
            "scoring": task.scoring.protocol,
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    _print(task, item, request, preview)
    if model:
        model.close()


def _print(task: Any, item: Any, request: Any, preview: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    from proctor.types import Generate

    console = Console()

    def heading(text: str) -> None:
        console.print(f"\n── {text} ──", style="bold")

    def body(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    console.print(f"{task.name}: {task.spec.title}", style="bold", highlight=False)
    body(f"item {item.id} of {len(task.items)} · protocol {task.protocol_hash} · domain {task.spec.domain} · {task.origin}")
    for number, text in enumerate(preview.texts):
        heading("what the model sees" if number == 0 else "and for comparison")
        console.print(f"({preview.note})", style="dim", highlight=False)
        if preview.tokens is None:
            body(text)
            continue
        shown = Text()
        for index, token in enumerate(preview.tokens[number]):
            shown.append(token, style="on grey23" if index % 2 else "on grey37")
            if token.endswith("\n"):
                shown.append("")
        console.print(shown)
        console.print(f"{len(preview.tokens[number])} tokens, shaded in turn", style="dim", highlight=False)
    heading("what it is asked for")
    if isinstance(request, Generate):
        stops = f", stops at {', '.join(map(repr, request.stop))}" if request.stop else ""
        how = "the likeliest" if request.temperature == 0 else f"sampled at temperature {request.temperature}"
        body(f"a text of at most {request.max_tokens} tokens{stops}; {how}")
    else:
        body("the log-likelihood of each of:")
        for text in request.continuations:
            body(f"  {text!r}")
    heading("what counts as right")
    target = item.target
    if item.choices and isinstance(target, int):
        body(f"{chr(65 + target)}: {item.choices[target]}")
    else:
        body(target if isinstance(target, str) else json.dumps(target, ensure_ascii=False))
    names = ", ".join(metric.name for metric in task.scoring.metrics)
    body(f"scored by {names}; chance {task.chance:.3g}")
