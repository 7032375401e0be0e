"""`proctor.leaderboard`, `proctor.profile`, `proctor.compare` and `proctor.plot`: what the command line prints, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from proctor.analysis.aggregate import COMPOSITES
from proctor.errors import UsageError, nearest
from proctor.reports import compare as comparisons
from proctor.reports import profile as profiles
from proctor.reports import tables
from proctor.reports.compare_tables import Comparisons
from proctor.reports.ranking import ranked_boards
from proctor.reports.render import Format
from proctor.results.notebook import preformatted
from proctor.results.store import Run, Store

if TYPE_CHECKING:
    from proctor.reports.figures.picture import Picture

Runs = Run | Store | Iterable[Run]


class Shown(str):
    """A text that a notebook shows as it stands, lines and columns kept."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return preformatted(self)


def leaderboard(
    runs: Runs,
    format: Format = "table",  # noqa: A002 - the name of the command's option
    composite: str | None = None,
    *,
    common: bool = False,
) -> str:
    """The leaderboard of runs, or of all runs of a store, as text; one table for each suite and protocol.

    Args:
        runs: a run, several, or a store.
        format: `table`, `json`, `csv`, `md` or `latex`.
        composite: one of `proctor.analysis.aggregate.COMPOSITES`; default: what the suite's file says, else `chance-corrected`.
        common: whether to compare only on the tasks and items that all models share.

    Raises:
        UsageError: no such format or composite.
    """
    if composite is not None and composite not in COMPOSITES:
        raise UsageError(f"no composite '{composite}'{nearest(composite, COMPOSITES) or ';'} there are: {', '.join(COMPOSITES)}")
    return Shown(tables.leaderboard(ranked_boards(_listed(runs), composite, common=common), format))


def profile(runs: Runs, model: str, format: Format = "table", *, gaps: Sequence[str] = (), items: int = 5) -> str:  # noqa: A002
    """Strengths and weaknesses of one model, by its own standard and beside the other models, as text.

    Args:
        runs: a run, several, or a store.
        model: its name, a part of it that no other has, or the beginning of its fingerprint.
        format: as for `leaderboard`.
        gaps: `IN=OUT`, groups of tasks to set against each other; as `proctor profile --gap`.
        items: how many to show of the items that it alone gets wrong, and as many of those it alone gets right.

    Raises:
        UsageError: no such model, or several; a gap that names no task; no such format.
    """
    return Shown(profiles.profile_text(profiles.full_profile(_listed(runs), model, gaps=gaps, items=items), format))


def compare(runs: Runs, baseline: str, *models: str, suite: str | None = None, items: int = 5) -> Comparisons:
    """Models against a baseline, on every suite and protocol under which both have a complete run.

    Args:
        runs: a run, several, or a store.
        baseline, models: names, parts of them that no other model has, or beginnings of fingerprints.
        suite: only this one.
        items: how many items to show on which a model and the baseline disagree.

    Returns:
        the comparisons; `str()` of them is what `proctor compare` prints, `.text(format)` the same in another format, `.pairs` the numbers.

    Raises:
        UsageError: an unknown name, a model named twice, models that are on no board together.
        StoreError: a file of attempts is damaged.
    """
    return Comparisons(comparisons.compare(_listed(runs), baseline, models, suite=suite, items=items))


def plot(
    runs: Runs,
    kind: str,
    *models: str,
    suite: str | None = None,
    protocol: str | None = None,
    tasks: Sequence[str] = (),
    composite: str | None = None,
    common: bool = False,
    by: Literal["task", "domain", "capability"] = "task",
    against: Literal["cost", "time", "tokens"] | None = None,
    axes: Sequence[str] = (),
    width: str | float = "two",
) -> Picture:
    """A picture of the tables' numbers, which a notebook shows and `.save(PATH)` writes; it is a matplotlib figure.

    Args:
        runs: a run, several, or a store.
        kind: `leaderboard`, `radar`, `bars`, `forest`, `pareto`, `heatmap` or `calibration`.
        models: which; of `forest` the baseline first. Default: all.
        suite, protocol, tasks, composite, common, by, against, axes, width: the options of `proctor plot`.

    Raises:
        UsageError: an unknown name, several boards and none named, more models than can be told apart.
        MissingExtra: matplotlib is not installed.
    """
    from proctor.reports.figures.kinds import Asked, make_picture

    asked = Asked(models, suite, protocol, tasks, composite, common, by, against, axes, width)
    return make_picture(_listed(runs), kind, asked)


def _listed(runs: Runs) -> list[Run]:
    if isinstance(runs, Store):
        return list(runs.runs())
    return [runs] if isinstance(runs, Run) else list(runs)
