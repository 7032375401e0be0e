"""From rows to items: ids, choices, targets, groups."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from proctor.canonical import content_hash
from proctor.errors import DataError, nearest
from proctor.scoring.masks import file_text
from proctor.tasks.spec import ItemSpec
from proctor.template import Template, Value, is_template
from proctor.types import Item

Row = dict[str, Any]
_NO_METADATA: dict[str, Any] = {}  # the same for all items without: of a million, theirs would take 64 MB
LETTERS = string.ascii_uppercase


def build_items(
    rows: Sequence[Row],
    spec: ItemSpec,
    *,
    choice: bool,
    where: str,
    row_name: Callable[[int], str],
    base: Path | None = None,
    lettered: bool = True,
) -> tuple[Item, ...]:
    """Items from rows.

    An item without an id of its own is named by a hash of its row, so that its name never depends on the order of the data; equal
    rows are told apart by a number.

    Args:
        rows: one mapping of columns each.
        spec: the task file's `item`.
        choice: whether the response kind is multiple choice, so that targets become indices.
        where: the task file, for messages.
        row_name: names a row by its position, for messages ("questions.csv line 12").
        base: folder that the paths of `target_as: file` start from; default: the current one.
        lettered: whether choices are named by letters, so that there can be no more than these.

    Raises:
        DataError: a missing column, a duplicate id, a target that is not among the choices, two readings of a target.
    """
    read_id = reader(spec.id, "item.id", where, row_name, numbered=True) if spec.id else None
    read_target = _target_reader(spec.target, where, row_name)
    read_group = reader(spec.group, "item.group", where, row_name) if spec.group else None
    read_choices = _choices_reader(spec.choices, where, row_name)
    columns = list(dict.fromkeys([*spec.metadata, *spec.dimensions]))
    items: list[Item] = []
    positions: dict[str, int] = {}
    copies: dict[str, int] = {}
    for index, row in enumerate(rows):
        choices = read_choices(row, index) if read_choices else ()
        if choice and len(choices) < 2:
            raise DataError(
                f"{where}: {row_name(index)}: a multiple-choice item needs at least two choices, found {len(choices)}; set item.choices"
            )
        if choice and lettered and len(choices) > len(LETTERS):
            raise DataError(
                f"{where}: {row_name(index)}: {len(choices)} choices; at most {len(LETTERS)} have letters (by: text has no limit)"
            )
        target = read_target(row, index)
        if spec.skip_empty and _is_empty(target):
            continue
        if spec.target_as == "file" and not choice:
            try:
                target = file_text((base or Path()) / _text(target))
            except DataError as error:
                raise DataError(f"{where}: {row_name(index)}: item.target: {error}") from None
        if choice:
            try:
                target = choice_target(target, choices, spec.target_as)
            except DataError as error:
                raise DataError(f"{where}: {row_name(index)}: {error}") from None
        name = _text(read_id(row, index)) if read_id else _text(row["id"]) if row.get("id") not in (None, "") else content_hash(row, 12)
        named = read_id is not None or row.get("id") not in (None, "")
        if name in positions:
            if named:
                raise DataError(
                    f"{where}: {row_name(index)}: the id '{name}' is already that of {row_name(positions[name])}; ids must be unique"
                )
            copies[name] = copies.get(name, 1) + 1
            name = f"{name}-{copies[name]}"
        positions[name] = index
        group = _text(read_group(row, index)) if read_group else ""
        metadata = _NO_METADATA
        if columns:
            metadata = {column: _column(row, column, "item.metadata", where, row_name(index)) for column in columns}
        items.append(Item(name, row, choices, target, group, metadata))
    return tuple(items)


def choice_target(value: Any, choices: Sequence[str], written_as: str | None) -> int | list[int]:
    """The index of the right choice (or the indices, where `value` is a list), however it is written.

    Where nothing says how, every reading that fits is tried (text of a choice, letter, index from 0); two readings that name
    different choices are an error rather than a guess.

    Raises:
        DataError: no reading fits, or two differ.
    """
    if isinstance(value, list):
        return [_one_target(one, choices, written_as) for one in value]
    return _one_target(value, choices, written_as)


def _one_target(value: Any, choices: Sequence[str], written_as: str | None) -> int:
    text = str(value).strip()
    readings: dict[str, int] = {}
    if written_as in (None, "text") and text in (stripped := [choice.strip() for choice in choices]):
        readings["text"] = stripped.index(text)
    if written_as in (None, "letter") and len(text) == 1 and text.upper() in LETTERS[: len(choices)] and not isinstance(value, int):
        readings["letter"] = LETTERS.index(text.upper())
    whole = int(text) if text.lstrip("-").isdecimal() and not isinstance(value, bool) else None
    if written_as in (None, "index") and whole is not None and 0 <= whole < len(choices):
        readings["index"] = whole
    if written_as == "number" and whole is not None and 1 <= whole <= len(choices):
        readings["number"] = whole - 1
    if not readings:
        form = f"as its {written_as}" if written_as else "as its text, letter or index"
        raise DataError(f"the target {value!r} names none of the {len(choices)} choices {form}: {_shown(choices)}")
    if len(set(readings.values())) > 1:
        raise DataError(
            f"the target {value!r} can be read as {' or '.join(f'{how} ({choices[i]!r})' for how, i in readings.items())}; "
            "say which with item.target_as: text, letter, index or number"
        )
    return next(iter(readings.values()))


def reader(value: str, key: str, where: str, row_name: Callable[[int], str], *, numbered: bool = False) -> Callable[[Row, int], Any]:
    """`numbered`: whether the template sees the row's number from 1, as `row_number`."""
    if is_template(value):
        template = Template(value, f"{where}: {key}")

        def render(row: Row, index: int) -> Any:
            if numbered:
                row = {"row_number": index + 1, **row}
            missing = sorted(template.names - row.keys())
            if missing:
                _column(row, missing[0], key, where, row_name(index))
            return template.render(row)

        return render
    return lambda row, index: _column(row, value, key, where, row_name(index))


def _target_reader(spec: str | dict[str, str] | None, where: str, row_name: Callable[[int], str]) -> Callable[[Row, int], Any]:
    if spec is None:
        return lambda row, index: None
    if isinstance(spec, str):
        return _list_or_text(spec, reader(spec, "item.target", where, row_name), f"{where}: item.target")
    parts = {name: reader(value, f"item.target.{name}", where, row_name) for name, value in spec.items()}
    return lambda row, index: {name: read(row, index) for name, read in parts.items()}


def _list_or_text(spec: str, read: Callable[[Row, int], Any], where: str) -> Callable[[Row, int], Any]:
    """A reader of targets for which `{{ expression }}` is a list where it gives one; whatever else it gives is a text."""
    if not is_template(spec):
        return read
    value = Value(spec, where)

    def found(row: Row, index: int) -> Any:
        text = read(row, index)  # says what is wrong with the row
        if not text.startswith("["):
            return text
        given = value.of(row)
        return list(given) if isinstance(given, list | tuple) else text

    return found


def _choices_reader(
    spec: str | list[str] | None, where: str, row_name: Callable[[int], str]
) -> Callable[[Row, int], tuple[str, ...]] | None:
    if spec is None:
        return None
    if isinstance(spec, str):
        typed = Value(spec, f"{where}: item.choices") if is_template(spec) else None
        read = reader(spec, "item.choices", where, row_name)

        def from_column(row: Row, index: int) -> tuple[str, ...]:
            value = typed.of(row) if typed and typed.template.names <= row.keys() else read(row, index)
            if not isinstance(value, list) or not all(isinstance(one, str | int | float) for one in value):
                raise DataError(
                    f"{where}: {row_name(index)}: item.choices: the column '{spec}' must hold a list of texts, got {value!r:.80}; "
                    'for one column a choice write a list: ["{{ a }}", "{{ b }}"]'
                )
            return tuple(_text(one) for one in value)

        return from_column
    parts = [(text, Template(text, f"{where}: item.choices") if is_template(text) else None) for text in spec]

    def from_list(row: Row, index: int) -> tuple[str, ...]:
        for _, template in parts:
            for name in sorted(template.names - row.keys()) if template else ():
                _column(row, name, "item.choices", where, row_name(index))
        return tuple(template.render(row) if template else text for text, template in parts)

    return from_list


def _column(row: Row, name: str, key: str, where: str, row_name: str) -> Any:
    if name not in row:
        raise DataError(f"{where}: {key}: {row_name} has no column '{name}'{nearest(name, row) or ';'} columns: {', '.join(map(str, row))}")
    return row[name]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _is_empty(target: Any) -> bool:
    return target is None or (isinstance(target, str) and not target.strip())


def _shown(choices: Sequence[str]) -> str:
    return ", ".join(f"{LETTERS[i]}: {choice!r:.40}" for i, choice in enumerate(choices))
