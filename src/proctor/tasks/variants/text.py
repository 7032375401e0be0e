"""Typos and casing: words written otherwise, and nothing that is not a word.

Only words of scripts with upper and lower case are touched, so that a "word" of Chinese or Arabic stays whole. Code, formulas, tags,
addresses, templates' parts, quoted words, and words with digits or stuck to other signs stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Literal

Case = Literal["lower", "upper"]

# What is left alone as a whole.
_CODE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\{\{.*?\}\}|\{%.*?%\}|\$\$.*?\$\$|\$[^$\n]+\$|\\\(.*?\\\)|\\\[.*?\\\]|<[^<>\n]+>|\"[^\"\n]*\"|(?<!\w)\w++://\S+"
    r"|^(?: {4}|\t|>>>|\.\.\.|(?:def|class|return|if|for|while|print)\b[^\n]*[:(=]|import \w[\w., ]*$|from \S+ import\b).*?$",
    re.DOTALL | re.MULTILINE,
)
# A word between spaces, with no more than a mark of punctuation after it.
_WORD = re.compile(r"(?<!\S)[^\W\d_]+(?=[,.;:!?]?(?:\s|\Z))")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORTEST = 4  # letters of a word that gets a typo; the first stays


def with_typos(text: str, share: float, rng: Random, keep: frozenset[str] = frozenset()) -> str:
    """`text` with a slip in about `share` of its words: two letters exchanged, or one replaced by its neighbour on a keyboard.

    Each word keeps its length, its first letter and its last, and never becomes empty of its letters' case.

    Args:
        text: any text.
        share: probability of a slip, of each word of four letters or more.
        rng: what is drawn.
        keep: words, casefolded, that stay as they are.
    """
    return _changed(text, keep, lambda word: _slip(word, rng) if len(word) >= _SHORTEST and rng.random() < share else word)


def in_case(text: str, case: Case, keep: frozenset[str] = frozenset()) -> str:
    """`text` with its words in lower or upper case; a word whose length that would change (ß) stays. Arguments as in `with_typos`."""

    def turned(word: str) -> str:
        other = word.lower() if case == "lower" else word.upper()
        return other if len(other) == len(word) else word

    return _changed(text, keep, turned)


def words_of(text: str) -> Iterator[str]:
    """The casefolded words of a text, whatever stands around them."""
    for match in re.finditer(r"[^\W\d_]+", text):
        yield match[0].casefold()


def _changed(text: str, keep: frozenset[str], change: object) -> str:
    assert callable(change)
    protected = [match.span() for match in _CODE.finditer(text)]
    parts, done, at = [], 0, 0
    for match in _WORD.finditer(text):
        while at < len(protected) and protected[at][1] <= match.start():
            at += 1
        inside = at < len(protected) and protected[at][0] < match.end()
        if inside or match[0].casefold() in keep or not all(letter.isupper() or letter.islower() for letter in match[0]):
            continue
        parts += [text[done : match.start()], change(match[0])]
        done = match.end()
    return "".join([*parts, text[done:]])


def _slip(word: str, rng: Random) -> str:
    """The word with one slip inside; itself where there is none to make ("aaaa")."""
    places = [at for at in range(1, len(word) - 2) if word[at] != word[at + 1]]
    neighbours = [(at, near) for at in range(1, len(word) - 1) for near in _near(word[at])]
    if places and (rng.random() < 0.5 or not neighbours):
        at = rng.choice(places)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if not neighbours:
        return word
    at, near = rng.choice(neighbours)
    return word[:at] + near + word[at + 1 :]


def _near(letter: str) -> list[str]:
    """The keys left and right of a letter, in its case."""
    for row in _ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            beside = [row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)]
            return [one.upper() if letter.isupper() else one for one in beside]
    return []
