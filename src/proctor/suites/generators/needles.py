"""Needles in a haystack on a grid: how long the text is, where in it the fact stands, how the question is put."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from proctor.canonical import seeded
from proctor.errors import DataError, MissingExtra
from proctor.suites.generators.retrieval import THINGS, filler

Row = dict[str, Any]

# How the question is put; `{text}` and `{question}` are filled in.
WORDINGS = {
    "after": "{text}\n\n{question} Answer with {form} only.",
    "before": "Read the text and answer the question: {question}\n\n{text}\n\n{question} Answer with {form} only.",
    "quoted": (
        "The text between the lines is long; most of it does not matter.\n---\n{text}\n---\n"
        "Using only that text: {question} Answer with {form} only."
    ),
}
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
_LONGEST = 2_000_000  # units; a mistyped length should not fill the memory


def needle_grid(
    lengths: Sequence[int] = (200, 400, 800),
    depths: Sequence[float] = (0, 25, 50, 75, 100),
    wordings: Sequence[str] | Mapping[str, str] = ("after",),
    needles: int = 1,
    unit: str = "words",
    tokenizer: str = "",
    haystack: str | Sequence[str] = (),
    base: str = ".",
    seed: int = 1,
) -> Iterator[Row]:
    """One row for each length × depth × wording.

    A needle is a sentence with a four-digit code of a thing; the question asks for the code, or for the codes of several things. The text
    is cut to the length and the needle put between two sentences, where the share `depth` of the text lies before it. Of several needles
    the first stands there, and the others in equal steps from there to the end. All wordings of a length and depth share one text.

    Args:
        lengths: of the haystack, in `unit`, needles not counted.
        depths: percent of the haystack before the (first) needle.
        wordings: names of `WORDINGS`, or name to a text with `{text}`, `{question}` and possibly `{form}`.
        needles: facts in one text, at most 9.
        unit: `words` (by white space), `characters`, or `tokens` of `tokenizer`.
        tokenizer: a file `tokenizer.json`, whose tokens lengths are measured in.
        haystack: paths or globs of text files, in order; from the beginning again where they are too short. None: generated sentences
            without digits, no two alike.
        base: folder that paths start from.
        seed: of codes and generated sentences.

    Yields:
        id, length, depth, wording, needles, text (names what is shared), prompt, question, answers (the codes).

    Raises:
        DataError: an argument that cannot be, files that are not there.
    """
    texts = {name: WORDINGS.get(name, "") for name in wordings} if not isinstance(wordings, Mapping) else dict(wordings)
    _check(lengths, depths, texts, needles)
    count = _counter(unit, tokenizer, base)
    sentences = _sentences_of(haystack, base)
    for length in lengths:
        cut = _cut(sentences, length, unit, count, seed)
        for depth in depths:
            rng = random.Random(seeded("needles", seed, length, str(depth), needles))
            things = rng.sample(THINGS, needles)
            codes = rng.sample(range(1000, 10000), needles)
            facts = [f"The code of {thing} is {code}." for thing, code in zip(things, codes, strict=True)]
            text = " ".join(_with_facts(cut, facts, depth / 100, count))
            question = f"What is the code of {things[0]}?" if needles == 1 else f"What are the codes of {_listed(things)}?"
            form = "the code" if needles == 1 else "the codes"
            for name, wording in texts.items():
                yield {
                    "id": f"{unit}{length}-depth{depth:g}-{name}",
                    "length": length,
                    "depth": depth,
                    "wording": name,
                    "needles": needles,
                    "text": f"{unit}{length}-depth{depth:g}",
                    "prompt": wording.replace("{question}", question).replace("{form}", form).replace("{text}", text),
                    "question": question,
                    "answers": [str(code) for code in codes],
                }


def _check(lengths: Sequence[int], depths: Sequence[float], wordings: Mapping[str, str], needles: int) -> None:
    if not lengths or not all(isinstance(one, int) and 0 < one <= _LONGEST for one in lengths):
        raise DataError(f"lengths: expected whole numbers from 1 to {_LONGEST:,}, got {lengths!r}")
    if not depths or not all(isinstance(one, int | float) and 0 <= one <= 100 for one in depths):
        raise DataError(f"depths: expected percentages from 0 to 100, got {depths!r}")
    if not 1 <= needles <= len(THINGS):
        raise DataError(f"needles: expected 1 to {len(THINGS)}, got {needles}")
    for name, wording in wordings.items():
        if "{text}" not in wording or "{question}" not in wording:
            own = f"; those that come with Proctor: {', '.join(WORDINGS)}" if not wording else ""
            raise DataError(f"wordings: '{name}': expected a text with {{text}} and {{question}}{own}")


def _counter(unit: str, tokenizer: str, base: str) -> Callable[[str], int]:
    if unit == "words":
        return lambda text: len(text.split())
    if unit == "characters":
        return lambda text: len(text) + 1  # and the blank after it
    if unit != "tokens":
        raise DataError(f"unit: expected words, characters or tokens, got '{unit}'")
    path = Path(base) / tokenizer
    if not tokenizer or not path.is_file():
        raise DataError(f"tokenizer: expected a file tokenizer.json, got '{tokenizer}'")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("unit: tokens", "hf") from None
    encode = Tokenizer.from_file(str(path)).encode
    return lambda text: len(encode(f" {text}", add_special_tokens=False).ids)


def _sentences_of(haystack: str | Sequence[str], base: str) -> list[str]:
    """The sentences of the files; none where none are named."""
    found: list[str] = []
    for pattern in [haystack] if isinstance(haystack, str) else haystack:
        paths = sorted(Path(base).glob(pattern)) if not Path(pattern).is_absolute() else sorted(Path("/").glob(pattern[1:]))
        if not paths:
            raise DataError(f"haystack: no file matches '{pattern}' in {base}")
        for path in paths:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"haystack: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
            found += [" ".join(one.split()) for one in _SENTENCE.split(text) if one.strip()]
    if haystack and not found:
        raise DataError("haystack: the files hold no text")
    return found


def _cut(sentences: list[str], length: int, unit: str, count: Callable[[str], int], seed: int) -> list[str]:
    """As many sentences as make up the length; the last one ends where it is reached, by the word."""
    if not sentences:
        sentences = filler(random.Random(seeded("haystack", seed, length)), length if unit != "characters" else length // 4)
    taken: list[str] = []
    total = 0
    at = 0
    while total < length:
        sentence = sentences[at % len(sentences)]
        room = length - total
        while count(sentence) > room and " " in sentence:
            sentence = sentence.rpartition(" ")[0]
        if count(sentence) > room and taken:
            break
        taken.append(sentence)
        total += count(sentence)
        at += 1
    return taken


def _with_facts(sentences: list[str], facts: list[str], depth: float, count: Callable[[str], int]) -> list[str]:
    """The sentences with each fact where its share of the text lies before it, at the nearest boundary."""
    ends = [0]
    for sentence in sentences:
        ends.append(ends[-1] + count(sentence))
    step = (1 - depth) / len(facts)
    whole = list(sentences)
    for number, fact in reversed(list(enumerate(facts))):
        wanted = (depth + number * step) * ends[-1]
        whole.insert(min(range(len(ends)), key=lambda i: abs(ends[i] - wanted)), fact)
    return whole


def _listed(things: Sequence[str]) -> str:
    return f"{', '.join(things[:-1])} and {things[-1]}"
