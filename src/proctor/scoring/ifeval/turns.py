"""The scorer of Multi-IF: IFEval's instructions over the turns of a conversation."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.ifeval import languages
from proctor.scoring.ifeval.scorer import instructions, ratio, verdicts
from proctor.scoring.text_signs import strip_thinking
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Instructions = list[tuple[str, dict[str, Any]]]

# What is summed of each turn, in this order.
_COUNTS = ("prompts", "prompt_strict", "prompt_loose", "instructions", "kept_strict", "kept_loose")


class IfevalTurns(Scorer):
    """Whether the answers of a conversation keep their instructions, turn by turn, after He et al. (2024), "Multi-IF".

    The target has for each turn what `ifeval` reads: a list of `{instruction_id_list, kwargs}`, or the columns of Multi-IF's data,
    `{turn_1_instruction_id_list, turn_1_kwargs, turn_2_…}`, where a turn that is empty or `None` was not put. Its instructions are all that
    hold at that turn, those of earlier turns first. `turn_1` and so on are the turn's accuracy as Multi-IF reports it: the mean of the
    shares of prompts and of instructions kept, strictly and loosely. `accuracy`, the main metric, is the mean of an item's turns, and
    `forgotten` the share of instructions strictly kept at one turn that are no longer at the next, as
    `proctor.analysis.robustness.forgetting` has it. A turn that was not answered keeps nothing. Sentences, words and quotation marks are
    judged by the language of the answer.

    Args:
        turns: how many turns a conversation has at most.
    """

    name = "ifeval_turns"
    default_extract = ("whole",)
    conversation = True

    def __init__(self, *, turns: int = 3) -> None:
        languages.require()
        self._turns = turns
        self.metrics = (
            Metric("accuracy"),
            *(Metric(f"turn_{turn}", statistics=partial(_turn_sums, turn), value=_turn_accuracy) for turn in range(1, turns + 1)),
            Metric("forgotten", higher_is_better=False, statistics=_forgotten_sums, value=ratio),
        )

    def check(self, item: Item) -> str | None:
        try:
            by_turn(item.target, self._turns)
        except ValueError as error:
            return str(error)
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """`answer` is not looked at: what was said is in `response`."""
        try:
            asked = by_turn(item.target, self._turns)
        except ValueError as error:
            raise DataError(f"item '{item.id}': {error}") from None
        said = [strip_thinking(one.text or "") or "" for one in response.turns]
        return self._measured(asked, [*said, *[""] * len(asked)][: len(asked)])

    def unanswered(self, item: Item) -> dict[str, float]:
        try:
            asked = by_turn(item.target, self._turns)
        except ValueError:  # results of another program, brought in without it
            return super().unanswered(item)
        return self._measured(asked, [""] * len(asked)).values

    def _measured(self, asked: list[Instructions], said: list[str]) -> Measured:
        values: dict[str, float] = {}
        kept: list[list[bool]] = []
        broken: list[str] = []
        for turn, (wanted, text) in enumerate(zip(asked, said, strict=True), 1):
            strict, loose = verdicts(text, wanted, by_language=True)
            counts = (1, all(strict), all(loose), len(strict), sum(strict), sum(loose))
            values |= {f"turn_{turn}_{name}": float(count) for name, count in zip(_COUNTS, counts, strict=True)}
            values[f"turn_{turn}"] = (counts[1] + counts[2] + (counts[4] + counts[5]) / len(strict)) / 4
            broken += [f"turn {turn}: {kind}" for (kind, _), one in zip(wanted, strict, strict=True) if not one]
            kept.append(strict)
        values["accuracy"] = sum(values[f"turn_{turn}"] for turn in range(1, len(asked) + 1)) / len(asked)
        # An instruction holds on at its place: a turn's list begins with the one before.
        pairs = [pair for before, after in pairwise(kept) for pair in zip(before, after, strict=False)]
        values["kept_before"] = float(sum(before for before, _ in pairs))
        values["lost"] = float(sum(before and not after for before, after in pairs))
        return Measured(values, f"broken: {', '.join(broken)}" if broken else "")


def by_turn(target: Any, most: int) -> list[Instructions]:
    """The instructions of each turn. Raises `ValueError` saying what is wrong with the target."""
    if isinstance(target, dict):
        names = [(f"turn_{turn}_instruction_id_list", f"turn_{turn}_kwargs") for turn in range(1, most + 1)]
        given = [(target.get(kinds), target.get(arguments)) for kinds, arguments in names]
        put = [
            {"instruction_id_list": kinds, "kwargs": arguments} for kinds, arguments in given if kinds not in (None, "", "None", [], "[]")
        ]
    else:
        put = list(target) if isinstance(target, list | tuple) else []
    if not put or len(put) > most:
        raise ValueError(
            f"the target must be a list of 1 to {most} turns {{instruction_id_list, kwargs}}, or {{turn_1_instruction_id_list, "
            f"turn_1_kwargs, …}}, not {target!r:.200}"
        )
    turns: list[Instructions] = []
    for number, one in enumerate(put, 1):
        try:
            turns.append(instructions(one))
        except ValueError as error:
            raise ValueError(f"turn {number}: {error}") from None
        if number > 1 and turns[-1][: len(turns[-2])] != turns[-2]:
            raise ValueError(f"turn {number}: its instructions must begin with those of the turn before, which hold on")
    return turns


def _turn_sums(turn: int, columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    absent = np.zeros(len(columns.targets))
    return np.nan_to_num(np.stack([columns.values.get(f"turn_{turn}_{name}", absent) for name in _COUNTS], axis=1))


def _turn_accuracy(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        prompts, instruction_shares = sums[..., 1:3] / sums[..., :1], sums[..., 4:6] / sums[..., 3:4]
    return np.asarray((prompts.sum(axis=-1) + instruction_shares.sum(axis=-1)) / 4)


def _forgotten_sums(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    return np.nan_to_num(np.stack([columns.values["lost"], columns.values["kept_before"]], axis=1))
