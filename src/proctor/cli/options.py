"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal, get_args

import click

from proctor.results.bucket import bucket_url
from proctor.results.store import DEFAULT_STORE

Format = Literal["table", "json", "csv", "md", "latex"]


class Number(click.FloatRange):
    """A float within a range; `nan`, which no comparison keeps out, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"'{value}' is not a number", param, ctx)
        return number


def _where(ctx: click.Context, param: click.Parameter, value: str) -> Path | str:
    """A folder as a `Path`, the address of a bucket as text."""
    folder = click.Path(path_type=Path, file_okay=False)
    return bucket_url(value) or Path(folder.convert(value, param, ctx))


store_option = click.option(
    "--out",
    "--store",
    "store",
    callback=_where,
    metavar="FOLDER|BUCKET",
    default=lambda: os.environ.get("PROCTOR_STORE", str(DEFAULT_STORE)),
    show_default=f"$PROCTOR_STORE, else {DEFAULT_STORE}",
    help="Folder of runs, or a bucket: s3://BUCKET/FOLDER.",
)

format_option = click.option(
    "--format", "form", type=click.Choice(get_args(Format)), default="table", show_default=True, help="How to print."
)


judge_option = click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="MODEL",
    help="Who judges, where a task's answers are judged, in place of those it names; repeat for several.",
)
