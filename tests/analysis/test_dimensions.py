"""Items sorted along a dimension, against statsmodels' regressions and, for the error rate, by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.analysis.dimensions import dimension_means
from proctor.analysis.interval_estimate import mean_estimate

SCORES = [1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0.5, 0]
LABELS = [["a"]] * 5 + [["b"]] * 4 + [["c"]] * 3


def of(found, name):
    return next(one for one in found if one.name == name)


def test_means_and_differences_by_hand():
    found = dimension_means(SCORES, LABELS)
    assert [one.name for one in found] == ["a", "b", "c"]
    one = of(found, "a")
    assert one.mean == mean_estimate(SCORES[:5])
    assert one.difference == pytest.approx(np.mean(SCORES[:5]) - np.mean(SCORES[5:]))
    variance = np.var(SCORES[:5]) / 5 + np.var(SCORES[5:]) / 7
    assert one.difference_stderr == pytest.approx(math.sqrt(variance * 12 / 11))


def test_the_difference_is_that_of_a_regression_with_clustered_errors():
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 12, 80)
    inside = (rng.random(80) < 0.4).astype(int)
    scores = np.clip(0.4 + 0.3 * inside + 0.2 * rng.standard_normal(12)[clusters] + 0.1 * rng.standard_normal(80), 0, 1)
    fit = sm.OLS(scores, sm.add_constant(inside)).fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
    found = of(dimension_means(scores, [["x"] if one else ["y"] for one in inside], clusters), "x")
    assert found.difference == pytest.approx(fit.params[1])
    assert found.difference_stderr == pytest.approx(fit.bse[1] * math.sqrt(12 / 11))


def test_an_item_of_several_values_counts_for_each():
    found = dimension_means([1, 0, 1], [["a", "b"], ["a"], []])
    assert (of(found, "a").mean.value, of(found, "a").mean.n) == (0.5, 2)
    assert (of(found, "b").mean.value, of(found, "b").difference) == (1.0, 0.5)


def test_what_cannot_be_said():
    (lone,) = dimension_means([1, 0], [["a"], ["a"]])
    assert (lone.difference, lone.difference_stderr, lone.p_value, lone.verdict) == (None, None, None, "")
    assert dimension_means([], []) == ()
    found = dimension_means([1, math.nan, 0], [["a"], ["b"], ["a"]])
    assert (of(found, "b").mean.value, of(found, "b").difference) == (None, None)
    one_cluster = dimension_means([1, 0], [["a"], ["b"]], ["g", "g"])
    assert of(one_cluster, "a").difference == 1.0
    assert of(one_cluster, "a").p_value is None


def test_items_that_score_alike_are_no_certainty():
    nothing = dimension_means([0.1] * 42, [["a"]] * 6 + [["b"]] * 36)
    assert [(one.p_value, one.verdict) for one in nothing] == [(None, ""), (None, "")]
    few = dimension_means([1, 1, 0, 0], [["a"]] * 2 + [["b"]] * 2)
    assert [one.verdict for one in few] == ["", ""]  # p = 2 Φ(−2) = 0.0455, twice for two values
    assert few[0].p_value == pytest.approx(2 * 0.0455, abs=1e-3)
    many = dimension_means([1] * 12 + [0] * 12, [["a"]] * 12 + [["b"]] * 12)
    assert [one.verdict for one in many] == ["strength", "weakness"]


def test_a_large_difference_has_a_verdict():
    found = dimension_means([1, 1, 0.9, 1] * 10 + [0.1, 0, 0.2, 0] * 10, [["strong"]] * 40 + [["weak"]] * 40)
    assert [one.verdict for one in found] == ["strength", "weakness"]


def test_without_differences_there_are_verdicts_in_at_most_one_of_twenty():
    rng = np.random.default_rng(11)
    labels = [[name] for name in "abcd" for _ in range(40)]
    wrong = sum(any(one.verdict for one in dimension_means(rng.random(160) < 0.6, labels)) for _ in range(600))
    assert wrong / 600 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("ab"), st.sampled_from("ghi")), min_size=2, max_size=30))
def test_two_values_are_each_others_rest(rows):
    found = dimension_means([row[0] for row in rows], [[row[1]] for row in rows], [row[2] for row in rows])
    if len(found) == 2:
        assert found[0].difference == pytest.approx(-found[1].difference)
        assert found[0].p_value == pytest.approx(found[1].p_value) if found[0].p_value is not None else found[1].p_value is None
