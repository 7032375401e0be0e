"""Pictures of coloured shapes and of numbers, with questions whose answers have several formats."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from proctor.suites.generators.drawing import COLOURS, SHAPES, Box, blank, draw_number, draw_shape, png

Row = dict[str, Any]
Placed = tuple[str, str, Box]  # shape, colour, where

SIDE, CELLS = 240, 3
KINDS = ("count", "colour", "number", "colours", "order", "box", "record")
FORMATS = dict(zip(KINDS, ("number", "phrase", "number", "set", "sequence", "coordinates", "structure"), strict=True))
SKILLS = dict(zip(KINDS, ("counting", "recognising", "reading", "recognising", "ordering", "locating", "recognising"), strict=True))
METRICS: dict[str, Any] = {
    "count": "general_single_numerical_match",
    "colour": "simple_str_match",
    "number": "exact_str_match",
    "colours": "set_equality_case_insensitive",
    "order": "sequence_equality_case_insensitive",
    "box": "nbbox_iou_single",
    "record": {"shape": "simple_str_match", "colour": "simple_str_match", "row": "simple_str_match"},
}
_NAMES = tuple(name for name in COLOURS if name not in ("white", "black"))
_ROWS = ("top", "middle", "bottom")


def pictures(seed: int = 1, size: int = 42) -> Iterator[Row]:
    """Pictures of 240 × 240 pixels with three to six shapes in the cells of a grid, or with a number; the kinds of question in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 7 has as many of each kind.

    Yields:
        id, kind, format (of the answer), skill, picture (a PNG file's bytes), question, answer (a text, a list, four numbers from 0 to 1,
        or a mapping), metric (that scores it: a name, or one for each field of the answer).
    """
    rng = random.Random(seed)
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        picture, question, answer = _number(rng) if kind == "number" else _shapes(rng, kind)
        yield {
            "id": f"{kind}-{seed}-{index:03}",
            "kind": kind,
            "format": FORMATS[kind],
            "skill": SKILLS[kind],
            "picture": picture,
            "question": question,
            "answer": answer,
            "metric": METRICS[kind],
        }


def _number(rng: random.Random) -> tuple[bytes, str, str]:
    canvas = blank(SIDE, SIDE)
    text = str(rng.randint(1000, 9999))
    draw_number(canvas, text, rng.randint(8, 80), rng.randint(20, 160), 6)
    return png(canvas), "Which number is written in the picture? Answer with its digits.", text


def _shapes(rng: random.Random, kind: str) -> tuple[bytes, str, Any]:
    placed = _placed(rng, kind)
    canvas = blank(SIDE, SIDE)
    for shape, colour, box in placed:
        draw_shape(canvas, shape, box, colour)
    question, answer = _ask(rng, kind, placed)
    return png(canvas), question, answer


def _placed(rng: random.Random, kind: str) -> list[Placed]:
    """Shapes in different cells.

    The first is the only one of its shape, except where shapes are counted; of a record, the others are all alike. Where they are ordered,
    all stand in one row.
    """
    number = 3 if kind == "order" else rng.randint(3, 6)
    if kind == "order":
        row = rng.randrange(CELLS)
        cells = [(row, column) for column in range(CELLS)]
    else:
        cells = rng.sample([(row, column) for row in range(CELLS) for column in range(CELLS)], number)
    special = rng.choice(SHAPES)
    others = SHAPES if kind == "count" else tuple(shape for shape in SHAPES if shape != special)
    if kind == "record":
        others = (rng.choice(others),)
    colours = rng.sample(_NAMES, number) if kind == "order" else rng.choices(_NAMES, k=number)
    cell = SIDE // CELLS
    placed = []
    for index, ((row, column), colour) in enumerate(zip(cells, colours, strict=True)):
        side = rng.randrange(40, 66, 2)
        left, top = (at * cell + rng.randint(4, cell - side - 4) for at in (column, row))
        placed.append((special if index == 0 else rng.choice(others), colour, (left, top, left + side, top + side)))
    return placed


def _ask(rng: random.Random, kind: str, placed: list[Placed]) -> tuple[str, Any]:
    shape, colour, box = placed[0]
    if kind == "count":
        wanted = rng.choice([shape, rng.choice(placed)[0]])
        return f"How many {wanted}s are in the picture? Answer with a number.", str(sum(one[0] == wanted for one in placed))
    if kind == "colour":
        return f"What colour is the {shape}? Answer with {_listed(_NAMES)}.", colour
    if kind == "colours":
        return f"Which of the colours {_listed(_NAMES, 'and')} are in the picture? Answer with a list.", sorted({one[1] for one in placed})
    if kind == "order":
        ordered = sorted(placed, key=lambda one: one[2][0])
        return f"Name the colours of the shapes from left to right, of {_listed(_NAMES)}. Answer with a list.", [one[1] for one in ordered]
    if kind == "box":
        asked = "as shares of the picture's width and height, [left, top, right, bottom]"
        return f"Where is the {shape}? Answer with its bounding box {asked}.", [round(edge / SIDE, 4) for edge in box]
    row = _ROWS[(box[1] + box[3]) // 2 * CELLS // SIDE]
    fields = '"shape" (circle, square or triangle), "colour" and "row" (top, middle or bottom)'
    return f"One shape is unlike all others. Answer with a JSON object with its {fields}.", {"shape": shape, "colour": colour, "row": row}


def _listed(words: tuple[str, ...], last: str = "or") -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
