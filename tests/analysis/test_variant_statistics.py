"""A task and its variants: worked numbers, and loops over pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.analysis.variants import answer_codes, score_sensitivity, variant_family


@given(
    rows=st.integers(2, 5).flatmap(
        lambda v: st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=v, max_size=v), min_size=2, max_size=12)
    )
)
@settings(deadline=None, max_examples=60)
def test_score_sensitivity_is_the_mean_over_items_and_pairs(rows):
    by_loops = np.mean([np.mean([abs(a - b) for a, b in combinations(row, 2)]) for row in rows])
    assert score_sensitivity(rows).value == pytest.approx(by_loops)


def test_score_sensitivity_worked():
    found = score_sensitivity([[1, 1, 0], [0, 0, 0]])
    assert found.value == pytest.approx(1 / 3)  # two of three pairs of the first item differ, none of the second
    with pytest.raises(ValueError, match="two variants or more"):
        score_sensitivity([[1], [0]])


def test_a_family_worked():
    # The original and two variants over four items.
    scores = [[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
    answers = [[2, 2, 2], [0, 1, 0], [3, 1, 3], [1, 1, -1]]
    found = variant_family(scores, answers, truth=[2, 0, 1, 0], classes=4)
    assert found.spread.means == (0.5, 0.5, 0.5)
    assert (found.worst.mean.value, found.worst.worst.value) == (pytest.approx(0.5), 0.25)
    assert found.consistency.value == 0.25  # only the first: -1 is no answer
    assert found.answer_sensitivity.value == pytest.approx(
        np.mean([0, *[-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)) / np.log(4)] * 3])
    )
    first, second = found.changes
    assert (first.score.value, first.change.value, first.lost.value, first.won.value, first.same.value) == (0.5, 0, 0.25, 0.25, 0.5)
    assert (second.lost.value, second.won.value, second.same.value) == (0, 0, 0.75)
    assert first.lost.low < 0.25 < first.lost.high


def test_scores_between_have_no_flips_and_nothing_needs_answers():
    found = variant_family([[0.5, 1.0], [0.25, 0.0]])
    assert (found.consistency, found.answer_sensitivity, found.changes[0].lost, found.changes[0].same) == (None, None, None, None)
    assert found.changes[0].change.value == pytest.approx(0.125)


def test_answers_are_numbered_item_by_item():
    assert answer_codes([["Paris", " paris", None], ["a  b", "A b", "c"]]) == [[0, 0, -1], [0, 0, 1]]
