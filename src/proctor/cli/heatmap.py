"""`proctor heatmap`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, format_option, store_option


@click.command("heatmap")
@click.argument("model")
@store_option
@format_option
@click.option("--task", help="Only this one; default: every task whose items have two dimensions.")
@click.option("--axes", metavar="ROWS,COLUMNS", help="Properties of the items (metadata); default: the task's first two dimensions.")
@click.option("--by", metavar="NAME", help="A third property: a map for each of its values, after the map of all.")
def command(model: str, store: Path, form: Format, task: str | None, axes: str | None, by: str | None) -> None:
    """Scores over two properties of the items: length × depth of a needle in a haystack, position × number of documents.

    \b
    proctor heatmap smollm2 --task needle_grid --by wording
    proctor heatmap smollm2 --task mine --axes length,position --format csv

    MODEL is its name, a part of it that no other model's name has, or the beginning of its fingerprint.
    """
    from proctor.cli.output import print_tables
    from proctor.reports.heat_maps import heat_maps, heat_tables
    from proctor.results.store import open_store

    names = [name.strip() for name in axes.split(",")] if axes else []
    print_tables(heat_tables(heat_maps(list(open_store(store).runs()), model, task, names, by)), form)
