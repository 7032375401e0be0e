"""Standard errors and intervals against worked numbers, statsmodels and scipy."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from proctor.analysis.uncertainty import (
    bootstrap_weights,
    cluster_codes,
    item_means,
    mean_with_stderr,
    metric_estimate,
    metric_estimates,
)

SCORES = [1, 1, 0, 1, 0, 1, 1, 1, 0, 1]
CLUSTERS = ["a", "a", "a", "b", "b", "b", "c", "c", "d", "d"]


def test_mean_of_independent_items_is_the_textbook_one():
    estimate = mean_with_stderr(SCORES)
    assert estimate.value == pytest.approx(0.7)
    assert estimate.stderr == pytest.approx(0.152753, abs=5e-7)
    assert estimate.stderr == pytest.approx(stats.sem(SCORES))
    assert (estimate.n, estimate.groups) == (10, 10)


def test_clustered_standard_error_agrees_with_statsmodels():
    estimate = mean_with_stderr(SCORES, CLUSTERS)
    fit = sm.OLS(np.array(SCORES, float), np.ones(10)).fit(
        cov_type="cluster", cov_kwds={"groups": np.array([ord(c) for c in CLUSTERS]), "use_correction": True}
    )
    assert estimate.stderr == pytest.approx(0.084853, abs=5e-7)
    # statsmodels' correction is G/(G−1) · (n−1)/(n−k) with k = 1
    assert estimate.stderr == pytest.approx(float(fit.bse[0]), rel=1e-12)
    assert estimate.stderr * math.sqrt(3 / 4) == pytest.approx(0.073485, abs=5e-7)
    assert (estimate.n, estimate.groups) == (10, 4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6)), min_size=3, max_size=40))
def test_random_clusters_agree_with_statsmodels(rows):
    values = np.array([value for value, _ in rows])
    codes = np.array([code for _, code in rows])
    estimate = mean_with_stderr(values, [f"g{code}" for code in codes])
    if len(set(codes)) < 2:
        assert estimate.stderr is None
        return
    residuals = values - values.mean()
    clusters = len(set(codes))
    by_hand = math.sqrt(sum(residuals[codes == c].sum() ** 2 for c in set(codes)) * clusters / (clusters - 1)) / len(values)
    assert estimate.stderr == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


def test_an_empty_group_is_a_group_of_its_own():
    assert mean_with_stderr(SCORES, [""] * 10) == mean_with_stderr(SCORES)
    mixed = mean_with_stderr([1, 0, 1, 1], ["", "", "p", "p"])
    assert mixed.groups == 3


def test_groups_may_be_numbers():
    codes = np.array([ord(name) - ord("a") for name in CLUSTERS])  # among them 0, which is a number like any other
    assert mean_with_stderr(SCORES, codes) == mean_with_stderr(SCORES, CLUSTERS)
    assert mean_with_stderr([1.0, math.nan, 0.0, 1.0], np.array([7, 0, 3, 3])) == mean_with_stderr([1.0, 0.0, 1.0], ["a", "b", "b"])


def test_group_order_and_names_do_not_matter():
    order = np.random.default_rng(1).permutation(10)
    shuffled = mean_with_stderr([SCORES[i] for i in order], [CLUSTERS[i] + "x" for i in order])
    assert shuffled.stderr == pytest.approx(mean_with_stderr(SCORES, CLUSTERS).stderr, rel=1e-12)


def test_what_cannot_be_known_is_none():
    assert mean_with_stderr([0.5]).stderr is None
    assert mean_with_stderr([0.5, 0.7], ["a", "a"]).stderr is None
    nothing = mean_with_stderr([])
    assert (nothing.value, nothing.stderr, nothing.n) == (None, None, 0)
    all_nan = mean_with_stderr([math.nan, math.nan], ["a", "b"])
    assert (all_nan.value, all_nan.stderr, all_nan.n, all_nan.groups) == (None, None, 0, 0)


def test_nan_entries_do_not_count():
    assert mean_with_stderr([1.0, math.nan, 0.0, 1.0]) == mean_with_stderr([1.0, 0.0, 1.0])
    kept = mean_with_stderr([1.0, math.nan, 0.0, 1.0], ["a", "lost", "b", "b"])
    assert kept == mean_with_stderr([1.0, 0.0, 1.0], ["a", "b", "b"])


def test_clusters_must_match_values():
    with pytest.raises(ValueError, match="3 values but 2 clusters"):
        mean_with_stderr([1, 0, 1], ["a", "b"])


def test_clusters_are_numbered():
    for names in (["b", "", "b", "", "a"], np.array(["b", "", "b", "", "a"])):
        codes, count = cluster_codes(names, 5)
        assert (codes.tolist(), count) == ([0, 1, 0, 2, 3], 4)  # an empty name is a cluster of its own
        codes, count = cluster_codes(names, 5, np.array([False, True, True, False, True]))
        assert (codes.tolist(), count) == ([1, 0, 2], 3)
    for numbers in ([9, -1, 9], np.array([9, -1, 9])):
        codes, count = cluster_codes(numbers, 3)
        assert (codes[0] == codes[2] != codes[1], count) == (True, 2)
        assert cluster_codes(numbers, 3, np.array([True, False, True]))[1] == 1
    codes, count = cluster_codes(None, 3, np.array([True, False, True]))
    assert (codes.tolist(), count) == ([0, 1], 2)
    assert cluster_codes([], 0)[1] == cluster_codes(None, 0)[1] == 0


def test_resamples_come_in_blocks_and_are_the_same_draws():
    rng = np.random.default_rng(3)
    plain = [np.bincount(rng.integers(0, 7, size=7), minlength=7) for _ in range(50)]
    assert (np.concatenate(list(bootstrap_weights(7, 50, 3))) == plain).all()
    blocks = list(bootstrap_weights(7, 50, 3, width=200_000))  # 20 of them at a time
    assert [len(block) for block in blocks] == [20, 20, 10]
    assert (np.concatenate(blocks) == plain).all()


def test_epochs_are_averaged_within_items():
    answers = [[1, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 1]]
    values = [value for row in answers for value in row]
    index = [item for item in range(5) for _ in range(4)]
    means = item_means(values, index, 5)
    assert means.tolist() == [0.75, 0.25, 1.0, 0.0, 0.75]
    estimate = mean_with_stderr(means)
    assert estimate.value == pytest.approx(0.55)
    assert estimate.stderr == pytest.approx(0.183712, abs=5e-7)
    assert mean_with_stderr(values).stderr == pytest.approx(0.114133, abs=5e-7)  # the wrong one: attempts as items


def test_item_without_values_has_no_mean():
    means = item_means([1.0, math.nan, 0.0], [0, 1, 0], 3)
    assert means[0] == 0.5
    assert np.isnan(means[1:]).all()


def ratio(sums):
    return sums[..., 0] / sums[..., 1]


def test_bootstrap_of_a_mean_is_its_standard_error():
    rng = np.random.default_rng(3)
    values = rng.random(400)
    rows = np.column_stack([values, np.ones(400)])
    estimate = metric_estimate(rows, ratio, resamples=4000)
    exact = mean_with_stderr(values)
    assert estimate.value == pytest.approx(exact.value)
    assert estimate.stderr == pytest.approx(exact.stderr, rel=0.04)
    clusters = [f"c{i // 8}" for i in range(400)]
    shifted = values + np.repeat(rng.random(50), 8)
    grouped = metric_estimate(np.column_stack([shifted, np.ones(400)]), ratio, clusters, resamples=4000)
    assert grouped.stderr == pytest.approx(mean_with_stderr(shifted, clusters).stderr, rel=0.05)
    assert grouped.groups == 50


def pearson(sums):
    n, x, y, xx, yy, xy = (sums[..., i] for i in range(6))
    return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def test_bootstrap_of_a_correlation_agrees_with_scipy():
    rng = np.random.default_rng(5)
    x = rng.normal(size=120)
    y = 0.6 * x + rng.normal(size=120)
    rows = np.column_stack([np.ones(120), x, y, x * x, y * y, x * y])
    estimate = metric_estimate(rows, pearson, resamples=4000)
    assert estimate.value == pytest.approx(stats.pearsonr(x, y).statistic)
    reference = stats.bootstrap(
        (x, y),
        lambda a, b: stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert estimate.stderr == pytest.approx(reference.standard_error, rel=0.1)


def test_bootstrap_is_seeded_and_blocks_do_not_change_it(monkeypatch):
    rows = np.column_stack([np.arange(30.0), np.ones(30)])
    first = metric_estimate(rows, ratio, seed=7)
    assert metric_estimate(rows, ratio, seed=7) == first
    assert metric_estimate(rows, ratio, seed=8).stderr != first.stderr
    monkeypatch.setattr("proctor.analysis.uncertainty.CELLS", 90)
    assert metric_estimate(rows, ratio, seed=7).stderr == pytest.approx(first.stderr, rel=0.1)


def test_undefined_metrics_are_none_and_nan_rows_do_not_count():
    constant = np.column_stack([np.ones(5)] * 6)
    assert metric_estimate(constant, pearson).value is None
    with_nan = np.array([[1.0, 1.0], [np.nan, 1.0], [3.0, 1.0]])
    estimate = metric_estimate(with_nan, ratio)
    assert (estimate.value, estimate.n) == (2.0, 2)
    assert metric_estimate(np.zeros((0, 2)), ratio).value is None
    assert metric_estimate(np.ones((1, 2)), ratio).stderr is None


def test_intervals_cover_what_they_should():
    """95 % intervals from clustered standard errors cover the truth in about 95 % of simulated exams; ignoring clusters, in far fewer."""
    rng = np.random.default_rng(11)
    covered = naive = 0
    trials = 1500
    names = [f"g{i // 4}" for i in range(240)]
    for _ in range(trials):
        easy = rng.beta(2, 2, size=60).repeat(4)
        values = (rng.random(240) < easy).astype(float)
        estimate = mean_with_stderr(values, names)
        covered += abs(estimate.value - 0.5) <= 1.96 * estimate.stderr
        naive += abs(estimate.value - 0.5) <= 1.96 * mean_with_stderr(values).stderr
    assert 0.93 <= covered / trials <= 0.97
    assert naive / trials < 0.90


def test_several_metrics_of_the_same_sums_are_each_as_alone():
    rng = np.random.default_rng(3)
    rows, clusters = rng.random((40, 3)), [f"c{i % 9}" for i in range(40)]
    values = [lambda s: s[..., 0] / s[..., 1], lambda s: s[..., 2] * np.nan, lambda s: s[..., 2] ** 2]
    together = metric_estimates(rows, values, clusters, seed=5, resamples=300)
    assert together == [metric_estimate(rows, value, clusters, seed=5, resamples=300) for value in values]
    assert together[1].value is None
    assert together[0].stderr > 0
