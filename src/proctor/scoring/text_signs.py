"""What a response is besides its answer: a model's thinking, and refusals."""

from __future__ import annotations

import re

_TAGS = r"think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_TAG = re.compile(rf"<(?P<close>/?)(?P<name>{_TAGS})>|\[(?P<close2>/?)(?P<name2>THINK)\]", re.IGNORECASE)

_SORRY = (
    r"(?:(?:i'm|i am|we're|we are)\s+(?:very\s+|so\s+|really\s+)?(?:sorry|afraid)"
    r"|sorry|apologies|my apologies|i apologi[sz]e|unfortunately)"
)
_UNABLE = (
    r"i\s*(?:cannot|can't|can\s+not|won't|will\s+not|am\s+unable\s+to|'m\s+unable\s+to|am\s+not\s+able\s+to|'m\s+not\s+able\s+to"
    r"|do\s+not\s+feel\s+comfortable|don't\s+feel\s+comfortable|must\s+decline|have\s+to\s+decline|decline\s+to)"
)
_HELPING = (
    r"(?:be\s+able\s+to\s+)?(?:\w+ly\s+)?(?:help|assist|provide|answer|comply|fulfil|fulfill|support|engage|participate|discuss|share|generate"
    r"|create|write|produce|give|offer|do\s+that|continue|respond|complete)"
)
_REFUSAL = re.compile(
    rf"""(?: {_SORRY}[,.!]?\s+(?:but\s+)?(?:(?:as\s+an?\s+ai[\w\s]{{0,30}},\s*)?{_UNABLE}\b)
        | {_UNABLE}\s+{_HELPING}\b
        | as\s+an\s+(?:ai|artificial\s+intelligence)[\w\s]{{0,30}},\s*{_UNABLE}\b )""",
    re.IGNORECASE | re.VERBOSE,
)


def strip_thinking(text: str) -> str | None:
    """`text` without the model's thinking: `<think>…</think>`, `<thinking>`, `<reasoning>`, `[THINK]…[/THINK]` and the like, any case.

    A closing tag without an opening one (the chat template had opened it) ends thinking that began with the text. Linear in the
    length of the text.

    Returns:
        What is left, stripped where something was removed; None where thinking never ended: then there is no answer.
    """
    if not _TAG.search(text):
        return text
    kept: list[str] = []
    opened: list[str] = []
    position = 0
    for tag in _TAG.finditer(text):
        name = (tag["name"] or tag["name2"]).casefold()
        if not (tag["close"] or tag["close2"]):
            if not opened:
                kept.append(text[position : tag.start()])
            opened.append(name)
        elif not opened:
            kept.clear()
            position = tag.end()
        elif name in opened:
            while opened.pop() != name:
                pass
            position = tag.end()
    if opened:
        return None
    kept.append(text[position:])
    return "".join(kept).strip()


def looks_refused(text: str) -> bool:
    """Whether `text` opens like a refusal ("I'm sorry, but I can't …"). Conservative: asked only when no answer was found."""
    opening = text.lstrip(" \t\n*_\"'").replace("’", "'")[:300]
    return _REFUSAL.match(opening) is not None
