"""Short Python programs, and the one line each of them prints.

The answer is worked out here beside the program, not by running it; the tests run every program.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
Program = Callable[[random.Random], tuple[str, str]]

WORDS = ("lantern", "harbour", "picture", "station", "blanket", "thunder", "country", "village")
FRUIT = ("apple", "pear", "plum", "fig", "lemon", "melon", "cherry")


def slicing(rng: random.Random) -> tuple[str, str]:
    word, start = rng.choice(WORDS), rng.randint(1, 3)
    end = start + rng.randint(2, 3)
    return f'word = "{word}"\nprint(word[{start}:{end}])', word[start:end]


def loop_sum(rng: random.Random) -> tuple[str, str]:
    start, end = rng.randint(1, 4), rng.randint(6, 9)
    return f"total = 0\nfor i in range({start}, {end}):\n    total += i\nprint(total)", str((start + end - 1) * (end - start) // 2)


def appended(rng: random.Random) -> tuple[str, str]:
    numbers = rng.sample(range(1, 30), rng.randint(3, 5))
    return (
        f"items = {numbers}\nitems.append({rng.randint(30, 60)})\nitems.pop(0)\nprint(len(items), items[0])",
        f"{len(numbers)} {numbers[1]}",
    )


def lookup(rng: random.Random) -> tuple[str, str]:
    known = rng.sample(FRUIT[:4], 3)
    stock = {name: rng.randint(2, 20) for name in known}
    missing, default = FRUIT[4 + rng.randrange(3)], rng.randint(0, 1)
    return (
        f'stock = {stock}\nprint(stock["{known[1]}"] + stock.get("{missing}", {default}))'.replace("'", '"'),
        str(stock[known[1]] + default),
    )


def joined(rng: random.Random) -> tuple[str, str]:
    letters, mark = rng.sample("abcdefgh", 4), rng.choice("-+/")
    return f'letters = {letters}\nprint("{mark}".join(reversed(letters)))'.replace("'", '"'), mark.join(letters[::-1])


def halving(rng: random.Random) -> tuple[str, str]:
    steps, odd = rng.randint(3, 5), rng.choice((3, 5, 7))
    return f"n = {odd * 2**steps}\nsteps = 0\nwhile n % 2 == 0:\n    n = n // 2\n    steps += 1\nprint(n, steps)", f"{odd} {steps}"


def branches(rng: random.Random) -> tuple[str, str]:
    low, high = rng.randint(5, 9), rng.randint(15, 20)
    value = rng.choice((low - 2, low, high - 1, high + 3))
    answer = "small" if value < low else "medium" if value < high else "large"
    head = f'def size(n):\n    if n < {low}:\n        return "small"\n    if n < {high}:\n        return "medium"\n'
    return f'{head}    return "large"\n\nprint(size({value}))', answer


def filtered(rng: random.Random) -> tuple[str, str]:
    numbers = rng.sample(range(1, 20), 5)
    return f"numbers = {numbers}\nprint(sum(n for n in numbers if n % 2 == 0))", str(sum(numbers) - sum(n for n in numbers if n % 2))


def nested(rng: random.Random) -> tuple[str, str]:
    rows = rng.randint(3, 6)
    return f"count = 0\nfor i in range({rows}):\n    for j in range(i):\n        count += 1\nprint(count)", str(rows * (rows - 1) // 2)


def ordered(rng: random.Random) -> tuple[str, str]:
    names = rng.sample(FRUIT, 4)
    return f"names = {names}\nprint(sorted(names)[-1])".replace("'", '"'), max(names)


def replaced(rng: random.Random) -> tuple[str, str]:
    word = rng.choice([w for w in WORDS if "t" in w])
    return f'word = "{word}"\nprint(word.replace("t", "*").upper())', "*".join(part.upper() for part in word.split("t"))


def divided(rng: random.Random) -> tuple[str, str]:
    divisor, quotient = rng.randint(3, 9), rng.randint(3, 12)
    rest = rng.randint(1, divisor - 1)
    return f"a = {divisor * quotient + rest}\nb = {divisor}\nprint(a // b, a % b)", f"{quotient} {rest}"


PROGRAMS: tuple[Program, ...] = (
    slicing, loop_sum, appended, lookup, joined, halving, branches, filtered, nested, ordered, replaced, divided,
)  # fmt: skip


def code_output(seed: int = 1, size: int = 24) -> Iterator[Row]:
    """Programs of two to nine lines that print one line; each kind in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 12 gives every kind equally often.

    Yields:
        id, kind, code, answer (the printed line).
    """
    rng = random.Random(seed)
    seen: set[str] = set()
    for index in range(size):
        program = PROGRAMS[index % len(PROGRAMS)]
        code, answer = program(rng)
        while code in seen:
            code, answer = program(rng)
        seen.add(code)
        yield {"id": f"{program.__name__}-{seed}-{index:03}", "kind": program.__name__, "code": code, "answer": answer}
