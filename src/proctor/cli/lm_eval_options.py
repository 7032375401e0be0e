"""The options of verbs that read tasks: where data sets lie, and those of tasks of lm-evaluation-harness."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def lm_eval_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, and what they say as the argument `lm_eval`, a `LmEvalSettings`."""

    @functools.wraps(function)
    def command(
        *args: Any,
        lm_eval_path: tuple[str, ...],
        data: str | None,
        compat: str | None,
        lm_eval_chat: Any,
        trust_task_code: bool,
        **more: Any,
    ) -> Any:
        from proctor.tasks.lm_eval.settings import LmEvalSettings

        settings = LmEvalSettings(lm_eval_path, data, compat is not None, lm_eval_chat, trust_task_code)
        return function(*args, lm_eval=settings, **more)

    options = [
        click.option(
            "--lm-eval-path",
            multiple=True,
            type=click.Path(),
            metavar="FOLDER",
            help="Task files of lm-evaluation-harness, beside those of an installed lm_eval; repeat for several, the later go first.",
        ),
        click.option(
            "--data", type=click.Path(), metavar="MAP", help="A YAML file that says where data sets of the hub lie on this machine."
        ),
        click.option(
            "--compat", type=click.Choice(["lm-eval"]), help="Keep to the harness's protocol to the letter, its few-shot draw included."
        ),
        click.option(
            "--lm-eval-chat",
            type=click.Choice(["off", "turns", "one-turn"]),
            default="off",
            show_default=True,
            help="Put lm-eval tasks through the model's chat template: examples as turns, or all in one turn.",
        ),
        click.option("--trust-task-code", is_flag=True, help="Run the Python code that lm-eval task files name."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
