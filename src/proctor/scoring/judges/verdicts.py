"""Reading what a judge replies."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proctor.scoring.text_signs import strip_thinking

_NUMBER = r"-?\d+(?:\.\d+)?"
_DOUBLE = re.compile(rf"\[\[\s*({_NUMBER})\s*\]\]")
_SINGLE = re.compile(rf"\[\s*({_NUMBER})\s*\]")
_LABEL = re.compile(r"\[\[\s*([^\[\]]{1,60}?)\s*\]\]")


def read_points(reply: str, low: float, high: float) -> float | None:
    """The points in a judge's reply: the last `[[n]]`, or where there is none the last `[n]`, within `low` and `high`.

    MT-bench's form (Zheng et al. 2023, "Judging LLM-as-a-judge"); FastChat takes the first such number instead, which differs only
    where a judge gives several.

    Returns:
        None where there is none, or it is off the scale.
    """
    text = strip_thinking(reply)
    for pattern in (_DOUBLE, _SINGLE):
        found = pattern.findall(text or "")
        if found:
            points = float(found[-1])
            return points if low <= points <= high else None
    return None


def read_label(reply: str, labels: Sequence[str]) -> str | None:
    """The label in a judge's reply: the last `[[label]]`, or a reply that is nothing but the label; case does not matter.

    Returns:
        One of `labels`; None where the last thing in double brackets is none of them, or there is nothing.
    """
    text = (strip_thinking(reply) or "").strip()
    named = {label.casefold(): label for label in labels}
    found = _LABEL.findall(text)
    said = found[-1] if found else text.strip(".*'\"` ")
    return named.get(said.casefold())
