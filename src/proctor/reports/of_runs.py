"""`proctor.leaderboard` and `proctor.profile`: the tables of the command line, from Python."""

from __future__ import annotations

from collections.abc import Iterable

from proctor.reports import profile as profiles
from proctor.reports import tables
from proctor.reports.leaderboard import boards
from proctor.reports.render import Format
from proctor.results.manifest import Manifest
from proctor.results.store import Run, Store

Runs = Run | Store | Iterable[Run]


def leaderboard(runs: Runs, format: Format = "table") -> str:  # noqa: A002 - the name of the command's option
    """The leaderboard of runs, or of all runs of a store, as text; one table for each suite and protocol.

    Args:
        runs: a run, several, or a store.
        format: `table`, `json`, `csv`, `md` or `latex`.
    """
    return tables.leaderboard(boards(_manifests(runs)), format)


def profile(runs: Runs, model: str, format: Format = "table") -> str:  # noqa: A002
    """Strengths and weaknesses of one model, as text.

    Args:
        runs: a run, several, or a store.
        model: its name, a part of it that no other has, or the beginning of its fingerprint.
        format: as for `leaderboard`.

    Raises:
        UsageError: no such model, or several.
    """
    return profiles.profile_text(profiles.profile(_manifests(runs), model), format)


def _manifests(runs: Runs) -> list[Manifest]:
    if isinstance(runs, Store):
        return runs.manifests()
    return [run.manifest for run in ([runs] if isinstance(runs, Run) else runs)]
