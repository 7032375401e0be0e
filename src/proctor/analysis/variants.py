"""One task and its variants: what stays, what flips, how far the score goes, which options a model leans to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from proctor.analysis.answer_consistency import AnswerPositions, order_consistency, prompt_sensitivity
from proctor.analysis.interval_estimate import IntervalEstimate, difference_estimate, mean_estimate
from proctor.analysis.robustness import FormatSpread, WorstCase, format_spread, worst_case

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from proctor.analysis.uncertainty import Clusters


class VariantChange(Struct, frozen=True):
    """What one variant changes beside the original, over the same items.

    Attributes:
        score: mean of the variant.
        change: variant minus original.
        lost: share of items right in the original and wrong here; None where scores are not only 0 and 1.
        won: share of items wrong in the original and right here.
        same: share of items with the same answer as in the original, right or wrong; None without answers.
    """

    score: IntervalEstimate
    change: IntervalEstimate
    lost: IntervalEstimate | None
    won: IntervalEstimate | None
    same: IntervalEstimate | None


class VariantFamily(Struct, frozen=True):
    """A task and its variants together, the original being one of them.

    Attributes:
        spread: best minus worst mean.
        worst: items by their worst variant, beside the mean over all.
        score_sensitivity: mean over items of the mean |difference| of two variants' scores.
        consistency: share of items answered alike under all; None without answers.
        answer_sensitivity: entropy of an item's answers as a share of the largest possible; only where answers are choices.
        changes: of each variant.
        positions: over original and variants; None where there are no options in places.
    """

    spread: FormatSpread
    worst: WorstCase
    score_sensitivity: IntervalEstimate
    consistency: IntervalEstimate | None
    answer_sensitivity: IntervalEstimate | None
    changes: tuple[VariantChange, ...]
    positions: AnswerPositions | None = None


def score_sensitivity(scores: ArrayLike, clusters: Clusters = None, *, level: float = 0.95) -> IntervalEstimate:
    """PromptSensiScore of ProSA (Zhuo 2024): mean over items of the mean over pairs of variants of |X[i, v] − X[i, w]|.

    0 where an item is always or never right, at most 1/2·V/(V − 1) for scores of 0 and 1 under V variants.

    Args:
        scores: shape (n, V), in [0, 1], two variants or more.
        clusters, level: as in `format_spread`.
    """
    import numpy as np

    array = np.sort(np.asarray(scores, dtype=np.float64), axis=1)
    n = array.shape[1]
    if array.ndim != 2 or n < 2:
        raise ValueError(f"sensitivity needs scores under two variants or more, as (items, variants); got shape {array.shape}")
    weights = 2 * np.arange(n) - n + 1  # Σ of the pairs' differences of sorted numbers
    return mean_estimate(array @ weights / (n * (n - 1) / 2), clusters, level=level)


def variant_family(
    scores: ArrayLike,
    answers: ArrayLike | None = None,
    clusters: Clusters = None,
    *,
    truth: ArrayLike | None = None,
    classes: int = 0,
    positions: AnswerPositions | None = None,
    level: float = 0.95,
) -> VariantFamily:
    """What a model makes of a task and its variants.

    Args:
        scores: shape (n, V), in [0, 1]; the original is the first column.
        answers: shape (n, V), the same number for the same answer of an item, whatever its place or letter; −1 where there was none.
        clusters: shape (n,), as in `format_spread`.
        truth: shape (n,), the right answers, where answers are choices numbered from 0; with `classes`.
        classes: how many choices there are.
        positions: as `answer_positions` has it, passed through.
        level: of confidence.
    """
    import numpy as np

    array = np.asarray(scores, dtype=np.float64)
    given = None if answers is None else np.asarray(answers)
    sensitivity = None
    if given is not None and truth is not None and classes > 1:
        sensitivity = prompt_sensitivity(given, truth, classes, clusters, level=level).sensitivity
    return VariantFamily(
        format_spread(array, clusters, level=level),
        worst_case(array, clusters, level=level),
        score_sensitivity(array, clusters, level=level),
        None if given is None else order_consistency(given, clusters, level=level),
        sensitivity,
        tuple(_change(array, given, column, clusters, level) for column in range(1, array.shape[1])),
        positions,
    )


def _change(scores: ArrayLike, answers: ArrayLike | None, column: int, clusters: Clusters, level: float) -> VariantChange:
    import numpy as np

    array = np.asarray(scores)
    before, after = array[:, 0], array[:, column]
    lost = won = same = None
    if np.isin(array[:, [0, column]], (0.0, 1.0)).all():
        lost = mean_estimate((before > after).astype(np.float64), clusters, level=level)
        won = mean_estimate((before < after).astype(np.float64), clusters, level=level)
    if answers is not None:
        same = order_consistency(np.asarray(answers)[:, [0, column]], clusters, level=level)
    return VariantChange(
        mean_estimate(after, clusters, level=level), difference_estimate(after - before, clusters, level=level), lost, won, same
    )


def answer_codes(answers: Sequence[Sequence[str | None]]) -> list[list[int]]:
    """Texts as numbers, item by item: equal texts, but for case and white space, are one number; −1 where there is none.

    Args:
        answers: shape (n, V).
    """
    coded = []
    for of_item in answers:
        seen: dict[str, int] = {}
        plain = [None if text is None else " ".join(text.split()).casefold() for text in of_item]
        coded.append([-1 if text is None else seen.setdefault(text, len(seen)) for text in plain])
    return coded
