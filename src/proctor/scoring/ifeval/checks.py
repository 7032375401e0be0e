"""The 25 kinds of instruction of IFEval, each a function of an answer and the instruction's arguments.

Written anew after the definitions of the authors' `instruction_following_eval` (google-research, Apache-2.0), its quirks included: what
counts as a bullet, that keywords are regular expressions, that a divider at either end bounds no empty paragraph. Where the authors' code
draws at random (a letter that is none of a to z) what the prompt says holds. Names of arguments are those of the data.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable
from functools import cache, lru_cache
from inspect import signature
from typing import Any, Literal

import msgspec

from proctor.errors import nearest
from proctor.scoring.ifeval import languages

Relation = Literal["less than", "at least"]


def _compares(number: int, relation: Relation, threshold: int) -> bool:
    return number < threshold if relation == "less than" else number >= threshold


@lru_cache(maxsize=4096)
def _pattern(text: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    """`text` as a regular expression, as the authors read keywords; as itself where it is none (`:(`)."""
    try:
        return re.compile(text, flags)
    except re.error:
        return re.compile(re.escape(text), flags)


# --- keywords ---


def keywords_existence(text: str, *, keywords: list[str]) -> bool:
    """Every keyword occurs, also inside words, any case."""
    return all(_pattern(keyword).search(text) for keyword in keywords)


def keywords_frequency(text: str, *, keyword: str, frequency: int, relation: Relation) -> bool:
    """The keyword occurs so often, also inside words, any case."""
    return _compares(len(_pattern(keyword.strip()).findall(text)), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: list[str]) -> bool:
    """None of the words occurs as a whole word, any case."""
    return not any(_pattern(rf"\b{word}\b").search(text) for word in forbidden_words)


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: Relation) -> bool:
    """The letter (or other character) occurs so often, any case."""
    return _compares(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


# --- language ---


def response_language(text: str, *, language: str) -> bool:
    """The whole text is in the language, by its ISO 639-1 code; kept where nothing can be told."""
    return languages.detect(text) in (language, None)


def english_capital(text: str) -> bool:
    """English, without a lower-case letter."""
    return text.isupper() and languages.detect(text) in ("en", None)


def english_lowercase(text: str) -> bool:
    """English, without an upper-case letter."""
    return text.islower() and languages.detect(text) in ("en", None)


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: Relation) -> bool:
    """So many words are all in capitals."""
    return _compares(languages.capital_words(text), capital_relation, capital_frequency)


# --- length ---


def number_sentences(text: str, *, num_sentences: int, relation: Relation, by_language: bool = False) -> bool:
    """So many sentences."""
    return _compares(languages.sentence_count(text, by_language), relation, num_sentences)


def number_words(text: str, *, num_words: int, relation: Relation, by_language: bool = False) -> bool:
    """So many words: runs of letters, digits and underscores."""
    return _compares(languages.word_count(text, by_language), relation, num_words)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs between dividers `***`; one at either end bounds nothing, an empty one between two fails."""
    parts = re.split(r"\s?\*\*\*\s?", text)
    if not all(part.strip() for part in parts[1:-1]):
        return False
    return sum(1 for part in parts if part.strip()) == num_paragraphs


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs between blank lines, and the n-th of them (from 1) begins with the word, any case."""
    parts = re.split(r"\n\n", text)
    count = sum(1 for part in parts if part.strip())
    if nth_paragraph > count or not parts[nth_paragraph - 1].strip():
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return count == num_paragraphs and re.split(r"[.,?!'\"]", word)[0].lower() == first_word.lower()


# --- content and form ---


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """At least so many placeholders in square brackets."""
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """A postscript that begins with the marker, any case, with or without spaces after its dots."""
    marker = postscript_marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return _pattern(known.get(marker, marker.lower()), re.MULTILINE).search(text.lower()) is not None


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    """Exactly so many lines that begin with `*` (a second one does not follow) or `-`."""
    # The authors' `^\s*` may begin lines earlier, which finds the same bullets, but takes the square of the number of empty lines.
    stars = re.findall(r"^[^\S\n]*\*[^\*].*$", text, re.MULTILINE)
    return len(stars) + len(re.findall(r"^[^\S\n]*-.*$", text, re.MULTILINE)) == num_bullets


def constrained_response(text: str) -> bool:
    """Holds "My answer is yes.", "My answer is no." or "My answer is maybe."."""
    return any(f"My answer is {answer}." in text for answer in ("yes", "no", "maybe"))


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    """At least so many stretches *highlighted* or **highlighted** on one line, with something in them.

    A doubly starred stretch is found twice where the single stars of it and a neighbour enclose text, as in the authors' code.
    """
    single = [found.strip("*").strip() for found in re.findall(r"\*[^\n\*]*\*", text)]
    double = [found.removeprefix("**").removesuffix("**").strip() for found in re.findall(r"\*\*[^\n\*]*\*\*", text)]
    return sum(map(bool, single + double)) >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many sections, each opened by the splitter and a number."""
    return len(_pattern(rf"\s?{section_spliter.strip()}\s?\d+\s?", 0).findall(text)) >= num_sections


def json_format(text: str) -> bool:
    """The whole text is JSON; one fence around it is allowed."""
    text = text.strip()
    for opening in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(opening)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A title in double angular brackets, <<like this>>, on one line."""
    return any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))


# --- combinations, beginning and end, punctuation ---


def two_responses(text: str) -> bool:
    """Two different answers with six stars between them; stars at either end bound nothing."""
    parts = text.split("******")
    if not all(part.strip() for part in parts[1:-1]):
        return False
    answers = [part.strip() for part in parts if part.strip()]
    return len(answers) == 2 and answers[0] != answers[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """Begins with the request, word for word, any case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, *, end_phrase: str) -> bool:
    """Ends with the phrase, any case; quotation marks around the whole are set aside."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(text: str, *, by_language: bool = False) -> bool:
    """The whole text stands in double quotation marks; with `by_language` also in those of Chinese and Japanese."""
    text = text.strip()
    return len(text) > 1 and text[0] + text[-1] in ('""', "“”", "「」")[: 3 if by_language else 1]


def no_comma(text: str) -> bool:
    """No comma."""
    return "," not in text


CHECKS: dict[str, Callable[..., bool]] = {
    "keywords:existence": keywords_existence,
    "keywords:frequency": keywords_frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
_BY_LANGUAGE = {name for name, check in CHECKS.items() if "by_language" in signature(check).parameters}


def kept(text: str, kind: str, arguments: dict[str, Any], by_language: bool = False) -> bool:
    """Whether `text` keeps an instruction that `complaint` has none about. An empty text keeps none."""
    if not text.strip():
        return False
    given = {key: value for key, value in arguments.items() if value is not None}
    return CHECKS[kind](text, **given, **({"by_language": True} if by_language and kind in _BY_LANGUAGE else {}))


def variants(text: str) -> list[str]:
    """What "loose" tries: `text` and `text` without its first line, its last line or both, each also without asterisks."""
    lines = text.split("\n")
    cut = [text, "\n".join(lines[1:]).strip(), "\n".join(lines[:-1]).strip(), "\n".join(lines[1:-1]).strip()]
    return list(dict.fromkeys([*cut, *(one.replace("*", "") for one in cut)]))


@cache
def _parameters(kind: str) -> dict[str, Any]:
    """Argument name -> type of a kind; all must be given."""
    hints = typing.get_type_hints(CHECKS[kind])
    return {name: hint for name, hint in hints.items() if name not in ("text", "by_language", "return")}


def complaint(kind: Any, arguments: Any) -> str | None:
    """What is wrong with an instruction of a data set, or None."""
    if not isinstance(kind, str) or kind not in CHECKS:
        return f"no kind of instruction '{kind}'{nearest(str(kind), CHECKS) or ';'} there are: {', '.join(CHECKS)}"
    if not isinstance(arguments, dict):
        return f"{kind}: its arguments must be a mapping, not {arguments!r}"
    parameters = _parameters(kind)
    for key, value in arguments.items():
        if value is None:  # the hub's Parquet gives every key that any item has
            continue
        if key not in parameters:
            return f"{kind} has no argument '{key}'{nearest(str(key), parameters) or ';'} it takes: {', '.join(parameters) or 'none'}"
        try:
            msgspec.convert(value, parameters[key])
        except msgspec.ValidationError as error:
            return f"{kind}.{key}: {error}"
    missing = [name for name in parameters if arguments.get(name) is None]
    return f"{kind} needs {', '.join(missing)}" if missing else None
