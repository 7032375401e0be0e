"""Values that models write in an answer: literals, lists, sets, mappings, boxes, points, however they spell them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Hashable
from typing import Any

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_LONGEST = 20_000  # characters of a literal; Python's parser takes memory and stack beyond that
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def literal(text: str) -> Any:
    """A text as the Python or JSON value it spells. Raises `ValueError` where it spells none."""
    if len(text) > _LONGEST:
        raise ValueError("too long to be a literal")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error


def unquoted(value: Any) -> Any:
    """A text without the quotation marks around all of it; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = literal(value)
    except ValueError:
        return value
    return found if isinstance(found, str) else value


def as_list(value: Any) -> list[Any]:
    """A list, however it is written: a list, a text of one, or items with commas between. Empty where a bracket does not close."""
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if not isinstance(value, str):
        return [] if value is None else [value]
    text = value.strip()
    if not text:
        return []
    bracketed = text[0] in _CLOSING
    if bracketed and not text.endswith(_CLOSING[text[0]]):
        return []
    try:
        found = literal(text)
    except ValueError:
        return [item.strip() for item in (text[1:-1] if bracketed else text).split(",")]
    if found is None:  # the word, not the absence of one
        return [text]
    return as_list(found) if not isinstance(found, str) else [found]


def as_set(value: Any) -> set[Hashable]:
    """The same as a set; lists and mappings within become tuples and sets of pairs."""
    return {frozen(item) for item in as_list(value)}


def frozen(value: Any) -> Hashable:
    """`value` with its lists, sets and mappings made hashable."""
    if isinstance(value, dict):
        return frozenset((key, frozen(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(one) for one in value)
    if isinstance(value, set):
        return frozenset(frozen(one) for one in value)
    return value if isinstance(value, Hashable) else str(value)


def as_mapping(value: Any) -> dict[str, Any] | None:
    """A mapping, or the last one that a text holds; None where there is none."""
    if isinstance(value, str):
        value = last_structure(value)
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else None


def last_structure(text: str) -> Any:
    """The last JSON object or array in `text`, or the last that Python would read (single quotes, tuples); None where there is none.

    The work is linear in the length of the text but for brackets that never close, which are bounded.
    """
    found: Any = None
    at, effort = 0, 0
    while effort < 200:
        start = min((place for place in (text.find("{", at), text.find("[", at)) if place >= 0), default=-1)
        if start < 0:
            break
        end = _closing(text, start)
        if end < 0:
            at, effort = start + 1, effort + 1
            continue
        try:
            found = literal(text[start:end])
            at = end
        except ValueError:
            at, effort = start + 1, effort + 1
    return found


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` has been closed again, quoted brackets aside; -1 where it is not."""
    depth, quote, at = 0, "", start
    while at < min(len(text), start + _LONGEST):
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign == '"' or (sign == "'" and not text[at - 1].isalnum()):
            quote = sign
        elif sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return -1


def boxes(value: Any) -> list[Box]:
    """Boxes [left, top, right, bottom]: one, a list of them, or a text of either; what is none is left out."""
    rows = _rows(value)
    rows = [rows] if len(rows) == 4 and all(map(is_number, rows)) else rows
    return [(*map(float, row),) for row in rows if _is_row(row, 4)]  # type: ignore[misc]


def points(value: Any) -> list[Point]:
    """Points [x, y], the same way."""
    rows = _rows(value)
    rows = [rows] if len(rows) == 2 and all(map(is_number, rows)) else rows
    return [(float(row[0]), float(row[1])) for row in rows if _is_row(row, 2)]


def tagged(value: Any, tag: str, length: int) -> list[tuple[float, ...]]:
    """Numbers between tags, `<box>0.1, 0.2, 0.3, 0.4</box>`; a list of numbers stands for one."""
    if isinstance(value, list | tuple):
        rows = [value] if all(map(is_number, value)) else value
        return [tuple(map(float, row)) for row in rows if _is_row(row, length)]
    found = []
    for inside in re.findall(rf"<{tag}>([^<]*)</{tag}>", str(value)):
        try:
            numbers = tuple(float(part) for part in inside.split(","))
        except ValueError:
            continue
        if len(numbers) == length:
            found.append(numbers)
    return found


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rows(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = literal(value)
        except ValueError:
            value = last_structure(value)
    return list(value) if isinstance(value, list | tuple) else []


def _is_row(row: Any, length: int) -> bool:
    return isinstance(row, list | tuple) and len(row) == length and all(map(is_number, row))
