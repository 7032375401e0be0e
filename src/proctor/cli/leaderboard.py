"""`proctor leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, format_option, store_option

COMPOSITES = ("chance-corrected", "macro", "size-weighted", "win-rate", "borda", "geometric", "minimum")


@click.command("leaderboard")
@click.argument("suite", required=False)
@store_option
@format_option
@click.option(
    "--composite", type=click.Choice(COMPOSITES), help=f"How tasks become one number; default: as the suite says, else {COMPOSITES[0]}."
)
@click.option("--common", is_flag=True, help="Compare only on the tasks and items that all models share.")
@click.option(
    "--robustness",
    is_flag=True,
    help="Say how the order changes with other composites, without each task, under random weights; and what variants change.",
)
def command(suite: str | None, store: Path, form: Format, composite: str | None, common: bool, robustness: bool) -> None:
    """Compare the models of a store, suite by suite.

    Score, standard error, number of items, and what became of the attempts, per task; the composite, absent where a task is missing; and
    the ranks each model can have. Runs under different protocols are never in one column.
    """
    from proctor.cli.output import print_tables
    from proctor.errors import UsageError, nearest
    from proctor.reports.profile_variants import variants_board
    from proctor.reports.ranking import ranked_boards
    from proctor.reports.robustness import robustness_table
    from proctor.reports.tables import leaderboard_table
    from proctor.results.store import open_store

    runs = list(open_store(store).runs())
    suites = sorted({run.manifest.suite for run in runs})
    if not runs:
        raise UsageError(f"{store}: no runs yet; make one with: proctor run smoke -m baseline:random --out {store}")
    if suite is not None:
        if suite not in suites:
            raise UsageError(f"{store}: no run of a suite named '{suite}'{nearest(suite, suites) or ';'} suites here: {', '.join(suites)}")
        runs = [run for run in runs if run.manifest.suite == suite]
    tables = []
    by_id = {run.manifest.run: run for run in runs}
    for board in ranked_boards(runs, composite, common=common):
        tables.append(leaderboard_table(board))
        changes = robustness_table(board, by_id) if robustness else None
        if changes and form == "json":
            tables[-1].data["robustness"] = changes.data
        elif changes:
            tables.append(changes)
        over = variants_board(board, by_id) if robustness else None
        if over and form == "json":
            tables[-1].data["variants"] = over.data
        elif over:
            tables.append(over)
    print_tables(tables, form)
