"""Rankings made elsewhere: `run:FILE`, a run as TREC has it or JSON."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from proctor.errors import ModelError
from proctor.models.base import Ask, Kind, Model
from proctor.models.options import read_options
from proctor.types import Rank, Ranked, Response

_JSON = (".json",)


class _NoOptions(msgspec.Struct):
    pass


class RunModel(Model):
    """Answers each query with the documents a run has for it.

    A run is a text file of TREC's six columns (`query Q0 document rank score name`, white space between), or a .json file of
    `{query: {document: score}}`, as BEIR and MTEB write results. Documents are ordered by score. A query of which the run says nothing
    is a failed attempt, which counts 0, as in trec_eval with `-c`.

    Args:
        path: the file.
        uri: as the user named it.

    Raises:
        ModelError: a file that cannot be read, or is neither.
    """

    kinds: frozenset[Kind] = frozenset({"rank"})
    by_request = False
    free = True

    def __init__(self, path: Path, uri: str) -> None:
        self.uri = uri
        try:
            data = path.read_bytes()
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise ModelError(f"model {uri}: cannot read {path}: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: not UTF-8 (byte {error.start})") from None
        self.fingerprint = hashlib.blake2b(data, digest_size=8).hexdigest()
        self._found = _from_json(text, path) if path.suffix.lower() in _JSON else _from_trec(text, path)
        if not self._found:
            raise ModelError(f"{path}: no rankings in it; expected lines of `query Q0 document rank score name`")

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            assert isinstance(ask.request, Rank)
            scores = self._found.get(ask.item.id)
            if scores is None:
                yield ask, Response(finish="error", error=f"the run has no ranking for query {ask.item.id}")
                continue
            if ask.request.candidates:
                scores = {name: scores[name] for name in ask.request.candidates if name in scores}
            order = sorted(scores.items(), key=lambda pair: -pair[1])[: ask.request.top_k]
            yield ask, Response(ranking=tuple(Ranked(name, score) for name, score in order))

    def describe(self) -> dict[str, Any]:
        return {"queries": len(self._found)}


def _from_trec(text: str, path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        where = f"{path} line {number}"
        if len(parts) != 6:
            raise ModelError(f"{where}: {len(parts)} values, expected the 6 of a TREC run: query Q0 document rank score name")
        _note(found, parts[0], parts[2], parts[4], where)
    return found


def _from_json(text: str, path: Path) -> dict[str, dict[str, float]]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(one, Mapping) for one in value.values()):
        raise ModelError(f"{path}: expected an object {{query: {{document: score}}}}")
    found: dict[str, dict[str, float]] = {}
    for query, scores in value.items():
        found[query] = {}
        for document, score in scores.items():
            _note(found, query, document, score, f"{path}, query {query}")
    return found


def _note(found: dict[str, dict[str, float]], query: str, document: str, score: Any, where: str) -> None:
    try:
        number = msgspec.convert(score, float, strict=False)
    except msgspec.ValidationError:
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"{where}: the score of document {document} is no number: {score!r}")
    documents = found.setdefault(query, {})
    if document in documents:
        raise ModelError(f"{where}: document {document} is ranked twice for query {query}")
    documents[document] = number


def open_run(scheme: str, path: str, options: dict[str, str], uri: str) -> RunModel:
    """`run:FILE`."""
    read_options(uri, options, _NoOptions)
    if not path:
        raise ModelError("model run: which file? for example run:bm25.trec")
    return RunModel(Path(path).expanduser(), uri)
