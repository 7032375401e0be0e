"""The harness's filters: steps from what a model said to what is scored.

A step takes, for each request of a document, the list of its answers (one for each repeat) and gives for each request what becomes of them:
a list again, or a single answer once one was taken. Answers are texts or, of likelihoods, pairs.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from proctor.errors import DataError

Answers = list[Any]
Step = Callable[[Answers, dict[str, Any]], Answers]

INVALID = "[invalid]"  # what a filter gives where it finds nothing
_GSM8K = r"#### (\-?[0-9\.\,]+)"
_TAGGED = re.compile(r"\('([^']*)', '([^']*)'\)")
_SPAN = re.compile(r"\b(PER|LOC|ORG|DATE):\s*([^$]+)")
_LABELS = {
    "person": "PER",
    "location": "LOC",
    "organization": "ORG",
    "counties": "LOC",
    "places": "LOC",
    "people": "PER",
    "persons": "PER",
    "company": "ORG",
    "country": "LOC",
    "continent": "LOC",
    "time": "DATE",
    "date": "DATE",
    "per": "PER",
    "loc": "LOC",
    "org": "ORG",
}


def _each(change: Callable[[Any], Any]) -> Step:
    return lambda answers, document: [[change(one) for one in of_request] for of_request in answers]


def _pick(found: list[Any], select: int) -> Any:
    """The chosen match; None where there are not so many. Of a pattern with groups the first group that matched something."""
    if not found or not -len(found) <= select < len(found):
        return None
    match = found[select]
    if isinstance(match, tuple):
        match = next(filter(None, match), None)
    return match


def regex(regex_pattern: str = _GSM8K, group_select: int = 0, fallback: Any = INVALID) -> Step:
    """The `group_select`th match of a pattern, stripped; `fallback` where nothing matches."""
    pattern = re.compile(regex_pattern)

    def change(answer: Any) -> Any:
        match = _pick(pattern.findall(answer if isinstance(answer, str) else ""), group_select)
        return fallback if match is None else match.strip()

    return _each(change)


def regex_pos(regex_pattern: str = "", group_select: int = 0, fallback: Any = None) -> Step:
    """The tags of a text of pairs `('word', 'TAG')`; the pattern plays no part, as in the harness."""
    nothing = ["invalid"] if fallback is None else fallback

    def change(answer: Any) -> Any:
        pairs = _TAGGED.findall(answer) if isinstance(answer, str) else answer
        return [tag for _, tag in pairs] or nothing

    return _each(change)


def multi_choice_regex(
    regex_pattern: str = _GSM8K,
    group_select: int = 0,
    fallback: Any = INVALID,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    regexes_to_ignore: list[str] | None = None,
) -> Step:
    """The letter of a choice, in brackets: by the pattern; else by the text of a choice of `choices`; else by a letter after a colon."""
    pattern = re.compile(regex_pattern)

    def cleaned(text: str) -> str:
        for one in regexes_to_ignore or ():
            text = re.sub(one, "", text)
        if ignore_case:
            text = text.lower()
        return text.translate(_punctuation()) if ignore_punctuation else text

    def find(one: re.Pattern[str], answer: Any, letters: dict[str, str]) -> str:
        match = _pick(one.findall(answer if isinstance(answer, str) else ""), group_select)
        match = "" if match is None else match.strip()
        return letters.get(match, match)

    def step(answers: Answers, document: dict[str, Any]) -> Answers:
        texts = [cleaned(choice.strip()) for choice in document["choices"]]
        names = [chr(ord("A") + position) for position in range(len(texts))]
        by_text = {text: f"({name})" for text, name in zip(texts, names, strict=True)}
        # The longest first, so that a choice that another begins with does not hide it.
        any_text = re.compile("|".join(sorted(map(re.escape, texts), key=len, reverse=True)))
        any_name = re.compile(rf":[\s]*({'|'.join(names)})")

        def change(answer: Any) -> Any:
            found = find(pattern, answer, {}) or find(any_text, cleaned(answer), by_text)
            return found or find(any_name, answer, {name: f"({name})" for name in names}) or fallback

        return [[change(one) for one in of_request] for of_request in answers]

    return step


@functools.lru_cache(maxsize=1)
def _punctuation() -> dict[int, None]:
    return dict.fromkeys(code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P"))


def remove_whitespace() -> Step:
    """Without white space at both ends."""
    return _each(lambda answer: answer.strip())


def lowercase() -> Step:
    """In lower case."""
    return _each(lambda answer: answer.lower())


def uppercase() -> Step:
    """In upper case."""
    return _each(lambda answer: answer.upper())


def map_(mapping_dict: dict[Any, Any] | None = None, default_value: Any = None) -> Step:
    """What a mapping has for the answer."""
    mapping = mapping_dict or {}
    return _each(lambda answer: mapping.get(answer, default_value))


def format_span() -> Step:
    """Named entities as `per: a $ loc: b`."""

    def change(answer: Any) -> str:
        text = answer.lower()
        for label, short in _LABELS.items():
            text = re.sub(rf"\b{re.escape(label)}\s*:", f"{short}:", text)
        text = text.replace("$$", "$").rstrip("$").replace("\n", "$").strip()
        entities = []
        for label, values in _SPAN.findall(text):
            named = (value.strip() for value in values.split(","))
            entities += [f"{label.lower()}: {value}" for value in named if value.lower() != "none"]
        return " $ ".join(entities)

    return _each(change)


def take_first() -> Step:
    """The first answer of each request, no longer a list."""
    return lambda answers, document: [of_request[0] for of_request in answers]


def take_first_k(k: int) -> Step:
    """The first k answers of each request."""

    def step(answers: Answers, document: dict[str, Any]) -> Answers:
        if len(answers[0]) < k:
            raise DataError(f"the filter take_first_k takes {k} answers of each request, and there are {len(answers[0])}; raise `repeats`")
        return [of_request[:k] for of_request in answers]

    return step


def majority_vote() -> Step:
    """A list of the most frequent answer alone; the first said of several."""
    return lambda answers, document: [[Counter(of_request).most_common(1)[0][0]] for of_request in answers]


def custom(filter_fn: Any) -> Step:
    """A function of the task's own, over lists of answers and of documents."""
    return of_function(filter_fn)


def of_function(function: Any) -> Step:
    """A function of the harness's form `f(resps, docs)` as a step."""
    return lambda answers, document: list(function(answers, [document] * len(answers)))


def of_class(cls: Any, options: dict[str, Any]) -> Step:
    """A filter class of the task's own."""
    return of_function(cls(**options).apply)


FILTERS: dict[str, Callable[..., Step]] = {
    "regex": regex,
    "regex_pos": regex_pos,
    "multi_choice_regex": multi_choice_regex,
    "remove_whitespace": remove_whitespace,
    "lowercase": lowercase,
    "uppercase": uppercase,
    "map": map_,
    "format_span": format_span,
    "take_first": take_first,
    "take_first_k": take_first_k,
    "majority_vote": majority_vote,
    "custom": custom,
}


def check_filter(name: str, options: dict[str, Any]) -> str | None:
    """What is wrong with a filter's options, or None."""
    try:
        inspect.signature(FILTERS[name]).bind(**options)
    except TypeError as error:
        return str(error)
    patterns = [options.get("regex_pattern"), *(options.get("regexes_to_ignore") or ())]
    for pattern in patterns:
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                return f"'{pattern}' is no regular expression: {error}"
    return None


def run(steps: Sequence[Step], answers: Answers, document: dict[str, Any]) -> Answers:
    """What becomes of a document's answers.

    Args:
        steps: of one pipeline.
        answers: for each request the list of its answers.
        document: the filters of multiple choice look at its `choices`.
    """
    for step in steps:
        answers = step(answers, document)
    return answers
