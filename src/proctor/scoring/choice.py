"""Multiple choice: picking by likelihood, and whether the pick is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from proctor.errors import DataError, ModelError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.letters import LETTERS, choice_index, choice_label
from proctor.types import Item, Response

Normalise = Literal["none", "char", "byte", "token", "unconditional"]


def normalised(
    loglikelihoods: Sequence[Sequence[float]], continuations: Sequence[str], token_counts: Sequence[int] | None, normalise: Normalise
) -> list[float]:
    """What choices are compared by.

    Args:
        loglikelihoods: prompts × continuations, as in `Response`. Where the choices stand in the question, there is a prompt for each and
            one continuation.
        continuations: their texts, without the delimiter before them.
        token_counts: tokens of each; needed for `token`.
        normalise: `none`: the log-likelihood; divided by the number of characters (`char`; lm-eval's acc_norm), of UTF-8 bytes (`byte`)
            or of tokens (`token`); `unconditional`: minus the log-likelihood after the second prompt (Brown et al. 2020, section 2.4).

    Raises:
        ModelError: the response lacks what the normalisation needs.
    """
    if not loglikelihoods or any(len(row) != len(continuations) for row in loglikelihoods):
        raise ModelError(f"expected log-likelihoods of {len(continuations)} continuations, found {[len(row) for row in loglikelihoods]}")
    first = loglikelihoods[0] if len(continuations) > 1 else [row[0] for row in loglikelihoods]
    if normalise == "none":
        return list(first)
    if normalise == "unconditional":
        if len(loglikelihoods) < 2:
            raise ModelError("unconditional normalisation needs the log-likelihoods after a second prompt, which the response lacks")
        return [given - alone for given, alone in zip(first, loglikelihoods[1], strict=True)]
    if normalise == "token":
        if token_counts is None or len(token_counts) != len(continuations):
            raise ModelError("normalisation by tokens needs token counts, which this model does not report")
        lengths = list(token_counts)
    elif normalise == "byte":
        lengths = [len(text.encode()) for text in continuations]
    else:
        lengths = [len(text) for text in continuations]
    return [value / max(length, 1) for value, length in zip(first, lengths, strict=True)]


def largest(values: Sequence[float]) -> int:
    """Index of the largest value, the first of equals; NaN counts as −∞."""
    numbers = _without_nan(values)
    return numbers.index(max(numbers))


def _without_nan(values: Sequence[float]) -> list[float]:
    return [-math.inf if math.isnan(value) else value for value in values]


def right_choices(item: Item) -> tuple[int, ...]:
    """Indices of the choices that count as right.

    Raises:
        DataError: the item has fewer than two choices, or its target is no index (or list of indices) of them.
    """
    if type(item.target) is int and 0 <= item.target < len(item.choices) > 1:
        return (item.target,)
    targets = item.target if isinstance(item.target, list | tuple) else [item.target]
    if len(item.choices) < 2:
        raise DataError(f"item '{item.id}': a choice needs at least two choices, found {len(item.choices)}")
    if not targets or not all(type(target) is int and 0 <= target < len(item.choices) for target in targets):
        raise DataError(
            f"item '{item.id}': the target must be the index of a choice (0 to {len(item.choices) - 1}), or a list of them, "
            f"not {item.target!r}"
        )
    return tuple(targets)


def _complaint(item: Item) -> str | None:
    try:
        right_choices(item)
    except DataError as error:
        return str(error).partition(": ")[2]
    return None


def _accuracy(answer: str, item: Item) -> Measured:
    right = right_choices(item)
    correct = choice_index(answer, len(item.choices)) in right
    return Measured({"acc": float(correct)}, "" if correct else f"expected {' or '.join(map(choice_label, right))}")


class GeneratedChoice(Scorer):
    """`choice` where the model writes its answer: `acc`, whether the letter it settles on is that of a right choice.

    Args:
        main: `acc` is all there is here, whichever is named.
    """

    name = "choice"
    metrics = (Metric("acc"),)
    default_extract = ("letter",)
    late_options = frozenset({"main"})

    def __init__(self, *, main: Literal["acc", "p_true"] = "acc") -> None:
        del main

    def check(self, item: Item) -> str | None:
        return _complaint(item)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        return _accuracy(answer, item)


class ChoiceOrGuess(GeneratedChoice):
    """`acc_guessed`: accuracy in which an attempt without an answer counts as a guess would on average, the share of right choices.

    MMLU-Pro's published figures draw such a guess, with a fixed seed; this is its expected value.
    """

    name = "choice_or_guess"
    metrics = (Metric("acc_guessed"),)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        return Measured({"acc_guessed": _accuracy(answer, item).values["acc"]})

    def unanswered(self, item: Item) -> dict[str, float]:
        return {"acc_guessed": len(set(right_choices(item))) / len(item.choices)}


class ChoiceSet(Scorer):
    """Questions with several right choices: `acc`, whether the letters named are exactly those of the right ones, and `f1` over letters.

    The answer's letters are its capitals from A on, as many as there are choices, in any order and each once. The target is a text of
    letters (`ABD`), or a list of letters or of indices from 0. `f1` is 2|N ∩ R| / (|N| + |R|) for letters named N and right R.
    """

    name = "choice_set"
    metrics = (Metric("acc"), Metric("f1"))
    default_extract = ({"regex": r"(?<![A-Za-z])[A-Z](?:[\s、，,;；.]*[A-Z])*(?![A-Za-z])"},)

    def check(self, item: Item) -> str | None:
        if len(item.choices) < 2:
            return f"needs item.choices, at least two; found {len(item.choices)}"
        if not self._right(item):
            letters = f"A to {choice_label(len(item.choices) - 1)}"
            return f"the target must name choices by letters ({letters}, such as 'AC') or indices, not {item.target!r}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        named = {letter for letter in answer if choice_index(letter, len(item.choices)) is not None and letter.isupper()}
        right = self._right(item)
        shared = len(named & right)
        f1 = 2 * shared / (len(named) + len(right))
        return Measured({"acc": float(named == right), "f1": f1}, "" if named == right else f"expected {''.join(sorted(right))}")

    def _right(self, item: Item) -> set[str]:
        """Empty where the target cannot be read."""
        target = list(item.target.replace(" ", "")) if isinstance(item.target, str) else item.target
        letters: set[str] = set()
        for one in target if isinstance(target, list | tuple) else [target]:
            if type(one) is int and 0 <= one < len(item.choices):
                letters.add(choice_label(one))
            elif isinstance(one, str) and one in LETTERS[: len(item.choices)]:
                letters.add(one)
            else:
                return set()
        return letters


class Choice(Scorer):
    """`choice` by likelihood: `acc`, whether the most likely choice is a right one, and `p_true`, how probable the right ones are.

    `p_true` is the softmax over what the choices are compared by (`response.normalise`), summed over the right choices. Where a
    normalisation divides by length it is no probability of the model's, but still rises with the model's preference.

    Args:
        main: the main metric.
    """

    name = "choice"
    late_options = frozenset({"main"})

    def __init__(self, *, main: Literal["acc", "p_true"] = "acc") -> None:
        both = (Metric("acc"), Metric("p_true"))
        self.metrics = both if main == "acc" else both[::-1]

    def check(self, item: Item) -> str | None:
        return _complaint(item)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """`answer` is the picked letter; `response.loglikelihoods[0]` the normalised log-likelihoods of the choices."""
        measured = _accuracy(answer, item)
        if not response.loglikelihoods or len(response.loglikelihoods[0]) != len(item.choices):
            raise DataError(f"item '{item.id}': expected log-likelihoods of its {len(item.choices)} choices")
        values = _without_nan(response.loglikelihoods[0])
        top = max(values)
        if top == -math.inf:
            weights = [1.0] * len(values)
        else:
            weights = [math.exp(value - top) for value in values]
        p_true = sum(weights[index] for index in set(right_choices(item))) / sum(weights)
        return Measured({**measured.values, "p_true": p_true}, measured.reason)
