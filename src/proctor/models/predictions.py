"""Answers made elsewhere, read from a file: `predictions:FILE`."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from proctor.errors import DataError, ModelError, nearest
from proctor.models.base import ALL_MEDIA, Ask, Kind, Model
from proctor.models.options import read_options
from proctor.scoring.masks import file_text
from proctor.types import Likelihood, Response

_ITEM = ("item", "id")
_ANSWER = ("answer", "response", "prediction", "text", "file")
_COLUMNS = ("task", *_ITEM, "epoch", "step", *_ANSWER)

_Key = tuple[str | None, str, int | None, str]


class _Options(msgspec.Struct):
    wide: bool = False


class PredictionsModel(Model):
    """Answers each item with the text a file has for it.

    The file is .jsonl (one object a line), .json (a list of objects) or .csv (with a header). Columns: `item` (or `id`), the item's id;
    one of `answer`, `response`, `prediction`, `text`; optionally `task`, `epoch` and `step`. A row without task holds for an item of that
    id in any task, one without epoch for any epoch; the more particular row wins. An empty `task` or `epoch` is none. `step` names a
    further request of the attempt (`turn 2`); a row without it holds for the first. A list or mapping is an answer as JSON; `file` in place
    of an answer is a path from the file's own folder: what that holds is the answer (of a .png or .npy the label map).

    Args:
        path: the file.
        uri: as the user named it.
        wide: every column but `item` (or `id`) and `epoch` is a task's answers: of the task of that name, or of the one of a file whose
            last part it is (`liver` of `assay/liver`). An empty cell is no answer.

    Raises:
        ModelError: a file that cannot be read, unknown or missing columns, two rows for the same thing.
    """

    kinds: frozenset[Kind] = frozenset({"generate"})
    by_request = False
    media = ALL_MEDIA
    free = True

    def __init__(self, path: Path, uri: str, wide: bool = False) -> None:
        self.uri = uri
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"model {uri}: cannot read {path}: {(error.strerror or str(error)).lower()}") from None
        digest = hashlib.blake2b(data, digest_size=8)
        self._wide = wide
        if wide:
            digest.update(b"wide")
        self._texts: dict[_Key, str] = {}
        rows = _rows(path, data)
        for where, row in _long(path, rows) if wide else rows:
            key, text, is_file = _entry(row, f"{path}, {where}")
            if is_file:
                try:
                    text = file_text(path.parent / text)
                except DataError as error:
                    raise ModelError(f"{path}, {where}: {error}") from None
                digest.update(text.encode())
            if key in self._texts:
                about = ", ".join(
                    f"{name} {value}" for name, value in zip(("task", "item", "epoch", "step"), key, strict=True) if value not in (None, "")
                )
                raise ModelError(f"{path}, {where}: a second prediction for {about}")
            self._texts[key] = text
        self.fingerprint = digest.hexdigest()

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            yield ask, self._find(ask)

    def _find(self, ask: Ask) -> Response:
        if isinstance(ask.request, Likelihood):
            return Response(finish="error", error="predictions are texts; they hold no log-likelihoods")
        tasks = (ask.task, ask.task.rpartition("/")[2]) if self._wide else (ask.task, None)
        for task, epoch in itertools.product(tasks, (ask.epoch, None)):
            text = self._texts.get((task, ask.item.id, epoch, ask.step))
            if text is not None:
                return Response(text=text)
        step = f", {ask.step}" if ask.step else ""
        return Response(finish="error", error=f"no prediction for item {ask.item.id} of task {ask.task}, epoch {ask.epoch}{step}")

    def describe(self) -> dict[str, Any]:
        return {"predictions": len(self._texts)}


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, row) of every row."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8 (byte {error.start})") from None
    suffix = path.suffix.lower()
    if suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            for row in reader:
                where = f"line {reader.line_num}"
                if None in row or None in row.values():
                    raise ModelError(f"{path}, {where}: expected {len(reader.fieldnames or ())} fields as in the header")
                yield where, row
        except csv.Error as error:
            raise ModelError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    elif suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _object(_json(line, f"{path}, line {number}"), f"{path}, line {number}")
    elif suffix == ".json":
        rows = _json(text, str(path))
        if not isinstance(rows, list):
            raise ModelError(f"{path}: expected a list of objects")
        for number, row in enumerate(rows, 1):
            yield f"entry {number}", _object(row, f"{path}, entry {number}")
    else:
        raise ModelError(f"{path}: predictions are read from .jsonl, .json or .csv, not '{path.suffix}'")


def _long(path: Path, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a wide table as one row for each task that has an answer."""
    for where, row in rows:
        item = _one(row, _ITEM, f"{path}, {where}")
        kept = {name: row[name] for name in (item, "epoch") if name in row}
        for task, answer in row.items():
            if task not in kept and answer not in (None, ""):
                yield where, {**kept, "task": task, "answer": answer}


def _json(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ModelError(f"{where}: not JSON: {error}") from None


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ModelError(f"{where}: expected an object with the keys item and answer")
    return row


def _entry(row: dict[str, Any], where: str) -> tuple[_Key, str, bool]:
    """What a row is for, its answer, and whether that is the name of a file."""
    for name in row:
        if name not in _COLUMNS:
            known = f"known: {', '.join(_COLUMNS)}; ?wide=true reads a column for each task"
            raise ModelError(f"{where}: unknown column '{name}'{nearest(name, _COLUMNS)}; {known}")
    item, answer = _one(row, _ITEM, where), _one(row, _ANSWER, where)
    task, epoch = row.get("task"), row.get("epoch")
    if isinstance(row[item], bool) or not isinstance(row[item], str | int) or row[item] == "":
        raise ModelError(f"{where}: {item} must be the id of an item")
    said = row[answer]
    if isinstance(said, list | dict) and answer != "file":
        said = msgspec.json.encode(said).decode()
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        raise ModelError(f"{where}: {answer} must be a text{', a number, a list or a mapping' if answer != 'file' else ''}")
    if task is not None and not isinstance(task, str):
        raise ModelError(f"{where}: task must be a name")
    try:
        number = None if epoch is None or epoch == "" else msgspec.convert(epoch, int, strict=False)
    except msgspec.ValidationError:
        raise ModelError(f"{where}: epoch must be a number from 0, not {epoch!r}") from None
    step = row.get("step") or ""
    if not isinstance(step, str):
        raise ModelError(f"{where}: step must be the name of one, as 'turn 2'")
    return (task or None, str(row[item]), number, step), str(said), answer == "file"


def _one(row: dict[str, Any], names: tuple[str, ...], where: str) -> str:
    found = [name for name in names if name in row]
    if len(found) != 1:
        raise ModelError(f"{where}: expected exactly one of the columns {', '.join(names)}; found {' and '.join(found) or 'none'}")
    return found[0]


def open_predictions(scheme: str, path: str, options: dict[str, str], uri: str) -> PredictionsModel:
    """`predictions:FILE`, option `wide`."""
    wide = read_options(uri, options, _Options).wide
    if not path:
        raise ModelError("model predictions: which file? for example predictions:answers.jsonl")
    return PredictionsModel(Path(path).expanduser(), uri, wide)
