"""Whether a model's confidence means what it says: the probabilities of its choices, and what it answers when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from proctor.analysis.interval_estimate import UNDEFINED, IntervalEstimate
from proctor.errors import ModelError
from proctor.reports.leaderboard import Row
from proctor.reports.profile_field import difference_text, estimate_json, percent
from proctor.reports.render import Table
from proctor.reports.text import ABSENT
from proctor.results.attempts import reading_attempts
from proctor.results.manifest import TaskResult
from proctor.results.store import Run
from proctor.scoring.choice import Normalise, normalised
from proctor.scoring.stated_confidence import comparison
from proctor.types import Exchange

_CHOICES = "confidence: softmax over the choices, of the likeliest."
_HOW = (
    "likelihood of its choice: softmax over the choices, of the likeliest. P(True), P(IK): what the model gives for yes, asked whether its "
    "answer is true, or whether it will know. said: in a number or word. compared: by which of two questions it is surer (Bradley–Terry), "
    "an order only."
)
RESAMPLES = 500  # of the bootstrap; the interval of a task's calibration need not be finer


MOST_COMPARED = 2000  # items whose comparisons become one scale: its cost grows with their cube
SOURCES = {
    "choices": "likelihood of its choice",
    "p_true": "P(True)",
    "p_ik": "P(IK)",
    "verbal": "said",
    "relative": "compared",
}


class TaskConfidence(Struct, frozen=True):
    """A task's confidences of one kind, beside whether its answers were right.

    Attributes:
        task: the column.
        accuracy, confidence: means over the items that have a confidence.
        overconfidence, smooth_ece, auroc, augrc: as `analysis.calibration` has them, with 95 % intervals; the first two are undefined for
            comparisons, which give an order and no probabilities.
        items: that have a confidence. `missing`: that have none.
        source: where it is from: `choices` (softmax of what the choices were compared by, of the likeliest one), or the second question.
    """

    task: str
    accuracy: float
    confidence: float
    overconfidence: IntervalEstimate
    smooth_ece: IntervalEstimate
    auroc: IntervalEstimate
    augrc: IntervalEstimate
    items: int
    missing: int
    source: str = "choices"


class Stated(Struct, frozen=True):
    """A task's confidences of one kind, answer by answer.

    Attributes:
        task: the column. source: as in `TaskConfidence`.
        confidence, right: of the items that have one; whether the answer was right (0 or 1).
        groups: of those items, empty where an item stands alone.
        missing: items without a confidence.
    """

    task: str
    source: str
    confidence: list[float]
    right: list[float]
    groups: list[str]
    missing: int


def task_confidences(row: Row, runs: Mapping[str, Run]) -> list[TaskConfidence]:
    """The tasks of a row whose attempts are right or wrong and have a confidence, by likelihood or stated; of several epochs the first.

    Raises:
        StoreError: a file of attempts is damaged.
    """
    return [measured(one) for one in stated_confidences(row, runs)]


def stated_confidences(row: Row, runs: Mapping[str, Run]) -> Iterator[Stated]:
    """What `task_confidences` measures. Raises as it does."""
    for name, result in row.tasks.items():
        path = runs[row.runs[name]].attempts_path
        rule = _rule(result)
        rows = _rows(path, result, rule) if rule is not None else []
        if rows and rule is not None and all(one["score"] in (0.0, 1.0) for one in rows):
            yield from _kept(name, "choices", rows, [_stated(one, rule) for one in rows])
        asked = [question[0] for question in result.protocol.get("confidence", {}).get("questions", [])]
        if asked:
            yield from _asked(name, asked, _stated_rows(path, result, "relative" in asked))


def _stated_rows(path: Path, result: TaskResult, compared: bool) -> list[dict[str, Any]]:
    """One row per item, with its metrics and, where comparisons are wanted, its exchanges."""
    import polars as pl

    if not path.exists():
        return []
    with reading_attempts(path):
        rows = (
            pl.scan_parquet(path, glob=False)
            .filter(pl.col("task") == result.task, pl.col("protocol") == result.protocol_hash, pl.col("score").is_not_null())
            .select("item", "group", "epoch", "score", "metrics", *(["exchanges"] if compared else []))
            .sort("epoch", maintain_order=True)
            .unique("item", keep="first", maintain_order=True)
            .collect()
        )
    return rows.to_dicts()


def _asked(name: str, asked: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[Stated]:
    if not rows or any(row["score"] not in (0.0, 1.0) for row in rows):
        return
    metrics = [msgspec.json.decode(row["metrics"] or "{}") for row in rows]
    for ask in asked:
        yield from _kept(name, ask, rows, _compared(rows) if ask == "relative" else [one.get(f"confidence_{ask}") for one in metrics])


def _kept(name: str, source: str, rows: Sequence[Mapping[str, Any]], values: Sequence[float | None]) -> Iterator[Stated]:
    """The items that have a confidence; nothing where none has."""
    stated = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
    if stated:
        right = [row["score"] for row, _ in stated]
        groups = [row["group"] or "" for row, _ in stated]
        yield Stated(name, source, [value for _, value in stated], right, groups, len(rows) - len(stated))


def _compared(rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """A confidence for each row's item from the comparisons of all of them; None for one that was not compared."""
    from proctor.analysis.relative_confidence import preference_confidence

    places = {row["item"]: place for place, row in enumerate(rows)}
    if len(places) > MOST_COMPARED:
        return [None] * len(rows)
    pairs = []
    for row in rows:
        for exchange in msgspec.json.decode(row["exchanges"] or "[]", type=list[Exchange]):
            told = comparison(exchange)
            if told is not None and told[0] in places:
                pairs.append((places[row["item"]], places[told[0]], told[1]))
    if not pairs:
        return [None] * len(rows)
    first, second, share = zip(*pairs, strict=True)
    return [None if value != value else value for value in preference_confidence(first, second, share, len(rows)).tolist()]


def _rule(result: TaskResult) -> Normalise | None:
    """What the task's choices were compared by; None where it has no choices, wrote them, or an import does not say."""
    response = result.protocol.get("response")
    if isinstance(response, dict):
        choice = response.get("kind") == "choice" and response.get("by") != "generate"
        return response.get("normalise", "none") if choice else None
    return {"acc": "none", "acc_norm": "char"}.get(result.main.name)  # type: ignore[return-value]


def _rows(path: Path, result: TaskResult, rule: Normalise) -> list[dict[str, Any]]:
    """One row per item; the columns that a confidence needs and no others."""
    import polars as pl

    if not path.exists():
        return []
    more = ["token_counts"] if rule == "token" else ["request"] if rule in ("char", "byte") else []
    with reading_attempts(path):
        rows = (
            pl.scan_parquet(path, glob=False)
            .filter(pl.col("task") == result.task, pl.col("protocol") == result.protocol_hash, pl.col("score").is_not_null())
            .select("item", "group", "epoch", "score", "loglikelihoods", *more)
            .sort("epoch", maintain_order=True)
            .unique("item", keep="first", maintain_order=True)
        )
        if rows.select(pl.col("loglikelihoods").is_not_null().any()).collect().item() is not True:
            return []
        return rows.collect().to_dicts()


def measured(of: Stated) -> TaskConfidence:
    """The numbers of one kind of confidence."""
    import numpy as np

    from proctor.analysis.confidence import confidence_intervals, overconfidence
    from proctor.analysis.selective import augrc, auroc
    from proctor.analysis.smooth_calibration import smooth_ece

    confidence, right = np.array(of.confidence), np.array(of.right)
    statistics = [overconfidence, smooth_ece, auroc, augrc]
    over, ece, roc, grc = confidence_intervals(statistics, confidence, right, of.groups, resamples=RESAMPLES)
    if of.source == "relative":
        over = ece = UNDEFINED
    mean = float(confidence.mean())
    return TaskConfidence(of.task, float(right.mean()), mean, over, ece, roc, grc, len(of.right), of.missing, of.source)


def _stated(row: Mapping[str, Any], rule: Normalise) -> float | None:
    """The confidence of one attempt; None where its log-likelihoods are missing or do not fit its choices."""
    from proctor.analysis.confidence import choice_confidence

    values = row["loglikelihoods"]
    if not values or len(values[0]) < 2:
        return None
    choices = [""] * len(values[0])
    if rule in ("char", "byte"):
        try:
            choices = msgspec.json.decode(row["request"] or "{}").get("continuations") or []
        except msgspec.DecodeError:
            return None
    try:
        return choice_confidence(normalised(values, choices, row.get("token_counts"), rule))
    except (ModelError, ValueError, TypeError):
        return None


def confidence_table(label: str, found: Sequence[TaskConfidence]) -> Table:
    """One row per task and kind of confidence."""
    stated = any(one.source != "choices" for one in found)
    rows = [
        [
            _named(one, stated),
            f"{one.items:,}",
            percent(one.accuracy),
            ABSENT if one.source == "relative" else percent(one.confidence),
            difference_text(one.overconfidence.value, one.overconfidence.low, one.overconfidence.high),
            _interval(one.smooth_ece),
            "" if one.auroc.value is None else f"{one.auroc.value:.2f}",
            _share(one.augrc.value),
        ]
        for one in found
    ]
    columns = ["task", "items", "accuracy", "confidence", "overconfidence [95 %]", "smECE [95 %]", "AUROC", "AUGRC"]
    over = [_named(one, stated) for one in found if (one.overconfidence.low or 0.0) > 0]
    under = [_named(one, stated) for one in found if (one.overconfidence.high or 0.0) < 0]
    notes = [
        f"{title}: {', '.join(names)}."
        for title, names in (("Claims more than it keeps", over), ("Keeps more than it claims", under))
        if names
    ]
    missing = [f"{_named(one, stated)} {one.missing}" for one in found if one.missing]
    if missing:
        notes.append(f"Items without a confidence, left out: {', '.join(missing)}.")
    notes.append(
        f"{_HOW if stated else _CHOICES} smECE: smooth calibration error, 0 is best. AUROC: whether right answers "
        "had more confidence than wrong ones (0.5: no). AUGRC: risk of an answer given and wrong, over all shares of abstention, 0 is best."
    )
    return Table(f"{label}: confidence{'' if stated else ' on choice tasks'}", columns, rows, notes)


def _named(of: TaskConfidence, stated: bool) -> str:
    return f"{of.task}: {SOURCES[of.source]}" if stated else of.task


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def _interval(of: IntervalEstimate) -> str:
    return _share(of.value) if of.low is None else f"{_share(of.value)} [{_share(of.low)}, {_share(of.high)}]"


def confidence_json(of: TaskConfidence) -> dict[str, Any]:
    """A task's confidences as JSON types."""
    plain = {name: getattr(of, name) for name in ("task", "source", "accuracy", "confidence", "items", "missing")}
    return plain | {name: estimate_json(getattr(of, name)) for name in ("overconfidence", "smooth_ece", "auroc", "augrc")}


def confidence_records(of: TaskConfidence) -> list[dict[str, Any]]:
    """Long format: one line per measure."""
    return [
        {"kind": "confidence", "name": of.task, "metric": name, "value": one.value, "stderr": one.stderr, "low": one.low, "high": one.high}
        | {"items": of.items, "source": of.source}
        for name in ("overconfidence", "smooth_ece", "auroc", "augrc")
        for one in [getattr(of, name)]
    ]
