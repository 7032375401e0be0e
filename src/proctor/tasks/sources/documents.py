"""The documents that queries are asked about, and the judgements that say which of them answers which query.

Files as BEIR has them (`corpus.jsonl`, `qrels/test.tsv`), as TREC has judgements, and tables whose columns go by other common names.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from proctor.canonical import canonical_json, content_hash
from proctor.errors import DataError, nearest
from proctor.tasks.items import reader
from proctor.tasks.prompts import OWN_DOCUMENTS
from proctor.tasks.sources import Rows, Table, files, plain_rows
from proctor.tasks.spec import DataSpec
from proctor.types import Corpus

TARGET = "target"  # the column that a row's judgements become
_TREC = (".qrels", ".trec", ".txt")
_DOCUMENT = ("_id", "id", "corpus-id", "corpus_id", "doc_id", "docid", "docno", "pid")
_TEXT = ("text", "contents", "body", "passage", "document")
_JUDGED = ("corpus-id", "corpus_id", "doc_id", "doc-id", "docid", "docno", "pid", "document")
_QUERY = ("query-id", "query_id", "qid", "query", "topic")
_GRADE = ("score", "relevance", "rel", "grade", "label")
_ROW = ("_id", "id", "query-id", "query_id", "qid")

Judgements = dict[str, dict[str, int]]


def read_corpus(spec: DataSpec, base: Path, where: str, data: str | None = None) -> Corpus:
    """The documents that `data.corpus` names.

    A document is a row with an id (`_id`, `id`, `docid`, …), a `text` and possibly a `title`, which goes before the text and a blank, as
    BEIR has it.

    Raises:
        DataError: a file that cannot be read, a row without id or text, an id given twice.
    """
    ids: list[str] = []
    texts: list[str] = []
    seen: set[str] = set()
    for table in _tables(spec, spec.corpus, base, "data.corpus", where, data):
        for index, row in enumerate(table.rows):
            at = f"{where}: data.corpus: {_place(table, index)}"
            name = _text(row, _DOCUMENT, "id", at)
            if name in seen:
                raise DataError(f"{at}: the id '{name}' is already that of another document; ids must be unique")
            title = row.get("title")
            text = _text(row, _TEXT, "text", at)
            seen.add(name)
            ids.append(name)
            texts.append(f"{title} {text}".strip() if title else text)
    return make_corpus(ids, texts)


def make_corpus(ids: Sequence[str], texts: Sequence[str]) -> Corpus:
    """A corpus under the hash of its ids and texts, whatever their order."""
    digest = hashlib.blake2b(digest_size=32)
    for pair in sorted(zip(ids, texts, strict=True)):
        digest.update(canonical_json(pair))
    return Corpus(digest.hexdigest()[:16], tuple(ids), tuple(texts))


def judged(rows: Rows, spec: DataSpec, base: Path, where: str, corpus: Corpus, data: str | None = None) -> Rows:
    """The rows that `data.qrels` judges, as BEIR tests only those: each with its `id`, and its judgements as the column `target`.

    Raises:
        DataError: judgements that cannot be read, or that fit neither rows nor documents.
    """
    found = _judgements(_tables(spec, spec.qrels, base, "data.qrels", where, data), where)
    whole = iter(rows.rows)  # with what a file of many tasks adds to each
    tables = []
    for table in rows.tables:
        kept: list[dict[str, Any]] = []
        lines: list[int] = []
        for index, row in enumerate(islice(whole, len(table.rows))):
            at = f"{where}: {_place(table, index)}"
            name = _text(row, _ROW, "id", at)
            if name not in found:
                continue
            if TARGET in row:
                raise DataError(f"{at}: the row has a column '{TARGET}', and data.qrels would give it another; leave one of them out")
            kept.append({**row, "id": name, TARGET: found[name]})
            lines.append(table.lines[index] if table.lines is not None else index + 1)
        tables.append(Table(table.name, kept, lines))
    all_rows = [row for table in tables for row in table.rows]
    if not all_rows:
        raise DataError(f"{where}: data.qrels: judges none of the queries; one of them is '{next(iter(found))}'")
    known = set(corpus.ids)
    if not any(document in known for row in all_rows for document in row[TARGET]):
        raise DataError(
            f"{where}: data.qrels: none of the documents judged is in data.corpus; one of them is '{next(iter(all_rows[0][TARGET]), '')}'"
        )
    return Rows(all_rows, rows.shots, rows.origin, tables)


def own_documents(rows: Rows, columns: Mapping[str, int], where: str) -> Corpus:
    """The documents that stand in the rows themselves; equal texts are one document. Each row gets its documents and their grades.

    Args:
        rows: changed in place: columns `_documents` (ids) and `target` (grades).
        columns: a column or template that holds a text or a list of texts -> its grade (`item.documents`).
        where: the task file, for messages.

    Raises:
        DataError: what stands there is no text, or a row has no documents.
    """
    readers = [(key, reader(key, f"item.documents.{key}", where, rows.where), grade) for key, grade in columns.items()]
    texts: dict[str, str] = {}
    for index, row in enumerate(rows.rows):
        grades: dict[str, int] = {}
        for key, read, grade in readers:
            value = read(row, index)
            for text in value if isinstance(value, list) else [value]:
                if not isinstance(text, str):
                    raise DataError(
                        f"{where}: {rows.where(index)}: item.documents: expected a text or a list of texts in '{key}', got {text!r:.80}"
                    )
                if text:
                    name = content_hash(text, 12)
                    texts[name] = text
                    grades[name] = max(grade, grades.get(name, grade))
        if not any(grade > 0 for grade in grades.values()):
            raise DataError(f"{where}: {rows.where(index)}: item.documents: no document is relevant")
        rows.rows[index] = {**row, OWN_DOCUMENTS: list(grades), TARGET: grades}
    return make_corpus(list(texts), list(texts.values()))


def _judgements(tables: Iterable[Table], where: str) -> Judgements:
    found: Judgements = {}
    for table in tables:
        for index, row in enumerate(table.rows):
            at = f"{where}: data.qrels: {_place(table, index)}"
            query, document = _text(row, _QUERY, "query", at), _text(row, _JUDGED, "document", at)
            found.setdefault(query, {})[document] = _grade(row[_column(row, _GRADE, "grade", at)], at)
    if not found:
        raise DataError(f"{where}: data.qrels: no judgements")
    return found


def _grade(value: Any, at: str) -> int:
    """A grade as a whole number, which is what the measures are defined on."""
    try:
        number = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        number = math.nan
    if not math.isfinite(number) or number != round(number):
        raise DataError(f"{at}: expected a grade that is a whole number (0 for irrelevant), got {value!r}")
    return round(number)


def _tables(spec: DataSpec, named: str | list[Any] | None, base: Path, key: str, where: str, data: str | None) -> Iterator[Table]:
    """The tables that a key names: rows given there, files, or, with `hub`, a configuration."""
    try:
        if isinstance(named, list) and named and all(isinstance(one, Mapping) for one in named):
            yield Table(key, plain_rows(named, key))
        elif spec.hub is not None:
            yield from _of_hub(spec, named, key, data)
        else:
            yield from _of_files(named, base, key)
    except DataError as error:
        raise error if str(error).startswith(where) else DataError(f"{where}: {error}") from None


def _of_hub(spec: DataSpec, named: str | list[Any] | None, key: str, data: str | None) -> Iterator[Table]:
    from proctor.tasks.sources import data_map, hub

    if not isinstance(named, str):
        raise DataError(f"{key}: expected a configuration of the hub data set, `name` or `name/split`, got {named!r}")
    config, _, split = named.partition("/")
    part = msgspec.structs.replace(spec, config=config, split=split or None, shots=None)
    yield from ((data_map.read_mapped(part, data) if data else None) or hub.read_hub(part))[0]


def _of_files(named: str | list[Any] | None, base: Path, key: str) -> Iterator[Table]:
    patterns = [named] if isinstance(named, str) else named
    if not patterns or not all(isinstance(one, str) for one in patterns):
        raise DataError(f"{key}: expected a path, a list of paths, or the rows themselves as a list of mappings")
    for pattern in patterns:
        if key == "data.qrels" and pattern.endswith(_TREC):
            yield _trec(base / pattern, pattern)
        else:
            yield from files.read_files(pattern, base, key)


def _trec(path: Path, name: str) -> Table:
    """Judgements as TREC has them: `query 0 document grade`, separated by white space, without a header."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 4:
            raise DataError(f"{name} line {number}: {len(parts)} values, expected 4 (query 0 document grade)")
        rows.append({"qid": parts[0], "docid": parts[2], "rel": parts[3]})
        lines.append(number)
    return Table(name, rows, lines)


def _place(table: Table, index: int) -> str:
    return f"{table.name} line {table.lines[index]}" if table.lines is not None else f"{table.name} row {index + 1}"


def _column(row: Mapping[str, Any], names: Sequence[str], what: str, at: str) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        raise DataError(f"{at}: no column for the {what}{nearest(names[0], row) or ';'} expected one of {', '.join(names)}")
    return found


def _text(row: Mapping[str, Any], names: Sequence[str], what: str, at: str) -> str:
    column = _column(row, names, what, at)
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, str | int) or (value == "" and what != "text"):
        raise DataError(f"{at}: expected the {what} of the column '{column}' as text, got {value!r}")
    return str(value)
