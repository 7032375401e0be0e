"""`proctor compare`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, Number, format_option, store_option


@click.command("compare")
@click.argument("baseline")
@click.argument("models", metavar="MODEL...", nargs=-1)
@click.option("--suite", metavar="NAME", help="Only this suite.")
@click.option("--items", type=click.IntRange(min=0), default=5, show_default=True, help="Show N items on which they disagree.")
@click.option(
    "--fail-if-worse",
    type=Number(0, 100),
    metavar="POINTS",
    help="Exit with 1 where a model is shown to be worse overall than the baseline by more than so many points.",
)
@click.option("--delta-m", is_flag=True, help="Relative gains over the baseline and their mean, Δm, in place of the differences.")
@store_option
@format_option
def command(
    baseline: str,
    models: tuple[str, ...],
    suite: str | None,
    items: int,
    fail_if_worse: float | None,
    delta_m: bool,
    store: Path | str,
    form: Format,
) -> int:
    """Compare models with a baseline, on the items both were given.

    Per task and overall: the paired difference with its 95 % interval, an exact or permutation p-value corrected for the number of tests,
    what difference could have been seen, and items on which they disagree. A model is named as for `proctor profile`.
    """
    from proctor.cli.main import MISTAKE, SHOWN_WORSE
    from proctor.cli.output import print_tables
    from proctor.reports.compare import compare, gates
    from proctor.reports.compare_tables import comparison_tables
    from proctor.reports.gain import gain_tables
    from proctor.results.store import open_store
    from proctor.visible import one_line

    pairs = compare(open_store(store).runs(), baseline, models, suite=suite, items=items)
    print_tables(gain_tables(pairs) if delta_m else comparison_tables(pairs, form), form)
    if fail_if_worse is None:
        return 0
    found = gates(pairs, fail_if_worse)
    for gate in found:
        click.echo(one_line(f"proctor: {gate.sentence}"), err=True)
    outcomes = {gate.outcome for gate in found}
    return SHOWN_WORSE if "worse" in outcomes else MISTAKE if "none" in outcomes else 0
