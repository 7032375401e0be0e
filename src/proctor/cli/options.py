"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

import click

from proctor.results.store import DEFAULT_STORE

Format = Literal["table", "json", "csv", "md", "latex"]

store_option = click.option(
    "--out",
    "--store",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(os.environ.get("PROCTOR_STORE", DEFAULT_STORE)),
    show_default=f"$PROCTOR_STORE, else {DEFAULT_STORE}",
    help="Folder of runs.",
)

format_option = click.option(
    "--format", "form", type=click.Choice(get_args(Format)), default="table", show_default=True, help="How to print."
)
