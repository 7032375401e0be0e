"""Answers kept by earlier runs of the same store: the store is the response cache.

An answer is used again only for the same model (fingerprint: weights and settings) and the same full request and epoch, so that one
model never gets another's answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proctor.engine.journal import Entry, Key
from proctor.errors import StoreError
from proctor.results.attempts import reading_attempts
from proctor.results.columns import RESPONSE_COLUMNS, exchanges_of, request_hash, response_of
from proctor.results.store import Run, Store
from proctor.types import Exchange, Response

if TYPE_CHECKING:
    import polars as pl


def kept_answers(store: Store, fingerprint: str, besides: str, hashes: Iterable[str]) -> dict[str, Response]:
    """Answers to the requests named by `hashes` that other runs of the model have kept.

    Args:
        store: where to look.
        fingerprint: of the model.
        besides: the run that is about to be made, which is not looked at.
        hashes: see `proctor.results.columns.request_hash`; only read where there is a run to look at.
    """
    runs = [run for run in store.runs() if run.manifest.fingerprint == fingerprint and run.manifest.run != besides]
    if not runs:
        return {}
    wanted = set(hashes)
    found: dict[str, Response] = {}
    for run in runs:
        found.update(_answers_of(run, wanted))
    return found


def kept_exchanges(store: Store, tasks: Sequence[str]) -> dict[tuple[str, str], Response]:
    """Answers that runs have kept to the further requests of attempts (later turns, second questions, judges) at tasks of these names.

    Returns:
        (fingerprint of who answered, request hash) -> response.
    """
    found: dict[tuple[str, str], Response] = {}
    for run in store.runs():
        if not run.attempts_path.exists() or not {result.task for result in run.manifest.tasks} & set(tasks):
            continue
        for exchanges, epoch in _exchanges_of(run, tasks):
            for one in exchanges:
                if one.response.finish != "error":
                    found[one.fingerprint or run.manifest.fingerprint, request_hash(one.request, epoch)] = one.response
    return found


def _exchanges_of(run: Run, tasks: Sequence[str]) -> Iterator[tuple[tuple[Exchange, ...], int]]:
    """Those of each attempt at the tasks, and its epoch."""
    import polars as pl

    with reading_attempts(run.attempts_path):
        rows = pl.scan_parquet(run.attempts_path, glob=False)
        if "exchanges" not in rows.collect_schema().names():
            return
        rows = rows.filter(pl.col("task").is_in(list(tasks)), pl.col("exchanges").is_not_null())
        frame = rows.select("exchanges", "epoch").collect()
    for column, epoch in frame.iter_rows():
        yield exchanges_of(column), epoch


def attempts_of(run: Run) -> dict[Key, tuple[str, Response]]:
    """Every attempt of a complete run, failed ones too: its request's hash and the response."""
    import polars as pl

    with reading_attempts(run.attempts_path):
        rows = pl.scan_parquet(run.attempts_path, glob=False)
        further = ["exchanges"] if "exchanges" in rows.collect_schema().names() else []
        frame = rows.select("task", "item", "epoch", "request_hash", *_response_columns(rows), *further).collect()
    return {(row["task"], row["item"], row["epoch"]): (row["request_hash"], response_of(row)) for row in frame.iter_rows(named=True)}


def _answers_of(run: Run, wanted: set[str]) -> dict[str, Response]:
    """Those of the wanted answers that a run has, by request hash. Failed attempts are no answers."""
    if run.attempts_path.exists():
        return _from_parquet(run.attempts_path, wanted)
    journal = run.folder / "journal.jsonl"
    return _from_journal(journal, wanted) if journal.exists() else {}


def _from_parquet(path: Path, wanted: set[str]) -> dict[str, Response]:
    import polars as pl

    hashes = pl.LazyFrame({"request_hash": list(wanted)}, schema={"request_hash": pl.String()})
    rows = pl.scan_parquet(path, glob=False).filter(pl.col("finish") != "error").join(hashes, on="request_hash", how="semi")
    with reading_attempts(path):
        frame = rows.select("request_hash", *_response_columns(rows)).collect()
    return {values["request_hash"]: response_of(values) for values in frame.iter_rows(named=True)}


def _response_columns(rows: pl.LazyFrame) -> list[str]:
    """Those a file has of an attempt's first answer: one of an earlier version has fewer."""
    names = set(rows.collect_schema().names())
    return [name for name in RESPONSE_COLUMNS if name in names and name != "exchanges"]


def _from_journal(path: Path, wanted: set[str]) -> dict[str, Response]:
    import msgspec

    decoder = msgspec.json.Decoder(Entry)
    found: dict[str, Response] = {}
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break  # being written, or cut short
            try:
                entry = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise StoreError(f"{path}: a line is damaged ({error}); remove it, or move the folder {path.parent.name} away") from None
            if entry.response.finish != "error" and entry.hash in wanted:
                found[entry.hash] = entry.response
    return found
