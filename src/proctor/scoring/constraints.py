"""Instruction following: constraints on the form of an answer that a program can check."""

from __future__ import annotations

import json
import re
import typing
import unicodedata
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import msgspec

from proctor.errors import DataError, nearest
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.blocks import fenced_blocks
from proctor.types import Item, Response


class Constraints(Scorer):
    """Whether an answer keeps the constraints its item lists: `all` (1 only if every one is kept) and `share` (the share kept).

    The target is a list of `{kind, arguments…}`, such as `{kind: max_words, count: 50}`. Counts are inclusive. Words are runs of letters,
    digits and inner apostrophes or hyphens; in scripts that write no spaces they are long, count characters there. Paragraphs are
    separated by blank lines, sentences end in . ! ? … or their full-width forms followed by white space or the end; "e.g. so" therefore
    counts as an end. After the idea of IFEval (Zhou et al. 2023), with definitions of our own: not for comparison with its numbers.
    """

    name = "constraints"
    metrics = (Metric("all"), Metric("share"))

    def check(self, item: Item) -> str | None:
        if not isinstance(item.target, list | tuple) or not item.target:
            return f"the target must be a list of constraints {{kind, …}}, not {item.target!r}"
        for number, constraint in enumerate(item.target, 1):
            complaint = _complaint(constraint)
            if complaint:
                return f"constraint {number}: {complaint}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        broken = [constraint for constraint in item.target if not follows(answer, constraint)]
        values = {"all": float(not broken), "share": 1 - len(broken) / len(item.target)}
        return Measured(values, f"broken: {'; '.join(map(_described, broken))}" if broken else "")


def follows(text: str, constraint: dict[str, Any]) -> bool:
    """Whether `text` keeps one constraint `{kind, arguments…}` that `Constraints.check` accepts."""
    return KINDS[constraint["kind"]](text, **{key: value for key, value in constraint.items() if key != "kind"})


def _described(constraint: dict[str, Any]) -> str:
    arguments = ", ".join(f"{key}={value!r}" for key, value in constraint.items() if key != "kind")
    return f"{constraint['kind']}({arguments})"


def _complaint(constraint: Any) -> str | None:
    if not isinstance(constraint, dict) or not isinstance(constraint.get("kind"), str):
        return f"expected {{kind, …}}, found {constraint!r}"
    kind = constraint["kind"]
    if kind not in KINDS:
        return f"no kind '{kind}'{nearest(kind, KINDS) or ';'} there are: {', '.join(KINDS)}"
    parameters = dict(list(signature(KINDS[kind]).parameters.items())[1:])
    hints = typing.get_type_hints(KINDS[kind])
    for key, value in constraint.items():
        if key == "kind":
            continue
        if key not in parameters:
            return f"{kind} has no argument '{key}'{nearest(str(key), parameters) or ';'} it takes: {', '.join(parameters) or 'none'}"
        try:
            msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            return f"{kind}.{key}: {error}"
    missing = [key for key, parameter in parameters.items() if parameter.default is Parameter.empty and key not in constraint]
    if missing:
        return f"{kind} needs {', '.join(missing)}"
    if kind in _RANGED and not {"at_least", "at_most"} & set(constraint):
        return f"{kind} needs at_least or at_most"
    if kind == "script" and (name := constraint["name"]).upper() not in _SCRIPTS:
        return f"script.name: no script '{name}'{nearest(name.upper(), _SCRIPTS) or ';'} there are: {', '.join(_SCRIPTS)}"
    return None


# --- the kinds: first the text, then what the task file gives ---


def _within(number: int, at_least: int | None, at_most: int | None) -> bool:
    return (at_least is None or number >= at_least) and (at_most is None or number <= at_most)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’\-]\w+)*", text)


def min_words(text: str, count: int) -> bool:
    """At least `count` words."""
    return len(_words(text)) >= count


def max_words(text: str, count: int) -> bool:
    """At most `count` words."""
    return len(_words(text)) <= count


def sentences(text: str, at_least: int | None = None, at_most: int | None = None) -> bool:
    """As many sentences as given."""
    # A text that does not end in a full stop ends in a sentence all the same; list markers ("1.") are none.
    parts = re.split(r"(?<=[.!?…])[\"'”’)*]*(?:\s+|$)|(?<=[。！？])", re.sub(r"^\s*\d+[.)]\s+", "", text, flags=re.MULTILINE))
    return _within(sum(1 for part in parts if part and re.search(r"\w", part)), at_least, at_most)


def paragraphs(text: str, at_least: int | None = None, at_most: int | None = None) -> bool:
    """As many blocks between blank lines as given."""
    return _within(sum(1 for part in re.split(r"\n\s*\n", text) if part.strip()), at_least, at_most)


def bullets(text: str, at_least: int | None = None, at_most: int | None = None) -> bool:
    """As many lines that begin with `-`, `*`, `+` or `•` as given."""
    return _within(len(re.findall(r"^[ \t]*[-*+•][ \t]+\S", text, re.MULTILINE)), at_least, at_most)


def numbered_list(text: str, at_least: int | None = None, at_most: int | None = None) -> bool:
    """As many lines numbered `1.` or `1)` as given, counting up from 1."""
    numbers = [int(found) for found in re.findall(r"^[ \t]*(\d{1,4})[.)][ \t]+\S", text, re.MULTILINE)]
    return numbers == list(range(1, len(numbers) + 1)) and _within(len(numbers), at_least, at_most)


def lowercase(text: str) -> bool:
    """No upper-case letter."""
    return not any(char.isupper() for char in text)


def uppercase(text: str) -> bool:
    """No lower-case letter."""
    return not any(char.islower() for char in text)


def contains(text: str, word: str, times: int = 1) -> bool:
    """The word or phrase at least `times` times, whole, any case."""
    return _occurrences(text, word) >= times


def excludes(text: str, words: str | list[str]) -> bool:
    """None of the words or phrases, whole, any case."""
    return not any(_occurrences(text, word) for word in ([words] if isinstance(words, str) else words))


def _occurrences(text: str, word: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))


def starts_with(text: str, prefix: str) -> bool:
    """Begins with exactly this, white space aside."""
    return text.lstrip().startswith(prefix)


def ends_with(text: str, suffix: str) -> bool:
    """Ends with exactly this, white space aside."""
    return text.rstrip().endswith(suffix)


def is_json(text: str) -> bool:
    """The whole answer is JSON; one fenced code block around it is allowed."""
    blocks = fenced_blocks(text.strip())
    whole = len(blocks) == 1 and blocks[0][2] and text.strip().startswith("```") and text.strip().endswith("```")
    try:
        json.loads(blocks[0][1] if whole else text)
    except (ValueError, RecursionError):
        return False
    return True


def no_commas(text: str) -> bool:
    """No comma, full-width and Arabic ones included."""
    return not set(text) & set(",，、،")


def quoted(text: str) -> bool:
    """The whole answer in double quotation marks."""
    inner = text.strip()
    return len(inner) > 1 and (inner[0], inner[-1]) in {('"', '"'), ("“", "”"), ("„", "“"), ("«", "»")}


def title(text: str) -> bool:
    """A title in double angle brackets, <<like this>>, on one line."""
    return re.search(r"<<[^<>\n]*[^<>\s][^<>\n]*>>", text) is not None


_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "THAI", "HAN", "KANA", "HANGUL")
_SCRIPT_NAMES = {"HAN": ("CJK",), "KANA": ("HIRAGANA", "KATAKANA", "CJK")}


def script(text: str, name: str, share: float = 0.9) -> bool:
    """At least `share` of the letters belong to the writing system `name`; Japanese is `kana`, which takes in Han characters."""
    letters = [char for char in text if char.isalpha()]
    starts = _SCRIPT_NAMES.get(name.upper(), (name.upper(),))
    belonging = sum(unicodedata.name(char, "").startswith(starts) for char in letters)
    return bool(letters) and belonging >= share * len(letters)


KINDS: dict[str, Callable[..., bool]] = {
    "min_words": min_words,
    "max_words": max_words,
    "sentences": sentences,
    "paragraphs": paragraphs,
    "bullets": bullets,
    "numbered_list": numbered_list,
    "lowercase": lowercase,
    "uppercase": uppercase,
    "contains": contains,
    "excludes": excludes,
    "starts_with": starts_with,
    "ends_with": ends_with,
    "json": is_json,
    "no_commas": no_commas,
    "quoted": quoted,
    "title": title,
    "script": script,
}
_RANGED = {"sentences", "paragraphs", "bullets", "numbered_list"}
