"""Other formats of a prompt: its separators, spacing, casing of descriptors and the way options are lettered, as FormatSpread has them.

Sclar et al. 2024, "Quantifying language models' sensitivity to spurious features in prompt design", draw formats from a grammar of
descriptors ("Question"), separators (": "), spaces between fields, casings, and items of an enumeration ("A.", "(A)"). Here the same is
done to a template: its words and what they mean stay, and every Jinja part.
"""

from __future__ import annotations

import re
from random import Random

from proctor.tasks.spec import PromptSpec

_PARTS = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", re.DOTALL)
_DESCRIPTOR = re.compile(r"^([^\W\d_][^\W\d_ ]*(?: [^\W\d_]+){0,2})(:)([ \t]*)(?=\n|\Z|(?=\S))", re.MULTILINE)
SEPARATORS = (": ", ":: ", " - ", ":\n", " : ", " | ", ":\t", " = ", ":  ")
CASINGS = ("as it is", "upper", "lower")
BLANKS = ("\n", "\n\n", "\n\n\n", "\n-----\n")
OPTIONS = (
    "{{ letter }}. {{ choice }}",
    "({{ letter }}) {{ choice }}",
    "{{ letter }}) {{ choice }}",
    "[{{ letter }}] {{ choice }}",
    "{{ letter }}: {{ choice }}",
    "{{ letter }} - {{ choice }}",
)
HEADS = ("Question", "Task", "Input")


def other_format(prompt: PromptSpec, rng: Random) -> dict[str, str]:
    """The keys of `prompt` that differ in another format of it; never none.

    Args:
        prompt: the prompt as it is.
        rng: what is drawn: formats are equally likely, the prompt's own excepted.
    """
    for _ in range(100):
        changed = _drawn(prompt, rng)
        if changed:
            return changed
    return {"template": f"{HEADS[0]}: {prompt.template}"}


def _drawn(prompt: PromptSpec, rng: Random) -> dict[str, str]:
    separator, casing, blank = rng.choice(SEPARATORS), rng.choice(CASINGS), rng.choice(BLANKS)
    option = rng.choice(OPTIONS)
    pieces = _PARTS.split(prompt.template)
    literal = pieces[::2]
    described = any(_DESCRIPTOR.search(text) for text in literal)

    def restyled(text: str) -> str:
        text = re.sub(r"\n{2,}", lambda _: blank, text)
        return _DESCRIPTOR.sub(lambda match: _cased(match[1], casing) + _joined(separator, text[match.end() : match.end() + 1]), text)

    pieces[::2] = [restyled(text) for text in literal]
    template = "".join(pieces)
    if not described:
        template = f"{_cased(rng.choice(HEADS), casing)}{separator}{template}"
    changed = {"template": template} if template != prompt.template else {}
    if re.search(r"\boptions\b", prompt.template) and option != prompt.option:
        changed["option"] = option
    return changed


def _joined(separator: str, following: str) -> str:
    """The separator, without white space at its end where a line ends there already."""
    return separator.rstrip() if following == "\n" else separator


def _cased(text: str, casing: str) -> str:
    return text.upper() if casing == "upper" else text.lower() if casing == "lower" else text
