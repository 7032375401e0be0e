"""What sways a judge besides the answers: their place, their length, whose they are."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from msgspec import Struct

from proctor.analysis.interval_estimate import UNDEFINED, IntervalEstimate, difference_estimate, mean_estimate, with_interval
from proctor.analysis.intervals import Interval
from proctor.analysis.robustness import gap
from proctor.analysis.uncertainty import metric_estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from proctor.analysis.uncertainty import Clusters


class PositionGap(Struct, frozen=True):
    """What the order of two answers does to a judge.

    Attributes:
        gap: share of verdicts for the answer shown first, draws counting half, minus 1/2; 0 is no preference, ±1/2 the most there is.
        consistent: share of pairs on which the judge said the same in both orders.
    """

    gap: IntervalEstimate
    consistent: IntervalEstimate


def position_gap(shown_first: ArrayLike, shown_second: ArrayLike, clusters: Clusters = None, *, level: float = 0.95) -> PositionGap:
    """Does a judge prefer what it sees first? (Zheng et al. 2023, "Judging LLM-as-a-judge with MT-bench and Chatbot Arena", section 3.3.)

    As both orders of each pair are judged, whichever answer is better cancels out.

    Args:
        shown_first, shown_second: shape (pairs,): what the same answer got (1 a win, 0.5 a draw, 0 a loss) when it was shown first, and
            second; pairs with a NaN in either do not count.
        clusters: shape (pairs,), the item of each pair.
        level: of confidence.
    """
    import numpy as np

    first, second = np.asarray(shown_first, dtype=np.float64), np.asarray(shown_second, dtype=np.float64)
    missing = np.isnan(first) | np.isnan(second)
    same = np.where(missing, np.nan, (first == second).astype(float))
    return PositionGap(difference_estimate((first - second) / 2, clusters, level=level), mean_estimate(same, clusters, level=level))


def length_gap(
    outcomes: ArrayLike, lengths: ArrayLike, other_lengths: ArrayLike, clusters: Clusters = None, *, level: float = 0.95
) -> IntervalEstimate:
    """Share of comparisons that the longer answer wins, draws counting half, minus 1/2.

    Longer answers may well be better ones: the figure bounds what length can have done. `length_controlled` takes it out of a win rate.

    Args:
        outcomes: shape (pairs,), of the first answer: 1 a win, 0.5 a draw, 0 a loss.
        lengths, other_lengths: shape (pairs,), of the first answer and the other, in any unit; pairs of equal length do not count.
        clusters: shape (pairs,), the item of each pair.
        level: of confidence.
    """
    import numpy as np

    won = np.asarray(outcomes, dtype=np.float64)
    longer = np.sign(np.asarray(lengths, dtype=np.float64) - np.asarray(other_lengths, dtype=np.float64))
    return difference_estimate(np.where(longer == 0, np.nan, longer * (won - 0.5)), clusters, level=level)


def length_correlation(points: ArrayLike, lengths: ArrayLike, clusters: Clusters = None, *, level: float = 0.95) -> IntervalEstimate:
    """Spearman's ρ between the points a judge gives and the lengths of the answers.

    The standard error is a bootstrap's over items, ranks held; the interval is on Fisher's scale, tanh(artanh ρ ± z s/(1 − ρ²)).

    Args:
        points, lengths: shape (answers,); answers with a NaN in either do not count.
        clusters: shape (answers,), the item of each.
        level: of confidence.

    Returns:
        Undefined for fewer than three answers, or where all points or all lengths are equal.
    """
    import numpy as np
    from scipy.stats import rankdata

    x, y = np.asarray(points, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    kept = ~(np.isnan(x) | np.isnan(y))
    items = None if clusters is None else [name for name, has in zip(clusters, kept, strict=True) if has]
    x, y = rankdata(x[kept]) - (kept.sum() + 1) / 2, rankdata(y[kept]) - (kept.sum() + 1) / 2
    if len(x) < 3 or not x.any() or not y.any():
        return UNDEFINED
    sums = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    found = metric_estimate(sums, _correlation, items)
    interval = None
    if found.value is not None and found.stderr is not None and abs(found.value) < 1:
        reach = NormalDist().inv_cdf((1 + level) / 2) * found.stderr / (1 - found.value**2)
        middle = math.atanh(found.value)
        interval = Interval(math.tanh(middle - reach), math.tanh(middle + reach), "t")
    return with_interval(found.value, found.stderr, interval, found.n, found.groups)


def _correlation(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r from sums of 1, x, y, x², y², xy."""
    import numpy as np

    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(all="ignore"):
        return np.asarray((n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y)))


def self_preference(
    own: ArrayLike, others: ArrayLike, by_itself: ArrayLike, clusters: Clusters = None, *, level: float = 0.95
) -> IntervalEstimate:
    """What a judge gives its own answers beyond what the other judges give them, minus the same for everybody else's answers.

    That its own answers may be better, and that it may be kinder than the others to all, both cancel out (after Panickssery et al. 2024,
    "LLM evaluators recognize and favor their own generations", with the other judges in place of people).

    Args:
        own: shape (answers,), the judge's verdicts, from 0 to 1.
        others: shape (answers,), the mean verdict of the other judges on the same answers; answers with a NaN in either do not count.
        by_itself: shape (answers,), whether the answer is the judge's own.
        clusters: shape (answers,), the item of each; items answered by both are paired.
        level: of confidence.

    Returns:
        The difference, from -2 to 2; undefined where one side has no answers.
    """
    import numpy as np

    lean = (1 + np.asarray(own, dtype=np.float64) - np.asarray(others, dtype=np.float64)) / 2  # in [0, 1], as `gap` wants it
    mine = np.asarray(by_itself, dtype=bool)
    names = np.asarray([str(name) for name in clusters]) if clusters is not None else None
    sides = (None, None) if names is None else (list(names[mine]), list(names[~mine]))
    found = gap(lean[mine], lean[~mine], *sides, level=level).difference
    value, stderr, low, high = (None if one is None else 2 * one for one in (found.value, found.stderr, found.low, found.high))
    return IntervalEstimate(value, stderr, low, high, found.n, found.groups)
