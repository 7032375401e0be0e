"""Bare numbers: arithmetic and conversions of units."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Row = dict[str, Any]

KINDS = ("addition", "subtraction", "multiplication", "division", "two-step")
# Level -> (least, greatest) operand.
ADDENDS = {1: (2, 19), 2: (20, 99), 3: (100, 999), 4: (1000, 9999)}
FACTORS = {1: ((3, 9), (3, 9)), 2: ((12, 49), (3, 9)), 3: ((12, 99), (12, 29)), 4: ((101, 499), (12, 49))}


def arithmetic(seed: int = 1, size: int = 40) -> Iterator[Row]:
    """Sums in whole numbers: five kinds at four levels of operand size, in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 20 gives every kind at every level equally often.

    Yields:
        id, kind, level (1 to 4), question, answer (a whole number).
    """
    rng = random.Random(seed)
    seen: set[str] = set()
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        level = 1 + index // len(KINDS) % 4
        expression, answer = _sum(rng, kind, level)
        while expression in seen:
            expression, answer = _sum(rng, kind, level)
        seen.add(expression)
        yield {"id": f"{kind}-{seed}-{index:03}", "kind": kind, "level": level, "question": f"What is {expression}?", "answer": answer}


def _sum(rng: random.Random, kind: str, level: int) -> tuple[str, int]:
    first, second = (rng.randint(*ADDENDS[level]) for _ in range(2))
    left, right = (rng.randint(*bounds) for bounds in FACTORS[level])
    match kind:
        case "addition":
            return f"{first} + {second}", first + second
        case "subtraction":
            return f"{first + second} - {second}", first
        case "multiplication":
            return f"{left} × {right}", left * right
        case "division":
            return f"{left * right} ÷ {right}", left
        case _:
            return f"({first} + {second}) × {right}", (first + second) * right


# (larger unit, smaller unit, how many of the smaller make one of the larger)
UNITS = (
    ("kilometres", "metres", 1000),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
    ("kilograms", "grams", 1000),
    ("tonnes", "kilograms", 1000),
    ("litres", "millilitres", 1000),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("years", "months", 12),
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("square metres", "square centimetres", 10000),
    ("hectares", "square metres", 10000),
)
# Amounts of the larger unit; halves and quarters only where the smaller unit still comes out whole.
AMOUNTS = (Fraction(2), Fraction(3), Fraction(4), Fraction(5), Fraction(6), Fraction(7), Fraction(8), Fraction(9), Fraction(12))
PARTS = (Fraction(1, 2), Fraction(3, 2), Fraction(5, 2), Fraction(7, 2), Fraction(1, 4), Fraction(5, 4))


def units(seed: int = 1, size: int = 30) -> Iterator[Row]:
    """Conversions between everyday units, from the larger to the smaller and back; every answer is exact.

    Args:
        seed: of the draw.
        size: number of rows; 30 asks each pair of units once in either direction.

    Yields:
        id, kind (`down` to the smaller unit, `up` to the larger), question, answer (a number), unit (of the answer).
    """
    rng = random.Random(seed)
    seen: set[str] = set()
    for index in range(size):
        larger, smaller, factor = UNITS[index % len(UNITS)]
        kind = "down" if (index // len(UNITS) + index % len(UNITS)) % 2 == 0 else "up"
        source, unit = (larger, smaller) if kind == "down" else (smaller, larger)
        question = ""
        while not question or question in seen:
            amount = rng.choice([a for a in AMOUNTS + PARTS if (a * factor).denominator == 1])
            given, answer = (amount, amount * factor) if kind == "down" else (amount * factor, amount)
            question = f"Convert {_decimal(given)} {source} to {unit}."
        seen.add(question)
        number = int(answer) if answer.denominator == 1 else float(answer)
        yield {"id": f"{kind}-{seed}-{index:03}", "kind": kind, "question": question, "answer": number, "unit": unit}


def _decimal(amount: Fraction) -> str:
    return str(int(amount)) if amount.denominator == 1 else str(float(amount))
