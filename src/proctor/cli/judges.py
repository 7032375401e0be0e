"""`proctor judges`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, format_option, store_option


@click.command("judges")
@click.argument("tasks", metavar="[TASK…]", nargs=-1)
@store_option
@format_option
def command(tasks: tuple[str, ...], store: Path | str, form: Format) -> None:
    """How far the judges of a store can be trusted: agreement with each other and with people, and what sways them.

    One row for each task and judge, over all models whose answers it judged: replies that could not be read, Krippendorff's alpha with the
    other judges and with people's labels (where the task names them with `human`), and the pull of an answer's place, its length, and its
    being the judge's own.
    """
    from proctor.cli.output import print_tables
    from proctor.errors import UsageError, nearest
    from proctor.reports.judges import judge_figures, judge_table
    from proctor.results.store import open_store

    runs = [run for run in open_store(store).runs() if run.manifest.state == "complete"]
    known = sorted({result.task for run in runs for result in run.manifest.tasks})
    for task in tasks:
        if task not in known:
            raise UsageError(f"no run of the store has a task '{task}'{nearest(task, known)}")
    print_tables([judge_table(judge_figures(runs, tasks))], form)
