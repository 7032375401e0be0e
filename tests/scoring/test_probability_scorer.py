import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from proctor.errors import TaskError
from proctor.scoring.curves import average_precision, grouped_auc, roc_auc
from proctor.scoring.probability import Probability
from proctor.types import Item


def drawn(seed, n=80):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, n)
    p = np.round(np.clip(0.3 + 0.3 * y + 0.2 * draw.normal(size=n), 0, 1), 2)  # rounding makes ties; some are 0 or 1
    return y, p, draw.integers(0, 9, n)


def gauc(y, p, users):
    """AUC of each user by scikit-learn, weighted by rows; users of one outcome left out."""
    rows = [(roc_auc_score(y[users == u], p[users == u]), (users == u).sum()) for u in set(users) if len(set(y[users == u])) == 2]
    return sum(a * n for a, n in rows) / sum(n for _, n in rows)


@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn(task_values, seed):
    y, p, users = drawn(seed)
    items = [Item(str(i), {}, target=str(t), group=f"u{u}") for i, (t, u) in enumerate(zip(y, users, strict=True))]
    found = task_values(Probability(), [str(one) for one in p], items)
    assert found == pytest.approx(
        {
            "auc": roc_auc_score(y, p),
            "log_loss": log_loss(y, p),
            "gauc": gauc(y, p, users),
            "average_precision": average_precision_score(y, p),
            "brier": brier_score_loss(y, p),
            "answered": 1,
        },
        abs=1e-12,
    )


def test_small_numbers_are_read_and_certainty_is_clipped(task_values):
    items = [Item(str(i), {}, target=t) for i, t in enumerate([1, 0, 1])]
    found = task_values(Probability(), ["1e-05", "0", "0"], items)
    assert found["log_loss"] == pytest.approx(log_loss([1, 0, 1], [1e-5, 0, 0]))


def test_without_a_probability(task_values):
    y, p = [1, 0, 1, 0], ["0.9", "0.2", "high", "1.5"]
    items = [Item(str(i), {}, target="click" if t else "pass") for i, t in enumerate(y)]
    found = task_values(Probability(positive="Click"), p, items)
    assert found["answered"] == 0.5
    assert found["auc"] == 1
    assert np.isnan(found["gauc"])  # no groups
    found = task_values(Probability(positive="click", missing=0.5), [*p[:2], None, None], items)
    assert found["auc"] == pytest.approx(roc_auc_score(y, [0.9, 0.2, 0.5, 0.5]))
    assert found["log_loss"] == pytest.approx(log_loss(y, [0.9, 0.2, 0.5, 0.5]))


def test_one_outcome_has_no_area(task_values):
    found = task_values(Probability(), ["0.2", "0.4"], [Item("1", {}, target=0), Item("2", {}, target=False)])
    assert np.isnan([found["auc"], found["gauc"], found["average_precision"]]).all()
    assert found["log_loss"] == pytest.approx(log_loss([0, 0], [0.2, 0.4], labels=[0, 1]))


def test_options_and_targets():
    assert Probability(main="gauc").metrics[0].name == "gauc"
    assert "must be 1 or 0" in Probability().check(Item("1", {}, target="click"))
    assert "must be 1 or 0" in Probability(positive="click").check(Item("1", {}, target=["click"]))
    with pytest.raises(TaskError, match="from 0 to 1"):
        Probability(missing=2)


def delong(y, p):
    """DeLong, DeLong and Clarke-Pearson (1988), equations 2 to 6, pair by pair."""
    psi = (p[y == 1][:, None] > p[y == 0][None, :]) + 0.5 * (p[y == 1][:, None] == p[y == 0][None, :])
    m, n = psi.shape
    return np.sqrt(psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n)


@pytest.mark.parametrize("seed", range(3))
def test_standard_error_of_auc_is_delongs(seed):
    y, p, _ = drawn(seed)
    value, stderr = roc_auc(p, y == 1)
    assert (value, stderr) == pytest.approx((roc_auc_score(y, p), delong(y, p)))
    assert roc_auc(p, y == 1, np.arange(len(y))) == (value, stderr)


def test_clustered_standard_errors_are_the_spread_over_samples():
    """Users who share a level, drawn anew many times: what is estimated from one sample is the spread between samples."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(300):
        users = np.repeat(np.arange(60), 6)
        level = draw.normal(size=60)[users]
        y = draw.random(360) < 1 / (1 + np.exp(-level))
        p = level + draw.normal(size=360)
        found.append([roc_auc(p, y, users), grouped_auc(p, y, users), average_precision(p, y, users)])
    values = np.array(found, dtype=float)
    spread, estimated = values[:, :, 0].std(axis=0, ddof=1), values[:, :, 1].mean(axis=0)
    assert estimated == pytest.approx(spread, rel=0.12)
