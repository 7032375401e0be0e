"""Δm of Maninis et al. 2019, worked by hand, and its standard error by simulation."""

import numpy as np
import pytest

from proctor.analysis.multitask import delta_m


def test_worked_example() -> None:
    found = delta_m([72, 18, 0.55], [70, 20, 0.50], [False, False, True])
    assert found.per_task == pytest.approx((0.028571, -0.1, -0.1), abs=1e-6)
    assert found.value == pytest.approx(-0.05714, abs=1e-5)
    assert found.stderr is None
    assert found.per_task_stderr == ()


def test_standard_error_by_simulation() -> None:
    rng = np.random.default_rng(0)
    model, baseline, lower = np.array([72.0, 18.0, 0.55]), np.array([70.0, 20.0, 0.5]), [False, False, True]
    ours, theirs = np.array([0.8, 0.3, 0.01]), np.array([0.5, 0.4, 0.006])
    drawn_model, drawn_base = rng.normal(model, ours, (20_000, 3)), rng.normal(baseline, theirs, (20_000, 3))
    gains = np.where(lower, -1, 1) * (drawn_model - drawn_base) / drawn_base
    found = delta_m(model, baseline, lower, model_stderrs=ours, baseline_stderrs=theirs)
    assert found.per_task_stderr == pytest.approx(gains.std(axis=0), rel=0.02)
    assert found.stderr == pytest.approx(gains.mean(axis=1).std(), rel=0.02)
    alone = delta_m(model, baseline, lower, model_stderrs=ours)
    assert alone.per_task_stderr == pytest.approx(ours / baseline)


@pytest.mark.parametrize(
    ("model", "baseline", "message"),
    [
        ([1.0, 2.0], [1.0, 0.0], "baseline of task 1 is 0"),
        ([1.0, 2.0], [-1.0, 1.0], "baseline of task 0 is -1"),
        ([1.0, np.nan], [1.0, 1.0], "finite"),
        ([1.0], [1.0, 1.0], "one number per task"),
        ([], [], "one number per task"),
    ],
)
def test_refusals(model: list[float], baseline: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        delta_m(model, baseline, [False] * len(model))


def test_standard_errors_must_fit() -> None:
    with pytest.raises(ValueError, match="2 finite numbers"):
        delta_m([1.0, 2.0], [1.0, 1.0], [False, False], model_stderrs=[0.1])
    with pytest.raises(ValueError, match="none negative"):
        delta_m([1.0, 2.0], [1.0, 1.0], [False, False], baseline_stderrs=[0.1, -0.1])


def test_standard_error_on_the_same_items_by_simulation() -> None:
    rng = np.random.default_rng(1)
    model, baseline, lower = np.array([0.8, 2.0]), np.array([0.7, 2.5]), [False, True]
    spread = np.array([[0.02, 0.1], [0.03, 0.2]])  # of the model, of the baseline
    covariances = 0.8 * spread[0] * spread[1]
    each = [
        rng.multivariate_normal([m, b], [[sm**2, c], [c, sb**2]], 20_000)
        for m, b, sm, sb, c in zip(model, baseline, *spread, covariances, strict=True)
    ]
    gains = np.stack([sign * (one[:, 0] - one[:, 1]) / one[:, 1] for sign, one in zip((1, -1), each, strict=True)], axis=1)
    found = delta_m(model, baseline, lower, model_stderrs=spread[0], baseline_stderrs=spread[1], covariances=covariances)
    assert found.per_task_stderr == pytest.approx(gains.std(axis=0), rel=0.03)
    assert found.stderr == pytest.approx(gains.mean(axis=1).std(), rel=0.03)
    with pytest.raises(ValueError, match="2 finite numbers"):
        delta_m(model, baseline, lower, model_stderrs=spread[0], covariances=[0.1])
