"""A fact hidden in filler text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

WORDS = (200, 400, 800)
DEPTHS = (0.1, 0.5, 0.9)

WHO = (
    "The baker",
    "Old Mr Quint",
    "A neighbour",
    "The postwoman",
    "The ferryman",
    "My aunt",
    "The new teacher",
    "A traveller",
    "The gardener",
    "Mrs Halloran",
)
DID = (
    "carried a basket of", "asked about", "painted a picture of", "told a long story about", "sold some", "looked everywhere for",
    "wrote a short note about", "forgot about", "dreamed of", "read a book about",
)  # fmt: skip
WHAT = (
    "wild plums",
    "the old clocks",
    "paper boats",
    "winter boots",
    "the grey geese",
    "garden chairs",
    "folk songs",
    "green glass",
    "the spring fair",
    "clay pots",
)
WHERE = (
    "by the harbour",
    "near the mill",
    "behind the church",
    "in the market hall",
    "at the edge of the wood",
    "on the bridge",
    "in the kitchen",
    "under the lime trees",
)
WHEN = (
    "before breakfast",
    "on a rainy afternoon",
    "all through the autumn",
    "late in the evening",
    "while the bells were ringing",
    "after the long frost",
    "as usual",
    "once again",
)
THINGS = (
    "the blue cabinet",
    "the boat shed",
    "the wine cellar",
    "the south gate",
    "the letter box",
    "the tool chest",
    "the bell tower",
    "the guest room",
    "the glass house",
)


def needle(seed: int = 1, size: int = 9) -> Iterator[Row]:
    """Filler text of 200, 400 or 800 words with one sentence that answers the question, at depth 0.1, 0.5 or 0.9.

    The filler holds no digits, so the four-digit code cannot be met by chance.

    Args:
        seed: of the draw.
        size: number of rows, at most 9 for distinct combinations of length and depth, which come in turn.

    Yields:
        id, words (of filler), depth (share of the filler before the fact), text, question, answer (four digits).
    """
    rng = random.Random(seed)
    things = rng.sample(THINGS, len(THINGS))
    for index in range(size):
        words, depth = WORDS[index // len(DEPTHS) % len(WORDS)], DEPTHS[index % len(DEPTHS)]
        thing, code = things[index % len(things)], str(rng.randint(1000, 9999))
        sentences = filler(rng, words)
        before = 0
        while len(" ".join(sentences[: before + 1]).split()) <= depth * words:
            before += 1
        sentences.insert(before, f"The code of {thing} is {code}.")
        yield {
            "id": f"words{words}-depth{depth}-{seed}-{index:03}",
            "words": words,
            "depth": depth,
            "text": " ".join(sentences),
            "question": f"What is the code of {thing}?",
            "answer": code,
        }


def filler(rng: random.Random, words: int) -> list[str]:
    """Sentences of about ten words, no two alike, `words` words in all (give or take one sentence)."""
    sentences: dict[str, None] = {}
    count = 0
    while count < words:
        sentence = f"{rng.choice(WHO)} {rng.choice(DID)} {rng.choice(WHAT)} {rng.choice(WHERE)} {rng.choice(WHEN)}."
        if sentence not in sentences:
            sentences[sentence] = None
            count += len(sentence.split())
    return list(sentences)
