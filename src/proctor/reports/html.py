"""The static report: one HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from proctor.analysis.intervals import interval_of_mean
from proctor.analysis.profile import GroupMean
from proctor.errors import StoreError
from proctor.reports import text
from proctor.reports.board_data import corrected_interval
from proctor.reports.board_notes import front_note, shared_note, signature_lines, unranked_note
from proctor.reports.leaderboard import Board, Row
from proctor.reports.profile import MARKS, Part, part, words
from proctor.reports.tables import chance_text, composite_text, rank_text, task_label
from proctor.results.manifest import Manifest, TaskResult
from proctor.types import STATES
from proctor.visible import shortened, visible

Attempts = Callable[[str, str, int], list[dict[str, Any]]]
Maps = Callable[[str, TaskResult], list[dict[str, Any]]]
SAMPLES = 5  # attempts shown of each task and model
LONGEST = 3_000  # characters shown of one text
PROMPT = 9_000  # characters shown of one prompt
Z = 1.96
TEMPLATES = Path(__file__).parent / "templates"


class Score(Struct, frozen=True):
    """A chance-corrected score to draw.

    Attributes:
        interval: low and high end, 95 %; None where unknown.
        kind, remark: what sets it apart, as a class of the bar and in words.
    """

    name: str
    value: float | None
    stderr: float | None
    interval: tuple[float, float] | None
    kind: str = ""
    remark: str = ""


class Bar(Struct, frozen=True):
    """A bar of a chart; positions in percent of the width."""

    name: str
    left: float
    width: float
    low: float | None
    high: float | None
    zero: float
    number: str
    kind: str
    remark: str = ""


def write_report(
    boards: Sequence[Board], manifests: Iterable[Manifest], attempts: Attempts | None, out: Path, maps: Maps | None = None
) -> list[Path]:
    """Write `index.html` into the folder `out`.

    Args:
        boards: the leaderboards to show.
        manifests: the runs they come from.
        attempts: (run id, task, limit) -> up to `limit` attempts of the task, as rows of `attempts.parquet`; None shows no samples.
        out: made where it does not exist.
        maps: (run id, task's result) -> heat maps to draw (see `heat_maps.page_maps`); None draws none.

    Returns:
        the files written.

    Raises:
        StoreError: `out` cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    runs = list(manifests)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["visible"] = lambda value: visible(str(value))
    breaks = re.compile(r"(?<=[/:#_.-])(?=\w)")  # of the text, not of its entities: &#39; is one sign
    environment.filters["name"] = lambda value: Markup("<wbr>").join(breaks.split(visible(str(value))))
    environment.globals |= {
        "score_text": text.score_text,
        "items_text": text.items_text,
        "states_text": text.states_text,
        "date": _date,
        "chance_text": chance_text,
        "task_label": task_label,
        "signature_lines": signature_lines,
        "composite_text": composite_text,
        "rank_text": rank_text,
        "marks": MARKS,
        "certainty_note": text.certainty_note,
    }
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    by_id = {(run.suite_hash, run.run): run for run in runs}
    page = environment.get_template("index.html").render(
        style=Markup(style),  # noqa: S704 (ours, not foreign)
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        boards=[_board(board, by_id, attempts, maps) for board in boards],
        newest=_date(max((run.finished_at or run.started_at for run in runs), default=None)),
        models=len({run.fingerprint for run in runs}),
    )
    path = out / "index.html"
    partial = out / "index.html.partial"
    try:
        out.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(page.encode("utf-8", "replace"))
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from None
    return [path]


def _board(board: Board, runs: dict[tuple[str, str], Manifest], attempts: Attempts | None, maps: Maps | None) -> dict[str, Any]:
    parts = [part(board, row) for row in board.rows]
    return {
        "board": board,
        "items": text.items_text(result.items for result in board.any_result.values()),
        "composites": _bars([_composite(row) for row in board.rows]),
        "remarks": list(filter(None, [unranked_note(board), shared_note(board), front_note(board)])),
        "totals": _totals(board.rows),
        "models": [_model(one, runs[board.suite_hash, one.row.run], attempts, maps) for one in parts],
    }


def _totals(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """What the runs took, one cell for each model; what no run knows is left out."""
    shown = [
        ("time", [text.duration_text(row.seconds) for row in rows]),
        ("tokens in + out", [text.tokens_text(row.input_tokens, row.output_tokens) for row in rows]),
        ("cost", [text.cost_text(row.cost) for row in rows]),
    ]
    return [(name, cells) for name, cells in shown if any(cell != text.ABSENT for cell in cells)]


def _model(of: Part, run: Manifest, attempts: Attempts | None, maps: Maps | None) -> dict[str, Any]:
    intervals = {name: corrected_interval(result) for name, result in of.row.tasks.items()}
    scores = {}
    for standing in of.standings.standings:
        remark = {"strength": "strength", "weakness": "weakness", "": "at chance" if standing.at_chance else ""}[standing.verdict]
        interval = intervals[standing.task]
        scores[standing.task] = Score(standing.task, standing.score, standing.stderr, interval, remark.replace(" ", "-"), remark)
    groups = [("By domain", of.standings.domains), ("By capability", of.standings.capabilities)]
    return {
        "row": of.row,
        "run": run,
        "words": words(of),
        "bars": _bars(list(scores.values())),
        "groups": [(title, _bars([_mean(mean, scores) for mean in means])) for title, means in groups if means],
        "maps": [one for task, result in of.row.tasks.items() for one in maps(of.row.runs[task], result)] if maps else [],
        "samples": _samples(of.row, attempts) if attempts else [],
    }


def _composite(row: Row) -> Score:
    """With the interval that ranking found; on a board that was not ranked, the normal one."""
    total = row.composite
    interval = None
    if total.low is not None and total.high is not None:
        interval = (total.low, total.high)
    elif total.value is not None and total.stderr:
        interval = (total.value - Z * total.stderr, total.value + Z * total.stderr)
    return Score(row.label, total.value, total.stderr, interval)


def _mean(mean: GroupMean, scores: dict[str, Score]) -> Score:
    """With the interval that those of its tasks make."""
    parts = [(one.value, *one.interval) for one in (scores[task] for task in mean.tasks) if one.value is not None and one.interval]
    return Score(mean.name, mean.value, mean.stderr, interval_of_mean(parts) if len(parts) == len(mean.tasks) else None)


def _bars(scores: list[Score]) -> list[Bar]:
    """Bars of chance-corrected scores on one axis, which reaches below 0 (guessing) only as far as it must, and up to 1 (perfect)."""
    lows = [one.interval[0] if one.interval else one.value for one in scores if one.value is not None]
    start = max(-1.0, min([0.0, *lows]))

    def place(value: float) -> float:
        return round(100 * (min(1.0, max(start, value)) - start) / (1.0 - start), 2)

    bars = []
    for one in scores:
        number = text.number_text(one.value, one.stderr, share=True)
        if one.value is None:
            bars.append(Bar(one.name, place(0.0), 0.0, None, None, place(0.0), number, one.kind, one.remark))
            continue
        ends = sorted((place(0.0), place(one.value)))
        low, high = (place(end) for end in one.interval) if one.interval else (None, None)
        bars.append(Bar(one.name, ends[0], round(ends[1] - ends[0], 2), low, high, place(0.0), number, one.kind, one.remark))
    return bars


def _samples(row: Row, attempts: Attempts) -> list[dict[str, Any]]:
    shown = []
    for task, result in row.tasks.items():
        rows = attempts(row.runs[task], result.task, SAMPLES)[:SAMPLES]
        if rows:
            shown.append({"task": task, "result": result, "attempts": [_attempt(attempt, result) for attempt in rows]})
    return shown


def _attempt(row: dict[str, Any], result: TaskResult) -> dict[str, Any]:
    """What the page shows of one attempt: every text cut to a length and made visible."""
    request = _json(row.get("request"))
    texts = [
        ("expected", _expected(row.get("target"), request, result)),
        ("answer", row.get("answer")),
        ("found", ", ".join(str(one["id"]) for one in (row.get("ranking") or [])[:10])),
        ("reason", row.get("reason")),
        ("error", row.get("error")),
    ]
    score = row.get("score")
    return {
        "item": row.get("item"),
        "epoch": row.get("epoch") or 0,
        "state": row.get("state") if row.get("state") in STATES else "failed",
        "score": text.ABSENT if score is None else text.number_text(score, share=text.is_share(result.main)),
        "turns": _turns(request),
        "response": shortened(row["text"], LONGEST) if isinstance(row.get("text"), str) else None,
        "choices": _choices(request, row.get("loglikelihoods")),
        "facts": [(name, *shortened(_plain(value), LONGEST)) for name, value in texts if value not in (None, "")],
        "finish": row.get("finish") if row.get("finish") not in (None, "stop") else None,
    }


def _turns(request: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(role, text, note) of the prompt's turns; the last ones where the whole is too long."""
    if request.get("kind") == "rank":
        asked = [("instruction", request.get("instruction")), ("query", request.get("query"))]
        return [(role, *shortened(str(content), LONGEST)) for role, content in asked if content]
    prompts = request.get("prompts") or [request.get("prompt")]
    prompt = prompts[0] if isinstance(prompts[0], dict) else {}
    turns = [(str(turn.get("role", "")), str(turn.get("content", ""))) for turn in prompt.get("messages", []) if isinstance(turn, dict)]
    if prompt.get("prefill"):
        turns.append(("answer begins", str(prompt["prefill"])))
    shown: list[tuple[str, str, str]] = []
    room = PROMPT
    for index in range(len(turns) - 1, -1, -1):
        if room <= 0:
            return [("", "", f"{index + 1} earlier turns not shown"), *shown]
        role, content = turns[index]
        shown.insert(0, (role, *shortened(content, min(LONGEST, room))))
        room -= len(content)
    return shown


def _choices(request: dict[str, Any], loglikelihoods: Any) -> list[tuple[str, str, bool]]:
    """(continuation, log-likelihood, whether it is the likeliest) of a likelihood request; at most 20."""
    if not loglikelihoods or not request.get("continuations"):
        return []
    texts, numbers = request["continuations"], list(loglikelihoods[0])
    if len(texts) == 1 and len(loglikelihoods) > 1:  # the choices stand in the question
        texts, numbers = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), [row[0] for row in loglikelihoods]
    best = max(numbers)
    pairs = zip(texts, numbers, strict=False)
    return [(shortened(str(choice), 500)[0], f"{number:.4g}", number == best) for choice, number in list(pairs)[:20]]


def _expected(target: Any, request: dict[str, Any], result: TaskResult) -> Any:
    """The target; of multiple choice, the right choices as the model was asked for them."""
    choices = request.get("continuations") or []
    choices = choices if len(choices) > 1 else list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if (result.protocol.get("response") or {}).get("kind") != "choice":
        return target
    try:
        right = msgspec.json.decode(str(target), type=int | list[int])
        return " or ".join(str(choices[index]) for index in ([right] if isinstance(right, int) else right))
    except (msgspec.DecodeError, IndexError):
        return target


def _json(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value.encode("utf-8", "replace"))
        except msgspec.DecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _date(moment: float | None) -> str:
    return text.ABSENT if not moment else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
