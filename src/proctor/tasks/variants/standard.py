"""The variants that every task has without declaring them, and what names stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from proctor.errors import UsageError, nearest
from proctor.tasks.items import LETTERS
from proctor.tasks.spec import VariantSpec

if TYPE_CHECKING:
    from proctor.tasks.task import Task

SYMBOLS = ["$", "&", "#", "@", "%", "*", "+", "=", "~", "^"]  # the first four as in Alzahrani et al. 2024
FORMATS = 5
DECLARED, STANDARD = "declared", "standard"

_ALWAYS: dict[str, dict[str, Any]] = {
    "option_order": {"order": "shuffle"},
    "reversed_options": {"order": "reverse"},
    "letters_lower": {"letters": list(LETTERS.lower())},
    "letters_digits": {"letters": [str(number) for number in range(1, len(LETTERS) + 1)]},
    "letters_symbols": {"letters": SYMBOLS},
    "distractor_added": {"distractors": 1},
    "distractor_removed": {"distractors": -1},
    "typos": {"typos": 0.2},
    "lower_case": {"case": "lower"},
    "upper_case": {"case": "upper"},
    **{f"format_{number}": {"format": number} for number in range(1, FORMATS + 1)},
    **{f"rotation_{number}": {"rotate": number} for number in range(1, 10)},
}
_GROUPS: dict[str, tuple[str, ...]] = {
    "rotations": tuple(f"rotation_{number}" for number in range(1, 10)),
    "option_letters": ("letters_lower", "letters_digits", "letters_symbols"),
    "distractors": ("distractor_added", "distractor_removed"),
    "formats": tuple(f"format_{number}" for number in range(1, FORMATS + 1)),
    "casing": ("lower_case", "upper_case"),
}
_GROUPS[STANDARD] = ("option_order", *_GROUPS["option_letters"], *_GROUPS["distractors"], *_GROUPS["formats"], "typos", *_GROUPS["casing"])


def standard_names() -> list[str]:
    """Everything that `--variants` and a task file may name."""
    return [*_ALWAYS, *_GROUPS]


def standard_variant(name: str) -> dict[str, Any] | None:
    """What the variant of that name changes, as the keys of a task file; None where there is none."""
    return dict(_ALWAYS[name]) if name in _ALWAYS else None


def chosen_variants(task: Task, names: Sequence[str]) -> tuple[list[VariantSpec], set[str]]:
    """The variants of a task that `names` mean, each once, and the names that are known for it.

    A group stands for those of its members that fit the task. A declared variant goes before a standard one of its name.

    Args:
        task: the original.
        names: of variants that its file declares, of standard ones, of groups of these; `declared`: all its file declares;
            `standard`: the standard set.

    Raises:
        UsageError: a name that is nothing.
    """
    declared: Mapping[str, VariantSpec] = {one.name: one for one in task.spec.variants}
    found: dict[str, VariantSpec] = {}
    meant: set[str] = set()
    for name in names:
        if name == DECLARED:
            members: Sequence[str] = tuple(declared)
        elif name in declared:
            members = (name,)
        elif name in _GROUPS:
            members = _GROUPS[name]
        elif name in _ALWAYS:
            members = (name,)
        else:
            continue
        meant.add(name)
        for member in members:
            found.setdefault(member, declared.get(member) or msgspec.convert({"name": member, **_ALWAYS[member]}, VariantSpec))
    return list(found.values()), meant


def is_group(name: str) -> bool:
    """Whether a name stands for several variants, of which those that do not fit a task are left out."""
    return name in _GROUPS or name == DECLARED


def unknown_variant(name: str, tasks: Sequence[Task]) -> UsageError:
    """What to say of a name that no task knows."""
    declared = [one.name for task in tasks for one in task.spec.variants]
    known = list(dict.fromkeys([*declared, *standard_names(), DECLARED]))
    return UsageError(f"no variant is named '{name}'{nearest(name, known) or ';'} there are: {', '.join(known)}")
