"""What sways a judge: the injected bias is found, within its interval, and nothing where there is none."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from proctor.analysis.judging import length_correlation, length_gap, position_gap, self_preference


def test_a_judge_that_takes_the_first_of_equal_answers():
    found = position_gap([1, 1, 1, 0], [0, 0, 1, 0])
    # of 8 verdicts, first was chosen in: pairs 1, 2 both times; pair 3 once; pair 4 once
    assert found.gap.value == pytest.approx(6 / 8 - 1 / 2)
    assert found.consistent.value == 0.5
    assert position_gap([1, np.nan], [0, 1]).gap.n == 1


def test_intervals_of_the_position_gap_cover():
    """A judge that decides by quality 70 % of the time and else by position: gap 0.15."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        better = rng.random(120) < 0.5
        by_place = rng.random((2, 120)) < 0.3
        first, second = np.where(by_place[0], 1.0, better), np.where(by_place[1], 0.0, better)
        gap = position_gap(first, second).gap
        covered += gap.low <= 0.15 <= gap.high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_longer_answer():
    found = length_gap([1, 0, 0.5, 1], [10, 10, 10, 5], [5, 20, 4, 5])
    assert found.value == pytest.approx((0.5 + 0.5 + 0) / 3)  # the last pair is of equal length
    assert found.n == 3
    assert length_gap([1.0], [3], [3]).value is None


def test_points_and_length_as_scipy_correlates_them():
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 500, 200)
    points = np.round(lengths / 100 + rng.normal(0, 2, 200))
    found = length_correlation(points, lengths)
    assert found.value == pytest.approx(spearmanr(points, lengths).statistic, abs=1e-12)
    assert found.low < found.value < found.high
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / np.sqrt(200) * (1 - found.value**2), rel=0.25)
    assert length_correlation([1, 2, np.nan], [1, 2, 3]).value is None
    assert length_correlation([1, 1, 1], [1, 2, 3]).value is None


def test_self_preference_is_neither_being_good_nor_being_kind():
    """Own answers better by 0.2, the judge kinder to all by 0.1, and to its own by 0.15 more: 0.15 is found."""
    rng = np.random.default_rng(3)
    mine = np.arange(400) < 200
    quality = np.where(mine, 0.5, 0.3) + rng.normal(0, 0.05, 400)
    own = quality + 0.1 + 0.15 * mine + rng.normal(0, 0.03, 400)
    found = self_preference(own, quality + rng.normal(0, 0.02, 400), mine)
    assert found.value == pytest.approx(0.15, abs=0.02)
    assert found.low < 0.15 < found.high
    assert found.low > 0.1
    paired = self_preference(own, quality, mine, list(range(200)) * 2)
    assert paired.value == pytest.approx(np.mean((own - quality)[mine]) - np.mean((own - quality)[~mine]))
    assert self_preference(own, quality, np.zeros(400, bool)).value is None
