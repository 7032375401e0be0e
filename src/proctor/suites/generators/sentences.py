"""Minimal pairs: an acceptable English sentence and the same sentence with one thing wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from proctor.suites.generators.balance import place, positions

Row = dict[str, Any]
Pair = Callable[[random.Random], tuple[str, str]]

PEOPLE = (
    ("teacher", "teachers"),
    ("driver", "drivers"),
    ("singer", "singers"),
    ("farmer", "farmers"),
    ("doctor", "doctors"),
    ("student", "students"),
)
THINGS = (
    ("letter", "letters"),
    ("picture", "pictures"),
    ("basket", "baskets"),
    ("window", "windows"),
    ("garden", "gardens"),
    ("bottle", "bottles"),
)
VERBS = (("sings", "sing"), ("works", "work"), ("waits", "wait"), ("sleeps", "sleep"), ("laughs", "laugh"))
PLACES = ("in the hall", "near the station", "behind the house", "at the market", "on the bridge")
ADJECTIVES = ("old", "small", "expensive", "beautiful", "famous")
WOMEN, MEN = ("Anna", "Maria", "Laura", "Susan", "Julia"), ("Peter", "Thomas", "Paul", "Martin", "Robert")
# past participle, past tense, an object
IRREGULAR = (
    ("written", "wrote", "a long letter"), ("eaten", "ate", "the whole cake"), ("broken", "broke", "the blue cup"),
    ("taken", "took", "the last train"), ("drawn", "drew", "a small horse"), ("sung", "sang", "an old song"),
    ("chosen", "chose", "the red coat"), ("forgotten", "forgot", "the tickets"),
)  # fmt: skip
# subject, object
PRONOUNS = (("she", "her"), ("he", "him"), ("they", "them"), ("we", "us"))


def agreement(rng: random.Random) -> tuple[str, str]:
    """A verb agrees with its subject."""
    noun, verb, number = rng.choice(PEOPLE), rng.choice(VERBS), rng.randrange(2)
    where = rng.choice(PLACES)
    return f"The {noun[number]} {verb[number]} {where}.", f"The {noun[number]} {verb[1 - number]} {where}."


def attraction(rng: random.Random) -> tuple[str, str]:
    """A verb agrees with its subject across a noun of the other number."""
    head, other, number = rng.choice(THINGS), rng.choice(PEOPLE), rng.randrange(2)
    adjective, verbs = rng.choice(ADJECTIVES), ("is", "are")
    subject = f"The {head[number]} of the {other[1 - number]}"
    return f"{subject} {verbs[number]} {adjective}.", f"{subject} {verbs[1 - number]} {adjective}."


def determiner(rng: random.Random) -> tuple[str, str]:
    """A demonstrative agrees with its noun."""
    name, thing, number, where = rng.choice(WOMEN + MEN), rng.choice(THINGS), rng.randrange(2), rng.choice(PLACES)
    these = rng.choice((("this", "these"), ("that", "those")))
    return f"{name} found {these[number]} {thing[number]} {where}.", f"{name} found {these[1 - number]} {thing[number]} {where}."


def reflexive(rng: random.Random) -> tuple[str, str]:
    """A reflexive pronoun agrees with its subject."""
    number, verb = rng.randrange(2), rng.choice(("hurt", "introduced", "described", "blamed", "painted"))
    name, selves, where = rng.choice((WOMEN, MEN)[number]), ("herself", "himself"), rng.choice(PLACES)
    return f"{name} {verb} {selves[number]} {where}.", f"{name} {verb} {selves[1 - number]} {where}."


def participle(rng: random.Random) -> tuple[str, str]:
    """The perfect takes the past participle."""
    name, (right, wrong, what) = rng.choice(WOMEN + MEN), rng.choice(IRREGULAR)
    return f"{name} has {right} {what}.", f"{name} has {wrong} {what}."


def polarity(rng: random.Random) -> tuple[str, str]:
    """`ever` needs a negative subject here."""
    noun, where = rng.choice(PEOPLE)[0], rng.choice(PLACES)
    verb = rng.choice(("slept", "danced", "complained", "worked"))
    return f"No {noun} has ever {verb} {where}.", f"Every {noun} has ever {verb} {where}."


def pronoun(rng: random.Random) -> tuple[str, str]:
    """An object pronoun has the object's form."""
    noun, (subject, accusative), where = rng.choice(PEOPLE)[0], rng.choice(PRONOUNS), rng.choice(PLACES)
    verb = rng.choice(("thanked", "saw", "helped", "met"))
    return f"The {noun} {verb} {accusative} {where}.", f"The {noun} {verb} {subject} {where}."


def embedded(rng: random.Random) -> tuple[str, str]:
    """An embedded question keeps the order of a statement."""
    noun, verb, name = rng.choice(PEOPLE)[0], rng.choice(VERBS)[0], rng.choice(WOMEN + MEN)
    word = rng.choice(("where", "when", "why"))
    return f"{name} knows {word} the {noun} {verb}.", f"{name} knows {word} {verb} the {noun}."


PHENOMENA: tuple[Pair, ...] = (agreement, attraction, determiner, reflexive, participle, polarity, pronoun, embedded)


def grammar(seed: int = 1, size: int = 40) -> Iterator[Row]:
    """Minimal pairs of English; eight phenomena in turn.

    Args:
        seed: of the draw.
        size: number of rows; a multiple of 8 shows every phenomenon equally often.

    Yields:
        id, kind (the phenomenon), choices (2), answer (index of the acceptable sentence).
    """
    rng = random.Random(seed)
    placed = positions(rng, size, 2)
    seen: set[str] = set()
    for index in range(size):
        phenomenon = PHENOMENA[index % len(PHENOMENA)]
        right, wrong = phenomenon(rng)
        while right in seen or wrong in seen:
            right, wrong = phenomenon(rng)
        seen |= {right, wrong}
        position = placed[index]
        yield {
            "id": f"{phenomenon.__name__}-{seed}-{index:03}",
            "kind": phenomenon.__name__,
            "choices": place(right, [wrong], position),
            "answer": position,
        }
