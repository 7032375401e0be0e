import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from proctor.errors import TaskError
from proctor.scoring.kendall import tau_b
from proctor.scoring.regression import Regression
from proctor.types import Item


def ccc(x, y):
    """Lin (1989), equation for the sample version with n in the denominators."""
    return 2 * np.cov(x, y, ddof=0)[0, 1] / (np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2)


def reference(x, y):
    return {
        "mae": mean_absolute_error(y, x),
        "rmse": root_mean_squared_error(y, x),
        "pearson": scipy.stats.pearsonr(x, y).statistic,
        "spearman": scipy.stats.spearmanr(x, y).statistic,
        "kendall": scipy.stats.kendalltau(x, y).statistic,
        "ccc": ccc(x, y),
    }


@pytest.mark.parametrize(("seed", "offset"), [(0, 0.0), (1, 1e6), (2, -40.0)])
def test_against_scipy_and_scikit_learn(task_values, seed, offset):
    draw = np.random.default_rng(seed)
    y = np.round(draw.normal(size=80) * 3 + offset, 1)  # rounding makes ties
    x = np.round(y + draw.normal(size=80), 1)
    items = [Item(str(i), {}, target=float(t)) for i, t in enumerate(y)]
    found = task_values(Regression(), [f"about {p}" for p in x], items)
    assert found.pop("answered") == 1
    assert found == pytest.approx(reference(x, y), rel=1e-8)


def test_without_a_substitute_the_unanswered_are_left_out_and_their_share_is_said(task_values):
    items = [Item(str(i), {}, target=t) for i, t in enumerate([1, 2, 3, 4, 5])]
    found = task_values(Regression(), ["1", "3", None, "no idea", "4"], items)
    assert found.pop("answered") == pytest.approx(0.6)
    assert found == pytest.approx(reference(np.array([1, 3, 4.0]), np.array([1, 2, 5.0])))


def test_with_a_substitute_they_count_as_it(task_values):
    items = [Item(str(i), {}, target=t) for i, t in enumerate([1, 2, 3, 4, 5])]
    found = task_values(Regression(missing=2.5), ["1", "3", None, "no idea", "4"], items)
    assert found.pop("answered") == pytest.approx(0.6)
    assert found == pytest.approx(reference(np.array([1, 3, 2.5, 2.5, 4]), np.array([1, 2, 3, 4, 5.0])))


def test_correlation_of_a_constant_is_undefined(task_values):
    items = [Item(str(i), {}, target=t) for i, t in enumerate([1, 2, 3])]
    found = task_values(Regression(), ["0.1"] * 3, items)
    assert np.isnan(found["pearson"])
    assert np.isnan(found["spearman"])
    assert np.isnan(found["kendall"])
    assert found["ccc"] == pytest.approx(0)


def test_main_metric_and_options():
    assert [m.name for m in Regression(main="spearman").metrics] == ["spearman", "mae", "rmse", "pearson", "kendall", "ccc", "answered"]
    with pytest.raises(TaskError, match="finite"):
        Regression(missing=float("inf"))
    assert "must be a number" in Regression().check(Item("1", {}, target="high"))


@pytest.mark.parametrize(("n", "levels"), [(7, 3), (40, 4), (61, 1000)])
def test_kendall_by_leaving_out(n, levels):
    draw = np.random.default_rng(n)
    x = draw.integers(0, levels, n).astype(float)
    y = x + draw.integers(-levels // 2, levels // 2 + 1, n)
    value, stderr = tau_b(x, y)
    assert value == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)
    without = np.array([scipy.stats.kendalltau(np.delete(x, i), np.delete(y, i)).statistic for i in range(n)])
    assert stderr == pytest.approx(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()), rel=1e-9)
    assert tau_b(x, y, np.arange(n)) == pytest.approx((value, stderr))
    # Every pair twice, as one cluster: no more sure than of each once.
    twice = tau_b(np.repeat(x, 2), np.repeat(y, 2), np.repeat(np.arange(n), 2))
    assert twice[1] == pytest.approx(stderr, rel=0.2)
