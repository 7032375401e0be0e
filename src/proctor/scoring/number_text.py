"""Numbers as people and models write them, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

_INTEGER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_DECIMAL = rf"(?:(?:{_INTEGER})(?:\.\d+)?|(?<!\.)\.\d+)"
_NUMBER = re.compile(
    rf"""(?<!\w)(?<!\d\.)                                 # not inside a word or another number
    (?P<sign> (?<![\d)\]]) [-+−–] )?
    (?: \\?[$€£¥₹]\s? (?P<sign2> [-−] )? )?               # the currency goes, a sign after it stays
    (?: \\[dt]?frac\s*\{{(?P<top>-?\d+)\}}\s*\{{(?P<bottom>\d+)\}}
      | (?P<whole> \d{{1,3}} )[ ](?P<part> \d+/\d+ )(?!/?\d|\.\d)
      | (?<!/)(?P<over> {_INTEGER} )\s?/\s?(?P<under> \d+ )(?!/?\d|\.\d)
      | (?P<plain> {_DECIMAL} ) (?: (?:[eE]|\s?(?:\\times|×|x|\*)\s?10\^\{{?)(?P<power> [-+−]?\d{{1,3}} )(?!\d)\}}? )?
    )""",
    re.VERBOSE,
)
_LATEX_GAPS = re.compile(r"\\[,!;: ]|(?<=\d)\{,\}(?=\d)")
_LONGEST = 400  # digits; beyond that it is not an answer but noise, and exact arithmetic on it is slow


def find_number(text: str, which: Literal["first", "last"] = "last") -> str | None:
    """The first or last number in `text`, in plain spelling: `-1234.5`, `3/4`, `1.5e-3`; None where there is none.

    Understands thousands separators (`1,234`), signs (also −), currency before the number, decimals, fractions (`3/4`, `1 3/4`,
    `\\frac{3}{4}`), powers of ten (`2e5`, `2 × 10^5`). A percent sign and a unit are left out: `50%` is `50`. A date (`1/2/2024`) is
    no fraction, and a dash after a digit (`10-12`) or before a space no sign.
    """
    tidy = _LATEX_GAPS.sub(lambda m: "," if m[0] == "{,}" else "", text)
    found = [spelling for match in _NUMBER.finditer(tidy) if (spelling := _spell(match)) is not None]
    if not found:
        return None
    return found[0] if which == "first" else found[-1]


def read_number(value: object) -> Fraction | None:
    """The exact value of a number or of the last number in a text (see `find_number`); None where there is none.

    A float is read by its shortest decimal spelling, so that 0.1 equals the text "0.1".
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        try:
            return Fraction(repr(value))
        except ValueError:  # inf and nan
            return None
    if not isinstance(value, str):
        return None
    spelling = find_number(value)
    return _value(spelling) if spelling is not None else None


def _spell(match: re.Match[str]) -> str | None:
    minus = "-" if "-" in (sign := (match["sign"] or "") + (match["sign2"] or "")) or "−" in sign or "–" in sign else ""
    if match["top"] is not None:
        spelling = f"{match['top']}/{match['bottom']}"
    elif match["whole"] is not None:
        exact = _value(match["part"])
        if exact is None or len(match["whole"]) > _LONGEST:
            return None
        spelling = str(int(match["whole"]) + exact)
    elif match["over"] is not None:
        spelling = f"{match['over'].replace(',', '')}/{match['under']}"
    else:
        spelling = match["plain"].replace(",", "") + (f"e{match['power'].replace('−', '-')}" if match["power"] else "")
    spelling = spelling[1:] if minus and spelling.startswith("-") else minus + spelling
    return spelling if _value(spelling) is not None else None


@lru_cache(maxsize=4096)  # a fraction is made from text three times for each answer, at 6 µs each
def _value(spelling: str) -> Fraction | None:
    if len(spelling) > _LONGEST:
        return None
    try:
        return Fraction(spelling)
    except (ValueError, ZeroDivisionError):
        return None
