"""The options of a question in another order, more of them, or fewer. The right one stays right, wherever it goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from proctor.canonical import seeded
from proctor.tasks.items import LETTERS
from proctor.tasks.spec import ItemSpec, VariantSpec
from proctor.types import Item

ORDER = "option_order"  # the item's metadata that says which option stands at each place, by its number in the original

# "All of the above" belongs at the end; "both A and B" names others by their letters.
_ABOVE = re.compile(r"\b(?:above|preceding|foregoing)\b|\b(?:all|none|any|both|neither|either) of (?:these|them|the)\b|以上", re.IGNORECASE)
_BY_LETTER = re.compile(
    r"\b[A-J]\b\s*(?:,|and|or|nor|&|/|und|et|y|e)\s*\(?\b[A-J]\b|\b(?i:both|neither|either|only|options?|choices?)\s+\(?[A-J]\b(?!')"
)
# A choice that is nothing but that: "both A and B", "A, B and C only"; in a sentence a letter may be the name of something else.
_ONLY_LETTERS = re.compile(
    r"(?:both|neither|either|only|options?|choices?)?\s*\(?[A-J]\)?(?:(?:\s*,\s*|\s+(?:and|or|nor|&)\s+|\s+)\(?[A-J]\)?)*(?:\s+(?:only|both))?\.?",
    re.IGNORECASE,
)
_OWN_LETTER = re.compile(r"(?P<open>\(?)(?P<letter>[A-Z])(?P<close>[).:])")
_PURE_COLUMN = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LETTER = re.compile(r"\b[A-J]\b")


def names_letters(item: Item) -> bool:
    """Whether a choice speaks of others by their letters ("both A and B"), so that they must stay where they are."""
    return any(_BY_LETTER.search(choice) for choice in item.choices)


def new_order(item: Item, variant: VariantSpec, task: str) -> list[int]:
    """Which option stands at each place under `order` and `rotate`.

    Options that speak of those above them stay where they are; of an item whose options name each other by letter all do.

    Args:
        item: with choices.
        variant: what is changed.
        task: the original's name; part of the seed.
    """
    order = list(range(len(item.choices)))
    free = [place for place in order if not _ABOVE.search(item.choices[place])]
    if names_letters(item) or len(free) < 2:
        return order
    moved = list(free)
    if variant.rotate:
        by = variant.rotate % len(free)
        moved = moved[-by:] + moved[:-by] if by else moved
    if variant.order == "reverse":
        moved.reverse()
    elif variant.order == "shuffle":
        rng = Random(seeded("variant", "order", variant.seed, task, item.id))
        before = list(moved)
        while moved == before:
            rng.shuffle(moved)
    for place, option in zip(free, moved, strict=True):
        order[place] = option
    return order


def fewer(item: Item, order: list[int], count: int, rng: Random) -> list[int]:
    """`order` without `count` of the wrong options; without any where fewer than two options would be left, or some speak of others."""
    wrong = [option for option in order if option not in _right(item)]
    if len(wrong) < count or len(order) - count < 2 or _speaks_of_others(item):
        return order
    gone = set(rng.sample(sorted(wrong), count))
    return [option for option in order if option not in gone]


def more(item: Item, order: list[int], others: Sequence[str], count: int, rng: Random) -> tuple[list[int], list[str]]:
    """`order` with `count` options more, each at a drawn place, and their texts; unchanged where there are no texts for them.

    Args:
        item: the item.
        order: of its own options.
        others: texts of wrong options of other items.
        count: how many to add.
        rng: what is drawn.
    """
    if _speaks_of_others(item) or len(order) + count > len(LETTERS):
        return order, []
    own = {_plain(choice) for choice in item.choices}
    added: list[str] = []
    for text in rng.sample(others, len(others)):
        if len(added) == count:
            break
        if _plain(text) not in own:
            added.append(text)
            own.add(_plain(text))
    if len(added) < count:
        return order, []
    order = list(order)
    for number in range(count):
        order.insert(rng.randrange(len(order) + 1), len(item.choices) + number)
    return order, added


def rearranged(item: Item, order: Sequence[int], added: Sequence[str], spec: ItemSpec) -> Item:
    """The item with its options as `order` says, its target among them.

    Columns that hold the options, as a list or one each, follow them, so that a template that shows these shows the new order.

    Args:
        item: the original.
        order: the number of the option at each place; numbers from `len(item.choices)` on are those of `added`.
        added: texts of options that the original has not.
        spec: how the item was read from its row.
    """
    texts = [*item.choices, *added]
    choices = (
        tuple(_called(texts[option], LETTERS[place]) for place, option in enumerate(order))
        if _lettered(item)
        else tuple(texts[o] for o in order)
    )
    target: Any = [order.index(one) for one in item.target] if isinstance(item.target, list) else order.index(item.target)
    fields = dict(item.fields)
    for name, value in item.fields.items():
        if isinstance(value, list) and [str(one) for one in value] == list(item.choices):
            fields[name] = list(choices) if _lettered(item) else [[*value, *added][option] for option in order]
    columns = [_PURE_COLUMN.fullmatch(entry.strip()) for entry in spec.choices] if isinstance(spec.choices, list) else []
    if columns and all(columns) and len(order) == len(columns):
        names = [match[1] for match in columns if match]
        for name, option, choice in zip(names, order, choices, strict=True):
            fields[name] = item.fields[names[option]] if option < len(names) and not _lettered(item) else choice
    return msgspec.structs.replace(item, fields=fields, choices=choices, target=target, metadata={**item.metadata, ORDER: list(order)})


def relettered(item: Item, letters: Sequence[str]) -> Item:
    """The item whose options name each other by the new letters, where they do nothing else ("both A and B" → "both 1 and 2")."""
    own = _lettered(item)
    if not own and not any(_is_reference(choice) for choice in item.choices):
        return item

    def named(match: re.Match[str]) -> str:
        place = LETTERS.index(match[0])
        return letters[place] if place < len(item.choices) else match[0]

    changed = [_called(choice, name) if own else choice for choice, name in zip(item.choices, letters, strict=False)]
    changed = [_LETTER.sub(named, choice) if _is_reference(choice) else choice for choice in changed]
    again = msgspec.structs.replace(item, choices=tuple(changed))
    fields = {
        name: changed if isinstance(value, list) and [str(one) for one in value] == list(item.choices) else value
        for name, value in item.fields.items()
    }
    return msgspec.structs.replace(again, fields=fields)


def _is_reference(choice: str) -> bool:
    return bool(_BY_LETTER.search(choice) and _ONLY_LETTERS.fullmatch(choice.strip()))


def wrong_options(items: Sequence[Item]) -> list[tuple[str, str]]:
    """(item's id, text) of every wrong option that speaks of no other, in order of the ids."""
    return [
        (item.id, choice)
        for item in sorted(items, key=lambda one: one.id)
        if not _speaks_of_others(item)
        for place, choice in enumerate(item.choices)
        if place not in _right(item)
    ]


def _lettered(item: Item) -> bool:
    """Whether every choice begins with its own letter: "(A) red", "B. green"."""
    return all(
        (found := _OWN_LETTER.match(choice)) is not None and found["letter"] == LETTERS[place] for place, choice in enumerate(item.choices)
    )


def _called(choice: str, name: str) -> str:
    """A choice that begins with a letter, beginning with another name; one that does not (an added one), as it is."""
    match = _OWN_LETTER.match(choice)
    return f"{match['open']}{name}{match['close']}{choice[match.end() :]}" if match else choice


def _speaks_of_others(item: Item) -> bool:
    return names_letters(item) or any(_ABOVE.search(choice) for choice in item.choices)


def _right(item: Item) -> set[int]:
    return set(item.target) if isinstance(item.target, list) else {item.target}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".")
