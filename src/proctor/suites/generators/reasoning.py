"""Logic: orderings, syllogisms, truth of compound statements."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from proctor.suites.generators.balance import place, positions

Row = dict[str, Any]

NAMES = ("Ada", "Boris", "Carla", "Dennis", "Emma", "Felix", "Gina", "Henri", "Iris", "Jakob", "Katya", "Liam")
# comparative, its opposite, superlative, its opposite
SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
)
# Invented words, so that knowing the world does not help.
WORDS = ("blickets", "daxes", "feps", "gorps", "lorns", "mipods", "norbs", "plims", "quevs", "rulls", "snarps", "toves", "wugs", "zints")
VALID = (
    "All {a} are {b}. All {b} are {c}.|all {a} are {c}",
    "All {a} are {b}. No {b} are {c}.|no {a} are {c}",
    "All {b} are {c}. Some {a} are {b}.|some {a} are {c}",
    "No {b} are {c}. Some {a} are {b}.|some {a} are not {c}",
    "All {c} are {b}. No {a} are {b}.|no {a} are {c}",
    "All {c} are {b}. Some {a} are not {b}.|some {a} are not {c}",
)
INVALID = (
    "All {a} are {b}. All {c} are {b}.|all {a} are {c}",
    "All {a} are {b}. Some {b} are {c}.|some {a} are {c}",
    "No {a} are {b}. No {b} are {c}.|no {a} are {c}",
    "Some {a} are {b}. Some {b} are {c}.|some {a} are {c}",
    "All {a} are {b}. No {c} are {a}.|no {c} are {b}",
    "All {a} are {b}. Some {c} are not {a}.|some {c} are not {b}",
)
# thing, what is so, what is so otherwise
FACTS = (
    ("the lamp", "on", "off"),
    ("the door", "open", "closed"),
    ("the box", "empty", "full"),
    ("the soup", "hot", "cold"),
    ("the floor", "wet", "dry"),
    ("the clock", "fast", "slow"),
    ("the wall", "white", "red"),
    ("the cat", "asleep", "awake"),
)
KINDS = ("ordering", "syllogism", "truth")


def logic(seed: int = 1, size: int = 36) -> Iterator[Row]:
    """Small deductions whose answer follows from the text alone; the three kinds in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 12 balances the answers within each kind.

    Yields:
        id, kind, question, choices (four names; yes, no; true, false), answer (index of the right choice).
    """
    rng = random.Random(seed)
    each = -(-size // len(KINDS))
    placed = {"ordering": positions(rng, each, 4), "syllogism": positions(rng, each, 2), "truth": positions(rng, each, 2)}
    forms = [rng.sample(VALID, len(VALID)), rng.sample(INVALID, len(INVALID))]
    seen: set[str] = set()
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        position = placed[kind].pop()
        form = ""
        if kind == "syllogism":
            form = forms[position].pop(0)
            forms[position].append(form)
        question = ""
        choices: list[str] = []
        while not question or question in seen:
            if kind == "ordering":
                question, choices = _ordering(rng, position)
            elif kind == "syllogism":
                question, choices = _syllogism(rng, form), ["Yes", "No"]
            else:
                question, choices = _truth(rng, position == 0), ["True", "False"]
        seen.add(question)
        yield {"id": f"{kind}-{seed}-{index:03}", "kind": kind, "question": question, "choices": choices, "answer": position}


def _ordering(rng: random.Random, position: int) -> tuple[str, list[str]]:
    people = rng.sample(NAMES, 4)  # from the most to the least
    more, less, most, least = rng.choice(SCALES)
    clues = []
    for above, below in itertools.pairwise(people):
        clues.append(f"{above} is {more} than {below}." if rng.random() < 0.5 else f"{below} is {less} than {above}.")
    rng.shuffle(clues)
    rank = rng.randrange(4)
    asked = (most, f"second {most}", f"second {least}", least)[rank]
    wrong = [name for name in people if name != people[rank]]
    rng.shuffle(wrong)
    return f"{' '.join(clues)} Who is the {asked} of the four?", place(people[rank], wrong, position)


def _syllogism(rng: random.Random, form: str) -> str:
    a, b, c = rng.sample(WORDS, 3)
    premises, conclusion = form.format(a=a, b=b, c=c).split("|")
    return f"{premises} Does it follow that {conclusion}?"


def _truth(rng: random.Random, wanted: bool) -> str:
    """Facts and a statement about two of them that is true or false as wanted."""
    facts = [(thing, *rng.sample(states, 2)) for thing, *states in rng.sample(FACTS, 3)]
    form = rng.choice(("and", "or", "if", "not"))
    while True:
        (one, is_one, not_one), (two, is_two, not_two) = rng.sample(facts, 2)
        first, second = rng.random() < 0.5, rng.random() < 0.5
        x = f"{one} is {is_one if first else not_one}"
        y = f"{two} is {is_two if second else not_two}"
        if form == "and":
            statement, value = f"{x} and {y}", first and second
        elif form == "or" and not (first and second):  # with both true, "or" is read in two ways
            statement, value = f"{x} or {y}", first or second
        elif form == "if" and first:  # with a false condition, "if" is read in two ways
            statement, value = f"if {x}, then {y}", second
        elif form == "not":
            statement, value = f"{y}, and {x.replace(' is ', ' is not ')}", second and not first
        else:
            continue
        if value == wanted:
            break
    known = " ".join(f"{thing.capitalize()} is {state}." for thing, state, _ in facts)
    return f"{known} Is this statement true or false? “{statement[0].upper()}{statement[1:]}.”"
