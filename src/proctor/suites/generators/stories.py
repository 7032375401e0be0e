"""Word problems: twelve short stories told with other names and numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
Story = Callable[[random.Random], tuple[str, int]]

NAMES = (
    "Amara",
    "Björn",
    "Chen",
    "Daria",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Inés",
    "Jonas",
    "Keiko",
    "Leila",
    "Mateo",
    "Nora",
    "Oskar",
    "Priya",
)


def change(rng: random.Random) -> tuple[str, int]:
    name, thing = rng.choice(NAMES), rng.choice(("notebooks", "lemonades", "tickets", "candles"))
    count, price, note = rng.randint(3, 9), rng.randint(2, 5), rng.choice((50, 100))
    return (
        f"{name} buys {count} {thing} at {price} euros each and pays with a {note}-euro note. How many euros does {name} get back?",
        note - count * price,
    )


def shares(rng: random.Random) -> tuple[str, int]:
    first, second = rng.sample(NAMES, 2)
    children, each = rng.randint(3, 8), rng.randint(5, 12)
    own = rng.randint(6, children * each - 6)
    rest = children * each - own
    return (
        (
            f"{first} has {own} marbles and {second} has {rest}. They put them together and share them equally among {children} children. "
            "How many marbles does each child get?"
        ),
        each,
    )


def pages(rng: random.Random) -> tuple[str, int]:
    name, daily, days = rng.choice(NAMES), rng.randint(12, 35), rng.randint(4, 9)
    left = rng.randint(15, 120)
    total = daily * days + left
    return f"{name} is reading a book of {total} pages, {daily} pages every day. How many pages are left after {days} days?", left


def journey(rng: random.Random) -> tuple[str, int]:
    fast, slow = rng.randrange(80, 140, 10), rng.randrange(30, 70, 10)
    first, second = rng.randint(2, 5), rng.randint(2, 4)
    return (
        (
            f"A train travels for {first} hours at {fast} kilometres per hour and then for {second} hours at {slow} kilometres per hour. "
            "How many kilometres does it travel in all?"
        ),
        fast * first + slow * second,
    )


def fence(rng: random.Random) -> tuple[str, int]:
    length, width = rng.randint(15, 40), rng.randint(5, 14)
    return f"A rectangular garden is {length} metres long and {width} metres wide. How many metres of fence go all the way round it?", (
        2 * (length + width)
    )


def ages(rng: random.Random) -> tuple[str, int]:
    older, younger = rng.sample(NAMES, 2)
    gap, years = rng.randint(2, 9), rng.randint(3, 12)
    then = years + rng.randint(5, 30)
    return (
        f"{older} is {gap} years older than {younger}. In {years} years, {younger} will be {then}. How old is {older} now?",
        then - years + gap,
    )


def eggs(rng: random.Random) -> tuple[str, int]:
    box, boxes_daily, days = rng.choice((6, 10, 12)), rng.randint(4, 11), rng.randint(3, 7)
    return (
        f"A farm packs the {box * boxes_daily} eggs of a day in boxes of {box}. How many boxes does it fill in {days} such days?",
        boxes_daily * days,
    )


def sale(rng: random.Random) -> tuple[str, int]:
    thing, price, percent = (
        rng.choice(("coat", "lamp", "bicycle", "tent")),
        rng.randrange(40, 400, 20),
        rng.choice((10, 20, 25, 30, 40, 50)),
    )
    while price * percent % 100:
        price += 20
    return (
        f"A {thing} costs {price} euros. In the sale it is {percent} per cent cheaper. How many euros does it cost in the sale?",
        price - price * percent // 100,
    )


def apples(rng: random.Random) -> tuple[str, int]:
    first, second, third = rng.sample(NAMES, 3)
    few, times, fewer = rng.randint(5, 14), rng.randint(2, 4), rng.randint(2, 9)
    return (
        (
            f"{first} picked {few} apples. {second} picked {times} times as many as {first}, and {third} picked {fewer} fewer than "
            f"{second}. How many apples did the three pick together?"
        ),
        few + few * times + few * times - fewer,
    )


def lessons(rng: random.Random) -> tuple[str, int]:
    count, minutes, pause = rng.randint(4, 7), rng.choice((40, 45, 50)), rng.choice((5, 10, 15))
    return (
        (
            f"A school day has {count} lessons of {minutes} minutes, with a break of {pause} minutes between one lesson and the next. "
            "How many minutes pass from the start of the first lesson to the end of the last?"
        ),
        count * minutes + (count - 1) * pause,
    )


def tank(rng: random.Random) -> tuple[str, int]:
    inflow, net, minutes = rng.randint(2, 9), rng.randint(3, 8), rng.randint(12, 40)
    return (
        (
            f"A full tank holds {net * minutes} litres. Every minute {inflow + net} litres flow out and {inflow} litres flow in. "
            "After how many minutes is the tank empty?"
        ),
        minutes,
    )


def savings(rng: random.Random) -> tuple[str, int]:
    name, wage, hours, days = rng.choice(NAMES), rng.randint(11, 19), rng.randint(4, 8), rng.randint(3, 5)
    spent, weeks = rng.randrange(50, 130, 10), rng.randint(2, 4)
    return (
        (
            f"{name} earns {wage} euros an hour, works {hours} hours a day on {days} days a week, and spends {spent} euros a week. "
            f"How many euros does {name} save in {weeks} weeks?"
        ),
        (wage * hours * days - spent) * weeks,
    )


STORIES: tuple[Story, ...] = (change, shares, pages, journey, fence, ages, eggs, sale, apples, lessons, tank, savings)


def word_problems(seed: int = 1, size: int = 24) -> Iterator[Row]:
    """Problems of two to four steps; each story in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 12 tells every story equally often.

    Yields:
        id, kind (the story), question, answer (a whole number).
    """
    rng = random.Random(seed)
    for index in range(size):
        story = STORIES[index % len(STORIES)]
        question, answer = story(rng)
        yield {"id": f"{story.__name__}-{seed}-{index:03}", "kind": story.__name__, "question": question, "answer": answer}
