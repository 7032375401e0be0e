"""Finding the answer in a response: a list of ways tried in order, the first that finds something wins.

Written in a task file as names, or `{name: argument}`::

    extract:
      - {regex: 'answer is (\\S+)'}
      - number

An answer that is *stated* (announced, boxed, in a closed code block) stands even where the text was cut off after it. One that is what
it is only because nothing follows (the last number, the whole text) needs the text's end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from proctor.canonical import canonical_json
from proctor.errors import TaskError, nearest
from proctor.scoring.base import Extraction
from proctor.scoring.blocks import fenced_blocks, follow_path, json_values, looks_like_python
from proctor.scoring.letters import find_letter
from proctor.scoring.number_text import find_number
from proctor.scoring.text_signs import looks_refused as looks_refused
from proctor.scoring.text_signs import strip_thinking as strip_thinking
from proctor.types import Item

VERSION = 3  # raised when the same text would give another answer; part of the protocol hash

Way = Callable[[str, Item], Extraction]
NOTHING = Extraction(None)
# A box may be written \\boxed, as in a JSON string: the first backslash does not escape the second there.
_BOXES_AND_BRACES = re.compile(r"\\(?:boxed|fbox)\s*+(?P<box>\{)|\\(?!\\(?:boxed|fbox)).|[{}]", re.DOTALL)


class Extractor:
    """Ways to find an answer, checked and ready.

    Attributes:
        spec: the ways as canonical JSON values, `[name, argument]` each; part of the protocol.
    """

    def __init__(self, spec: list[list[Any]], ways: list[Way]) -> None:
        self.spec = spec
        self._ways = ways

    def __call__(self, text: str, item: Item) -> Extraction:
        """The answer in `text`; `Extraction(None)` where no way finds one."""
        for way in self._ways:
            found = way(text, item)
            if found.answer is not None:
                return found
        return NOTHING

    def __str__(self) -> str:
        return ", ".join(name for name, _ in self.spec)


def compile_extract(spec: Sequence[Any], default: Sequence[Any] = ("text",), where: str = "scoring.extract") -> Extractor:
    """Check a list of ways and make it callable.

    Args:
        spec: names, or one-key mappings `{name: argument}`; empty for `default`.
        default: used when `spec` is empty.
        where: the file and key, for messages.

    Raises:
        TaskError: unknown name, wrong argument, or a pattern that does not compile.
    """
    normal: list[list[Any]] = []
    ways: list[Way] = []
    for entry in spec or default:
        if isinstance(entry, str):
            name, argument = entry, None
        elif isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str):
            name, argument = next(iter(entry.items()))
        else:
            raise TaskError(f"{where}: expected a name or {{name: argument}}, found {entry!r}")
        if name not in WAYS:
            raise TaskError(f"{where}: no way to extract is called '{name}'{nearest(name, WAYS) or ';'} there are: {', '.join(WAYS)}")
        try:
            ways.append(WAYS[name](argument))
        except ValueError as error:
            raise TaskError(f"{where}: {name}: {error}") from None
        normal.append([name, argument])
    return Extractor(normal, ways)


# --- the ways; each maker takes the argument (None where none is given) and raises ValueError for a wrong one ---


def _text(argument: Any) -> Way:
    """The whole text, stripped."""
    _no_argument(argument)
    return lambda text, item: Extraction(text.strip(), needs_end=True) if text.strip() else NOTHING


def _whole(argument: Any) -> Way:
    """The whole text as it is, white space at its ends included: for answers whose form is scored."""
    _no_argument(argument)
    return lambda text, item: Extraction(text, needs_end=True) if text.strip() else NOTHING


def _first_line(argument: Any) -> Way:
    """The first line that is not blank, stripped."""
    _no_argument(argument)

    def way(text: str, item: Item) -> Extraction:
        line, newline, _ = text.lstrip().partition("\n")
        return Extraction(line.strip(), needs_end=not newline) if line.strip() else NOTHING

    return way


def _regex(argument: Any) -> Way:
    """What a Python regular expression matches: a pattern, or `{pattern, group, which}`.

    `group` defaults to the first group that took part in the match, else the whole match. `which` is `first` (default: what was found first
    does not change with what the model rambles on to say) or `last`. Patterns run in Python's own engine, which cannot be
    interrupted: write nested repetition with possessive quantifiers (`a++`) or atomic groups (`(?>…)`).
    """
    options = _options(argument, {"pattern": str, "group": (int, str), "which": str}, "pattern")
    which, group = options.get("which", "first"), options.get("group")
    if which not in ("first", "last"):
        raise ValueError(f"'which' must be first or last, not {which!r}")
    try:
        pattern = re.compile(options["pattern"], re.MULTILINE)
    except re.error as error:
        raise ValueError(f"the pattern {options['pattern']!r} does not compile: {error}") from None
    if group is not None and (group > pattern.groups or group < 0 if isinstance(group, int) else group not in pattern.groupindex):
        raise ValueError(f"the pattern {options['pattern']!r} has no group {group!r}")

    def way(text: str, item: Item) -> Extraction:
        last: re.Match[str] | None = None
        for last in pattern.finditer(text):  # noqa: B007 - the loop is only to reach the last match
            if which == "first":
                break
        if last is None:
            return NOTHING
        if group is not None:
            answer = last[group]
        else:
            answer = next((part for part in last.groups() if part is not None), last[0])
        if answer is None or not answer.strip():
            return NOTHING
        return Extraction(answer.strip(), needs_end=which == "last" or last.end() == len(text))

    return way


def _letter(argument: Any) -> Way:
    """The letter of a choice; the argument says how many letters there are where the item does not list its choices."""
    if argument is not None and (not isinstance(argument, int) or isinstance(argument, bool) or not 2 <= argument <= 26):
        raise ValueError(f"expected the number of choices, 2 to 26, not {argument!r}")
    return lambda text, item: find_letter(text, item.choices, argument)


def _number(argument: Any) -> Way:
    """The last number (argument `first`: the first), in plain spelling."""
    if argument not in (None, "first", "last"):
        raise ValueError(f"expected first or last, not {argument!r}")

    def way(text: str, item: Item) -> Extraction:
        found = find_number(text, "first" if argument == "first" else "last")
        return Extraction(found, needs_end=argument != "first") if found is not None else NOTHING

    return way


def _json(argument: Any) -> Way:
    """A value of the first JSON object that has it: a path such as `answer` or `result.0.name`; without one the whole object.

    Objects in fenced blocks come first, then those anywhere in the text. A text is given as it is, anything else as JSON.
    """
    if argument is not None and not isinstance(argument, str | int):
        raise ValueError(f"expected a path such as result.answer, not {argument!r}")
    path = [] if argument is None else str(argument).split(".")

    def way(text: str, item: Item) -> Extraction:
        sources = [body for _, body, _ in fenced_blocks(text)]
        for source in [*sources, text]:
            for value in json_values(source):
                found = follow_path(value, path)
                if found is not None:
                    return Extraction(found if isinstance(found, str) else canonical_json(found).decode())
        return NOTHING

    return way


def _code(argument: Any) -> Way:
    """A fenced code block: the first, or `{language, which}`; without a fence the whole text where it looks like Python.

    A block without a language counts where none has the language asked for. The block is kept as it is, indentation included.
    """
    options = _options(argument, {"language": str, "which": str}, "language") if argument is not None else {}
    which, language = options.get("which", "first"), options.get("language", "").casefold()
    if which not in ("first", "last"):
        raise ValueError(f"'which' must be first or last, not {which!r}")
    same = {"python", "python3", "py"} if language in ("python", "python3", "py") else {language}

    def way(text: str, item: Item) -> Extraction:
        blocks = [block for block in fenced_blocks(text) if block[1].strip()]
        if language:
            blocks = [block for block in blocks if block[0] in same] or [block for block in blocks if not block[0]]
        if blocks:
            _, body, closed = blocks[0 if which == "first" else -1]
            return Extraction(body, needs_end=not closed)
        if looks_like_python(text):
            return Extraction(text.rstrip(), needs_end=True)
        return NOTHING

    return way


def _boxed(argument: Any) -> Way:
    """What the last `\\boxed{…}` (or `\\fbox{…}`) with balanced braces holds."""
    _no_argument(argument)

    def way(text: str, item: Item) -> Extraction:
        opened: list[int] = []  # for every brace that is open, where its box's content begins; -1 where it is no box
        last, answer = -1, ""
        for match in _BOXES_AND_BRACES.finditer(text):
            if match["box"]:
                opened.append(match.end())
            elif match[0] == "{":
                opened.append(-1)
            elif match[0] == "}" and opened:
                start = opened.pop()
                content = text[start : match.start()].strip() if start > last else ""
                if content:
                    last, answer = start, content
        return Extraction(answer) if answer else NOTHING

    return way


WAYS: dict[str, Callable[[Any], Way]] = {
    "text": _text,
    "whole": _whole,
    "first_line": _first_line,
    "regex": _regex,
    "letter": _letter,
    "number": _number,
    "json": _json,
    "code": _code,
    "boxed": _boxed,
}


def _no_argument(argument: Any) -> None:
    if argument is not None:
        raise ValueError(f"takes no argument, found {argument!r}")


def _options(argument: Any, kinds: dict[str, Any], main: str) -> dict[str, Any]:
    """`argument` as a mapping checked against `kinds`; a bare text is the value of `main`."""
    options = {main: argument} if isinstance(argument, str) else argument
    if not isinstance(options, dict):
        raise ValueError(f"expected {main} or a mapping with {', '.join(kinds)}; found {argument!r}")
    for key, value in options.items():
        if key not in kinds:
            raise ValueError(f"no option '{key}'{nearest(str(key), kinds) or ';'} there are: {', '.join(kinds)}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise ValueError(f"'{key}' cannot be {value!r}")
    if main == "pattern" and main not in options:
        raise ValueError("needs a pattern")
    return options
