"""`proctor convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proctor.cli.lm_eval_options import lm_eval_options

if TYPE_CHECKING:
    from proctor.tasks.lm_eval.settings import LmEvalSettings


@click.command("convert")
@click.argument("task_name", metavar="lm-eval:TASK")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path(), metavar="DIR", help="Folder to write to.")
@click.option("--shots", type=click.IntRange(0), help="With N few-shot examples.")
@lm_eval_options
def command(task_name: str, output: Path, shots: int | None, lm_eval: LmEvalSettings) -> None:
    """Write a task of lm-evaluation-harness as a task file of Proctor's, with its items beside it.

    What cannot be carried over is said, and stands at the head of the file.

    \b
    proctor convert lm-eval:arc_easy -o tasks
    """
    from proctor.errors import UsageError
    from proctor.tasks.lm_eval.convert import convert
    from proctor.tasks.lm_eval.task import LmEvalTask
    from proctor.tasks.load import load_task

    task = load_task(task_name, lm_eval).changed(shots=shots)
    if not isinstance(task, LmEvalTask):
        raise UsageError(
            f"{task_name}: only task files of lm-evaluation-harness that are no Python classes can be converted; name one: lm-eval:TASK"
        )
    files, notes = convert(task, output)
    for path in files:
        click.echo(f"wrote {path}")
    for note in notes:
        click.echo(f"note: {note}")
