"""Where the right answer stands: every position equally often."""

from __future__ import annotations

import random
from collections.abc import Sequence


def positions(rng: random.Random, size: int, choices: int) -> list[int]:
    """`size` positions from 0 to `choices` - 1, each as often as any other (give or take one), in random order."""
    placed = [index % choices for index in range(size)]
    rng.shuffle(placed)
    return placed


def place(right: str, wrong: Sequence[str], position: int) -> list[str]:
    """The choices: `wrong` in their order, with `right` put in at `position`."""
    return [*wrong[:position], right, *wrong[position:]]
