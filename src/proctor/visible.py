"""Foreign text as it may be shown: nothing in it steers a terminal, hides, or reorders what stands beside it."""

from __future__ import annotations

import re

# Controls that are neither line feed nor tab, marks that reorder text, byte-order marks, tag characters, and halves of surrogate pairs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """`text` with every character that hides or reorders others written out, such as ⟨U+202E⟩; valid in UTF-8."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` made visible and on one line."""
    return re.sub(r"[\n\t]+", " ", visible(text)).rstrip()


def shortened(text: str, limit: int) -> tuple[str, str]:
    """At most `limit` characters of `text`, made visible, and a note on what was cut (empty when nothing was)."""
    if len(text) <= limit:
        return visible(text), ""
    return visible(text[:limit]), f"cut here: {limit:,} of {len(text):,} characters shown"
