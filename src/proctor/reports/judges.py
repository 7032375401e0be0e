"""What judges did: how many verdicts, how far they agree with each other and with people, what sways them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import msgspec
from msgspec import Struct, field

from proctor.analysis.agreement import Agreement, krippendorff_alpha, percent_agreement
from proctor.analysis.interval_estimate import UNDEFINED, IntervalEstimate
from proctor.analysis.judging import length_correlation, length_gap, position_gap, self_preference
from proctor.errors import UsageError
from proctor.reports.render import Table
from proctor.results.attempts import reading_attempts
from proctor.results.store import Run

_PREFIX = "judge_"
_NOMINAL = ("judge_categories",)


class _Asked(msgspec.Struct):
    """What is read of an exchange."""

    name: str
    by: str = ""
    fingerprint: str = ""


class Verdicts(Struct):
    """What one judge said of one answer.

    Attributes:
        answer: run, item and epoch. `item`: alone.
        given: question -> verdict; None where the reply could not be read.
        length, other_length: characters of the answer and, in a pair, of the other one; None where unknown.
        human: what people said; None where unknown.
        own: whether the judge wrote the answer.
    """

    answer: tuple[str, str, int]
    item: str
    given: dict[str, float | None] = field(default_factory=dict)
    length: float | None = None
    other_length: float | None = None
    human: float | None = None
    own: bool = False

    @property
    def value(self) -> float | None:
        """The mean over what could be read."""
        read = [one for one in self.given.values() if one is not None]
        return fmean(read) if read else None


class JudgeFigures(Struct):
    """One judge's figures on one task.

    Attributes:
        task, scorer, judge: whose; `judge` is a URI.
        verdicts: replies that could be read. `unread`: those that could not.
        mean: of the verdicts, on the rubric's scale.
        others: Krippendorff's α with the other judges of the same answers. `people`: with people's verdicts; `same_as_people` the share
            of answers on which the two are equal.
        first: position gap. `consistent`: share of pairs judged alike in both orders. Of pairs only.
        longer: of pairs, the length gap; else Spearman's ρ of points and length.
        own: self-preference. Undefined for rubrics whose scale is not known to be the same for all judges.
    """

    task: str
    scorer: str
    judge: str
    verdicts: int
    unread: int
    mean: float | None
    others: Agreement | None
    people: Agreement | None
    same_as_people: Agreement | None
    first: IntervalEstimate
    consistent: IntervalEstimate
    longer: IntervalEstimate
    own: IntervalEstimate


def judge_figures(runs: Sequence[Run], tasks: Sequence[str] = ()) -> list[JudgeFigures]:
    """The figures of every judge of the runs, by task.

    Args:
        runs: complete ones.
        tasks: only these; default: all.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    found: defaultdict[tuple[str, str], defaultdict[str, list[Verdicts]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for task, scorer, judge, verdicts in _verdicts(run, tasks):
            found[task, scorer][judge].append(verdicts)
    return [_figures(task, scorer, judge, judges) for (task, scorer), judges in found.items() for judge in judges]


def _verdicts(run: Run, tasks: Sequence[str]) -> Iterator[tuple[str, str, str, Verdicts]]:
    """Of each attempt, scorer and judge of a run."""
    import polars as pl

    if not run.attempts_path.exists():
        return
    with reading_attempts(run.attempts_path):
        rows = pl.scan_parquet(run.attempts_path, glob=False)
        if "exchanges" not in rows.collect_schema().names():
            return
        rows = rows.filter(pl.col("exchanges").is_not_null())
        if tasks:
            rows = rows.filter(pl.col("task").is_in(list(tasks)))
        frame = rows.select("task", "item", "epoch", "metrics", "exchanges").collect()
    exchanges = msgspec.json.Decoder(list[_Asked])
    for task, item, epoch, metrics, column in frame.iter_rows():
        values: dict[str, Any] = msgspec.json.decode(metrics)
        of: dict[tuple[str, str], Verdicts] = {}
        for one in exchanges.decode(column):
            scorer, _, rest = one.name.partition(" ")
            if not one.by or not scorer.startswith(_PREFIX):
                continue
            verdicts = of.get((scorer, one.by))
            if verdicts is None:
                sizes = values.get("length"), values.get("other_length")
                own = one.fingerprint == run.manifest.fingerprint
                verdicts = of[scorer, one.by] = Verdicts((run.manifest.run, item, epoch), item, {}, *sizes, values.get("human"), own)
            verdicts.given[rest.partition(": ")[2]] = values.get(one.name)
        for (scorer, judge), verdicts in of.items():
            yield task, scorer, judge, verdicts


def _figures(task: str, scorer: str, judge: str, judges: dict[str, list[Verdicts]]) -> JudgeFigures:
    mine = judges[judge]
    read = [one for verdicts in mine for one in verdicts.given.values() if one is not None]
    metric: Any = "nominal" if scorer in _NOMINAL else "interval"
    others = people = same = None
    if len(judges) > 1:
        others = krippendorff_alpha(_by_question(judges, judge), metric)
    labelled = [one for one in mine if one.human is not None and one.value is not None]
    if labelled:
        ratings = [[one.value for one in labelled], [one.human for one in labelled]]
        people, same = krippendorff_alpha(ratings, metric), percent_agreement(ratings)
    first = consistent = longer = UNDEFINED
    items = [one.item for one in mine]
    if scorer == "judge_pairwise":
        place = position_gap(_numbers(mine, "answer first"), _numbers(mine, "answer second"), items)
        first, consistent = place.gap, place.consistent
        longer = length_gap(_value(mine), _column(mine, "length"), _column(mine, "other_length"), items)
    elif scorer not in _NOMINAL:
        longer = length_correlation(_value(mine), _column(mine, "length"), items)
    return JudgeFigures(
        task=task,
        scorer=scorer,
        judge=judge,
        verdicts=len(read),
        unread=sum(len(one.given) for one in mine) - len(read),
        mean=fmean(read) if read and scorer not in _NOMINAL else None,
        others=others,
        people=people,
        same_as_people=same,
        first=first,
        consistent=consistent,
        longer=longer,
        own=_self_preference(judge, judges) if scorer not in _NOMINAL else UNDEFINED,
    )


def _by_question(judges: dict[str, list[Verdicts]], judge: str) -> list[list[float]]:
    """Ratings of each judge, the one in question first, over the questions it was asked; NaN where there is none."""
    units = [(one.answer, name) for one in judges[judge] for name in one.given]
    rows = []
    for name in (judge, *(other for other in judges if other != judge)):
        said = {(one.answer, question): verdict for one in judges[name] for question, verdict in one.given.items()}
        rows.append([_nan(said.get(unit)) for unit in units])
    return rows


def _self_preference(judge: str, judges: dict[str, list[Verdicts]]) -> IntervalEstimate:
    """Verdicts brought to [0, 1] by the least and most that any judge gave."""
    given = [one.value for verdicts in judges.values() for one in verdicts if one.value is not None]
    low, high = (min(given), max(given)) if given else (0.0, 0.0)
    mine = judges[judge]
    if len(judges) < 2 or high <= low or len({one.own for one in mine}) < 2:
        return UNDEFINED
    panel: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    for name, verdicts in judges.items():
        for one in verdicts:
            if name != judge and one.value is not None:
                panel[one.answer].append((one.value - low) / (high - low))
    own = [_nan(None if one.value is None else (one.value - low) / (high - low)) for one in mine]
    others = [fmean(panel[one.answer]) if panel[one.answer] else float("nan") for one in mine]
    return self_preference(own, others, [one.own for one in mine], [one.item for one in mine])


def _numbers(verdicts: Sequence[Verdicts], question: str) -> list[float]:
    return [_nan(one.given.get(question)) for one in verdicts]


def _value(verdicts: Sequence[Verdicts]) -> list[float]:
    return [_nan(one.value) for one in verdicts]


def _column(verdicts: Sequence[Verdicts], name: str) -> list[float]:
    return [_nan(getattr(one, name)) for one in verdicts]


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def judge_table(figures: Sequence[JudgeFigures]) -> Table:
    """The figures as a table. Raises `UsageError` where there are none."""
    if not figures:
        raise UsageError("no run of the store was judged; `proctor run` a task with a scorer that judges, such as judge_points")
    rows = [
        [
            one.task,
            one.judge,
            one.scorer.removeprefix(_PREFIX),
            str(one.verdicts),
            str(one.unread),
            "–" if one.mean is None else f"{one.mean:.2f}",
            *(
                _shown(estimate)
                for estimate in (one.others, one.people, one.same_as_people, one.first, one.consistent, one.longer, one.own)
            ),
        ]
        for one in figures
    ]
    return Table(
        title="judges",
        columns=[
            "task",
            "judge",
            "rubric",
            "verdicts",
            "unread",
            "mean",
            "others α",
            "people α",
            "same",
            "first",
            "both orders",
            "longer",
            "own",
        ],
        rows=rows,
        left=frozenset({0, 1, 2}),
        notes=[
            "in brackets 95 % intervals over items; – is unknown",
            "others α, people α: Krippendorff's α with the other judges and with people's labels; same: share equal to people's",
            "first: how much more often than half the answer shown first wins; both orders: share of pairs judged alike in both",
            "longer: of pairs, how much more often than half the longer answer wins; else Spearman's ρ of verdict and length",
            "own: what the judge gives its own answers beyond the other judges, less the same for others' answers; share of the scale used",
        ],
        data=[msgspec.to_builtins(one) for one in figures],
    )


def _shown(estimate: Agreement | IntervalEstimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
