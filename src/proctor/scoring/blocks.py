"""Parts of a text with a form of their own: Markdown code blocks, Python without a fence, JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

# Possessive, so that a long line that is no fence after all is read once and not once for each of its characters.
_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^\n`]*+$", re.MULTILINE)
_BARE_CODE = re.compile(
    r"""\s*?(?: ^[ \t]+\S | (?:async\ )?def\s+\w+\s*\( | class\s+\w+\s*[(:] | import\s+\w | from\s+[\w.]+\s+import\b | @\w | \#\S?
        | (?:if|for|while|with|try|return)\b[^\n]*:?\s*$ | \w[\w.\[\]]*\s*=\s*\S )""",
    re.VERBOSE | re.MULTILINE,
)


def fenced_blocks(text: str) -> list[tuple[str, str, bool]]:
    """Markdown code blocks: (language in lower case or empty, body, whether the fence was closed)."""
    blocks: list[tuple[str, str, bool]] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1]) and not fence[2]:
            blocks.append((opened[2].casefold(), text[opened.end() + 1 : fence.start()].rstrip("\n"), True))
            opened = None
    if opened is not None:
        blocks.append((opened[2].casefold(), text[opened.end() + 1 :].rstrip("\n"), False))
    return blocks


def json_values(text: str) -> list[Any]:
    """The JSON objects and arrays in `text`, outermost only, objects first. The work is linear in the length of the text."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    for opening in "{", "[":
        effort = 20 * len(text) + 100_000  # characters read in vain: brackets that open and never close would take quadratic time
        position = text.find(opening)
        while position >= 0 and effort > 0:
            try:
                value, end = decoder.raw_decode(text, position)
                values.append(value)
            except json.JSONDecodeError as error:
                effort -= error.pos - position
                end = position + 1
            except (ValueError, RecursionError):  # an integer of thousands of digits; nesting deeper than anyone writes
                break
            position = text.find(opening, end)
    return values


def follow_path(value: Any, path: Sequence[str]) -> Any:
    """What stands in `value` at `path` (keys, and positions in arrays); None where it has no such place."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 6 and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def looks_like_python(text: str) -> bool:
    """Whether a text without fences begins like Python source, the indented body of a function included."""
    return "```" not in text and _BARE_CODE.match(text) is not None
