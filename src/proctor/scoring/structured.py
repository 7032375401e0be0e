"""Answers and targets that hold several things: lists of labels, tags, spans, boxes; as JSON or as plain text."""

from __future__ import annotations

import json
import re
from typing import Any

from proctor.scoring.blocks import fenced_blocks

_SEPARATORS = re.compile(r"[,;|\n]")


def json_list(text: str) -> list[Any] | None:
    """The JSON list that a text is, that its first fenced block is, or that stands first in it; None where there is none."""
    for source in (text, *(body for _, body, _ in fenced_blocks(text))):
        try:
            value = json.loads(source)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list):
            return value
    decoder, start, tries = json.JSONDecoder(), text.find("["), 0
    while start >= 0 and tries < 100:  # brackets that open no list are rare; a text of nothing else is no answer
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start, tries = text.find("[", start + 1), tries + 1
            continue
        return value if isinstance(value, list) else None
    return None


def listed(value: Any) -> list[str]:
    """Labels: a list's texts; of a text its JSON list, else what commas, semicolons, bars and line ends separate. `none` alone is none."""
    found = json_list(value) if isinstance(value, str) else value
    if isinstance(found, list | tuple):
        return [str(one).strip() for one in found if str(one).strip()]
    texts = [part.strip() for part in _SEPARATORS.split(str(value)) if part.strip()]
    return [] if len(texts) == 1 and texts[0].casefold() in ("none", "-") else texts


def tokens(value: Any) -> list[str]:
    """One text for each token: of a list its texts; of a text its JSON list, else the pieces between white space."""
    found = json_list(value) if isinstance(value, str) and value.lstrip().startswith(("[", "`")) else value
    return [str(one) for one in found] if isinstance(found, list | tuple) else str(value).split()
