"""`proctor profile`."""

from __future__ import annotations

from pathlib import Path

import click

from proctor.cli.options import Format, format_option, store_option


@click.command("profile")
@click.argument("model")
@store_option
@format_option
def command(model: str, store: Path, form: Format) -> None:
    """Strengths and weaknesses of one model: by task, domain and capability, with what is no better than guessing.

    MODEL is its name, a part of it that no other model's name has, or the beginning of its fingerprint.
    """
    from proctor.cli.output import print_tables
    from proctor.reports.profile import profile, profile_table
    from proctor.results.store import open_store

    found = profile(open_store(store).manifests(), model)
    print_tables([profile_table(part) for part in found.parts], form)
