"""`proctor rescore`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import judge_option, store_option


@click.command("rescore")
@click.argument("run_name", metavar="RUN")
@click.option("--trust-task-code", is_flag=True, help="Run the Python code that lm-eval task files name.")
@judge_option
@store_option
def command(run_name: str, trust_task_code: bool, judges: tuple[str, ...], store: Path) -> None:
    """Score the kept answers of a run by its tasks as they are now, or by other judges.

    The model is asked nothing, and the run itself stays as it is: a new run is written. Judges are asked only what they have not said
    yet. RUN is an id from
    `proctor list runs`, or its beginning.
    """
    from proctor.cli.output import print_tables
    from proctor.engine.rescore import rescore
    from proctor.reports.ranking import ranked_boards
    from proctor.reports.tables import leaderboard_table
    from proctor.results.store import open_store
    from proctor.tasks.lm_eval.settings import LmEvalSettings

    opened = open_store(store)
    before = opened.run(run_name)
    after = rescore(before, opened, lm_eval=LmEvalSettings(trust=trust_task_code), judges=judges)
    print_tables([leaderboard_table(board) for board in [*ranked_boards([before]), *ranked_boards([after])]])
    click.echo(f"results: {after.location}")
