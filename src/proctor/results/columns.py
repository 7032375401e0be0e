"""The columns of `attempts.parquet`: one row per attempt, in plan order. `docs/reference/attempts.md` explains them for readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.canonical import canonical_json, hash_of_json
from proctor.types import Exchange, Item, Request, Response, Score

if TYPE_CHECKING:
    import polars as pl

# Columns that say when and how long, and so differ between two runs that agree in everything else.
TIME_COLUMNS = ("started_at", "latency", "retries", "reused", "first_token", "retry_reasons", "hedged")


def schema() -> dict[str, pl.DataType]:
    """Column names and types, in order. Columns are only ever added, at the end."""
    import polars as pl

    text, number, whole = pl.String(), pl.Float64(), pl.Int64()
    return {
        "run": text,
        "suite": text,
        "model": text,
        "task": text,
        "protocol": text,
        "item": text,
        "group": text,
        "epoch": whole,
        "state": text,
        "score": number,
        "metrics": text,
        "answer": text,
        "target": text,
        "reason": text,
        "text": text,
        "loglikelihoods": pl.List(pl.List(number)),
        "greedy": pl.List(pl.List(pl.Boolean())),
        "token_counts": pl.List(whole),
        "finish": text,
        "error": text,
        "input_tokens": whole,
        "output_tokens": whole,
        "cached_tokens": whole,
        "reasoning_tokens": whole,
        "cost": number,
        "started_at": number,
        "latency": number,
        "retries": whole,
        "served_by": text,
        "reused": pl.Boolean(),
        "request": text,
        "request_hash": text,
        "metadata": text,
        "cut_tokens": whole,
        "first_token": number,
        "retry_reasons": text,
        "hedged": pl.Boolean(),
        "exchanges": text,
        "ranking": pl.List(pl.Struct({"id": text, "score": number})),
    }


def request_hash(request: Request, epoch: int) -> str:
    """Names a request wherever it is asked: two attempts with the same hash on the same model are the same question."""
    return _hash(canonical_json(request), epoch)


def _hash(request: bytes, epoch: int) -> str:
    """The content hash of `[request, epoch]`, the request given as canonical JSON."""
    return hash_of_json(b"[%b,%d]" % (request, epoch), 32)


def row(
    item: Item, epoch: int, request: Request, response: Response, score: Score, main: str, constants: Mapping[str, Any]
) -> dict[str, Any]:
    """One attempt as a row; `main` is the task's main metric, `constants` the columns equal throughout a task."""
    asked = canonical_json(request)
    return {
        **constants,
        "item": item.id,
        "group": item.group,
        "epoch": epoch,
        "state": score.state,
        "score": score.values.get(main),
        "metrics": canonical_json(score.values).decode(),
        "answer": score.answer,
        "target": item.target if isinstance(item.target, str) else canonical_json(item.target).decode(),
        "reason": score.reason,
        "text": response.text,
        "loglikelihoods": response.loglikelihoods,
        "greedy": response.greedy,
        "token_counts": response.token_counts,
        "finish": response.finish,
        "error": response.error,
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "cached_tokens": response.cached_tokens,
        "reasoning_tokens": response.reasoning_tokens,
        "cost": response.cost,
        "started_at": response.started_at,
        "latency": response.latency,
        "retries": response.retries,
        "served_by": response.served_by,
        "request": asked.decode(),
        "request_hash": _hash(asked, epoch),
        "metadata": canonical_json(item.metadata).decode(),
        "cut_tokens": response.cut_tokens,
        "first_token": response.first_token,
        "retry_reasons": response.retry_reasons,
        "hedged": response.hedged,
        "exchanges": canonical_json(response.exchanges).decode() if response.exchanges else None,
        "ranking": None if response.ranking is None else [{"id": one.id, "score": one.score} for one in response.ranking],
    }


RESPONSE_COLUMNS = tuple(field for field in Response.__struct_fields__)


def response_of(values: Mapping[str, Any]) -> Response:
    """The response in a row (or any mapping with those of `RESPONSE_COLUMNS` that there were when it was made)."""
    kept = {name: values[name] for name in RESPONSE_COLUMNS if values.get(name) is not None}
    if "exchanges" in kept:
        kept["exchanges"] = exchanges_of(kept["exchanges"])
    return msgspec.convert(kept, Response)


def exchanges_of(column: str | None) -> tuple[Exchange, ...]:
    """What a cell of the column `exchanges` holds."""
    return () if column is None else msgspec.json.decode(column, type=tuple[Exchange, ...])
