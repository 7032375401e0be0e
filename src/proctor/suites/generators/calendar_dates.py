"""Dates: weekdays ahead, days between, leap years."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from proctor.suites.generators.balance import place, positions

Row = dict[str, Any]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
KINDS = ("weekday", "days-between", "leap-year")


def dates(seed: int = 1, size: int = 30) -> Iterator[Row]:
    """Questions about the Gregorian calendar with four choices; the three kinds in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 12 balances the letters within each kind, any other all but one or two.

    Yields:
        id, kind, question, choices (4), answer (index of the right choice).
    """
    rng = random.Random(seed)
    placed = {kind: positions(rng, -(-size // len(KINDS)), 4) for kind in KINDS}
    # Kinds of ten rows each leave two letters one short; shifting them by kind evens the letters out over the whole task.
    shift = dict(zip(KINDS, (0, 2, 0), strict=True))
    seen: set[str] = set()
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        position = (placed[kind].pop() + shift[kind]) % 4
        question, right, wrong = _ask(rng, kind)
        while question + right in seen:
            question, right, wrong = _ask(rng, kind)
        seen.add(question + right)
        yield {
            "id": f"{kind}-{seed}-{index:03}",
            "kind": kind,
            "question": question,
            "choices": place(right, wrong, position),
            "answer": position,
        }


def _ask(rng: random.Random, kind: str) -> tuple[str, str, list[str]]:
    if kind == "weekday":
        today, ahead = rng.randrange(7), rng.choice([days for days in range(8, 60) if days % 7])
        right = (today + ahead) % 7
        wrong = rng.sample([day for index, day in enumerate(WEEKDAYS) if index not in (right, today)], 3)
        return f"Today is {WEEKDAYS[today]}. Which day of the week is it in {ahead} days?", WEEKDAYS[right], wrong
    if kind == "days-between":
        first = date(rng.randint(2001, 2030), rng.randint(1, 10), rng.randint(5, 27))
        days = rng.randint(20, 62)
        last = first + timedelta(days=days)
        below = rng.randrange(4)  # of the wrong counts, so that the middle one is no better a guess
        off = [*rng.sample(range(-4, 0), below), *rng.sample(range(1, 5), 3 - below)]
        rng.shuffle(off)
        return f"How many days after {_written(first)} is {_written(last)}?", str(days), [str(days + n) for n in off]
    leap = rng.choice([year for year in range(1804, 2100) if _leap(year)])
    common = [year for year in range(leap - 60, leap + 60) if not _leap(year)]
    centuries = [year for year in common if year % 100 == 0]
    wrong_years = [*centuries[:1], *rng.sample([year for year in common if year % 2 == 0 and year % 100], 3 - len(centuries[:1]))]
    rng.shuffle(wrong_years)
    return "Which of these years is a leap year in the Gregorian calendar?", str(leap), [str(year) for year in wrong_years]


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _written(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"
