"""`proctor report`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import store_option


@click.command("report")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="Folder to write to.")
@store_option
def command(output: Path, store: Path) -> None:
    """Write the results as one page, index.html, that opens from disk: leaderboards, profiles, and answers to look at."""
    from proctor.errors import UsageError
    from proctor.reports.heat_maps import page_maps
    from proctor.reports.html import write_report
    from proctor.reports.ranking import ranked_boards
    from proctor.results.store import open_store

    opened = open_store(store)
    runs = list(opened.runs())
    if not runs:
        raise UsageError(f"{store}: no runs yet; make one with: proctor run smoke -m baseline:random --out {store}")
    manifests = [run.manifest for run in runs]
    by_id = {run.manifest.run: run for run in runs}
    written = write_report(
        ranked_boards(runs),
        manifests,
        lambda run, task, limit: opened.run(run).samples(task, limit),
        output,
        lambda run, result: page_maps(by_id.get(run), result),
    )
    for path in written:
        click.echo(f"wrote {path}; open it in a browser")
