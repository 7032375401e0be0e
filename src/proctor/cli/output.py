"""Printing tables where standard output goes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click

from proctor.reports.render import Format, Table, render


def print_tables(tables: Sequence[Table], form: Format = "table") -> None:
    """Print in the format asked for; a terminal's width and colours are used only where there is a terminal."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    click.echo(render(tables, form, width=width, color=terminal), nl=False)
