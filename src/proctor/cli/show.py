"""`proctor show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from proctor.cli.lm_eval_options import lm_eval_options

if TYPE_CHECKING:
    from proctor.tasks.lm_eval.settings import LmEvalSettings


@click.command("show")
@click.argument("task_name", metavar="TASK")
@click.option("--item", "item_id", help="Id of the item; default: the first.")
@click.option("-m", "--model", "uri", help="Show it as this model sees it, token by token where its tokenizer is at hand.")
@click.option("--shots", type=click.IntRange(0), help="With N few-shot examples.")
@lm_eval_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(task_name: str, item_id: str | None, uri: str | None, shots: int | None, lm_eval: LmEvalSettings, as_json: bool) -> None:
    """Show exactly what a model will see for an item, and what counts as right.

    \b
    proctor show arithmetic
    proctor show my-task.yaml --item q17 --model smollm2
    proctor show lm-eval:arc_challenge --item 0
    """
    from proctor.engine.plan import Settings, fit
    from proctor.models.base import KINDS, Preview, described, plain_text
    from proctor.models.open import open_model
    from proctor.tasks.load import load_task
    from proctor.tasks.suite import Suite, Weighted
    from proctor.types import prompts_of

    task = load_task(task_name, lm_eval)
    settings = Settings(shots=shots)
    model = open_model(uri) if uri else None
    suite = Suite(task.name, [Weighted(task)])
    task = fit(suite, settings, model.kinds if model else KINDS).tasks[0]
    item = task.only([item_id]).items[0] if item_id else task.items[0]
    request = task.request(item)
    preview = (
        model.preview(request)
        if model
        else Preview(
            tuple(plain_text(described(prompt))[0] for prompt in prompts_of(request)),
            None,
            "as running text; --model shows a model's own rendering",
        )
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
    from proctor.types import Generate, Likelihood
    from proctor.visible import one_line, visible

    # Not through rich: it folds at the terminal's width, expands tabs and reads [brackets] as markup; shown here is what is asked, exactly.
    def heading(text: str) -> None:
        click.echo(click.style(f"\n── {text} ──", bold=True))

    def body(text: str) -> None:
        click.echo(visible(text))

    def remark(text: str) -> None:
        click.echo(click.style(one_line(text), dim=True))

    click.echo(click.style(one_line(f"{task.name}: {task.spec.title}"), bold=True))
    body(f"item {item.id} of {len(task.items)} · protocol {task.protocol_hash} · domain {task.spec.domain} · {task.origin}")
    for number, text in enumerate(preview.texts):
        heading("what the model sees" if number == 0 else "and for comparison")
        remark(f"({preview.note})")
        if preview.tokens is None:
            body(text)
            continue
        click.echo("".join(_shaded(visible(token), index) for index, token in enumerate(preview.tokens[number])))
        remark(f"{len(preview.tokens[number])} tokens, shaded in turn")
    if task.turns is not None:
        said = task.spec.prompt.turns
        heading("then the user says")
        for text in said if isinstance(said, list) else item.fields.get(said, [f"what {said} returns"]):
            body(text)
    if task.second is not None:
        heading("and is asked about its answer")
        body(", ".join(one.ask for one in task.spec.confidence))
    heading("what it is asked for")
    if isinstance(request, Generate):
        stops = f", stops at {', '.join(map(repr, request.stop))}" if request.stop else ""
        how = "the likeliest" if request.temperature == 0 else f"sampled at temperature {request.temperature}"
        body(f"a text of at most {request.max_tokens} tokens{stops}; {how}")
    elif isinstance(request, Likelihood):
        body("the log-likelihood of each of:")
        for text in request.continuations:
            body(f"  {text!r}")
    else:
        among = f"{len(request.candidates)} candidates" if request.candidates else f"the {len(task.corpus.ids):,} of the corpus"
        body(f"the {request.top_k} documents that answer best, of {among}")
    heading("what counts as right")
    target = item.target
    if item.choices and isinstance(target, int):
        body(f"{chr(65 + target)}: {item.choices[target]}")
    else:
        body(target if isinstance(target, str) else json.dumps(target, ensure_ascii=False))
    names = ", ".join(metric.name for metric in task.scoring.metrics)
    body(f"scored by {names}; chance {task.chance:.3g}")


def _shaded(token: str, index: int) -> str:
    """A token on one of two greys; a line feed is left bare, for terminals would shade the line after it."""
    return "\n".join(click.style(part, bg=237 if index % 2 else 59) if part else "" for part in token.split("\n"))
