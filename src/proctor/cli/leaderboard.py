"""`proctor leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, format_option, store_option


@click.command("leaderboard")
@click.argument("suite", required=False)
@store_option
@format_option
def command(suite: str | None, store: Path, form: Format) -> None:
    """Compare the models of a store, suite by suite.

    Score, standard error, number of items, and what became of the attempts, per task; the composite is the mean of the chance-corrected
    scores, and absent where a task is missing. Runs under different protocols are never in one table.
    """
    from proctor.cli.output import print_tables
    from proctor.errors import UsageError, nearest
    from proctor.reports.leaderboard import boards
    from proctor.reports.tables import leaderboard_table
    from proctor.results.store import open_store

    manifests = open_store(store).manifests()
    suites = sorted({manifest.suite for manifest in manifests})
    if not manifests:
        raise UsageError(f"{store}: no runs yet; make one with: proctor run smoke -m baseline:random --out {store}")
    if suite is not None:
        if suite not in suites:
            raise UsageError(f"{store}: no run of a suite named '{suite}'{nearest(suite, suites) or ';'} suites here: {', '.join(suites)}")
        manifests = [manifest for manifest in manifests if manifest.suite == suite]
    print_tables([leaderboard_table(board) for board in boards(manifests)], form)
