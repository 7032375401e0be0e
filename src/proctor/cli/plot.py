"""`proctor plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from proctor.cli.leaderboard import COMPOSITES
from proctor.cli.options import store_option

KINDS = ("leaderboard", "radar", "bars", "forest", "pareto", "heatmap", "calibration")


@click.command("plot")
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FIG",
    help="A .svg, .pdf or .png to write.",
)
@click.option("--suite", metavar="NAME", help="Of this suite.")
@click.option("--protocol", metavar="HASH", help="Of this protocol: the beginning of its hash, where the suite was run under several.")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="leaderboard, heatmap: this one task; calibration: may be repeated.")
@click.option("--composite", type=click.Choice(COMPOSITES), help="As for proctor leaderboard.")
@click.option("--common", is_flag=True, help="Only the tasks and items that all models share.")
@click.option("--by", type=click.Choice(("task", "domain", "capability")), default="task", show_default=True, help="radar, bars: of what.")
@click.option(
    "--against", type=click.Choice(("cost", "time", "tokens")), help="pareto: spent on what; default: cost where known, else time."
)
@click.option("--axes", metavar="ROWS,COLUMNS", help="heatmap with --task: properties of the items; default: its first two dimensions.")
@click.option("--width", default="two", show_default=True, metavar="one|two|INCHES", help="One column, two columns, or inches.")
@store_option
def command(kind: str, models: tuple[str, ...], output: Path, store: Path, axes: str | None, **options: Any) -> None:
    """Draw a picture for a paper, of the numbers of the tables.

    \b
    leaderboard  bars with intervals, ranks, the lines of chance and of people
    radar, bars  up to six models by task, domain or capability, above chance
    forest       differences from a baseline: proctor plot forest BASELINE MODEL...
    pareto       quality against cost, time or tokens
    heatmap      models and tasks; with MODEL and --task two properties of its items
    calibration  whether one MODEL's confidence means what it says

    MODEL is its name, a part of it that no other model's name has, or the beginning of its fingerprint; default: all.
    """
    from proctor.errors import UsageError
    from proctor.reports.figures.forms import form_of
    from proctor.reports.figures.kinds import Asked, make_picture
    from proctor.results.store import open_store
    from proctor.visible import one_line

    form_of(output)
    runs = list(open_store(store).runs())
    if not runs:
        raise UsageError(f"{store}: no runs yet; make one with: proctor run smoke -m baseline:random --out {store}")
    names = [name.strip() for name in axes.split(",")] if axes else []
    made = make_picture(runs, kind, Asked(models=models, axes=names, **options))
    made.save(output)
    if made.unlettered and form_of(output) != "svg":
        click.echo(one_line(f"no installed font has {made.unlettered[:20]}: boxes stand for them; an SVG has them as text"), err=True)
    click.echo(f"wrote {output}")
