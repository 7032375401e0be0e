"""Comparisons of questions become one order."""

import numpy as np
import pytest
from scipy.optimize import minimize

from proctor.analysis.relative_confidence import DRAWS, preference_confidence


def test_strengths_are_those_of_the_likelihood():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 60), rng.integers(0, 6, 60)
    kept = first != second
    first, second = first[kept], second[kept]
    share = rng.random(len(first))
    outcome = (share + DRAWS / 2) / (1 + DRAWS)

    def loss(strength):
        gap = strength[first] - strength[second]
        return -(outcome * -np.log1p(np.exp(-gap)) + (1 - outcome) * -np.log1p(np.exp(gap))).sum() + strength.mean() ** 2

    best = minimize(loss, np.zeros(6), tol=1e-12).x
    found = preference_confidence(first, second, share, 6)
    assert found == pytest.approx(1 / (1 + np.exp(-(best - best.mean()))), abs=1e-4)


def test_one_always_preferred_is_first_and_finite():
    found = preference_confidence([0, 0, 1], [1, 2, 2], [1, 1, 1], 4)
    assert 1 > found[0] > found[1] > found[2] > 0
    assert np.isnan(found[3])
    assert preference_confidence([0, 1], [1, 0], [0.5, 0.5], 2) == pytest.approx([0.5, 0.5])
