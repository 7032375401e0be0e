"""A model that answers by rule, the same for BIG-bench's own code and for Proctor's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:4], "big")


def loglikelihood(context: str, continuation: str) -> float:
    """In steps of a half, so that some choices are equally likely."""
    return -0.5 * (1 + _number("ll", context, continuation) % 24)


def written(context: str, targets: Sequence[str]) -> str:
    """A right answer in half of the cases, alone or with more around it; else something else."""
    which = _number("text", context) % 8
    right = targets[_number("which", context) % len(targets)]
    words = right.split(" ")
    return [
        right,
        f"{right}. And more; of it\nQ: what",
        f"\n{right}\nA: {right}",
        f" {right} ",
        " ".join(words[: max(len(words) // 2, 1)]),
        " ".join(reversed(words)),
        f"{len(context)} or -7",
        "",
    ][which]
