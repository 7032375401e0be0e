import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error

from proctor.errors import TaskError
from proctor.scoring.ordinal import Ordinal
from proctor.types import Item

STAGES = ["none", "mild", "moderate", "severe"]


def reference(truth, said):
    return {
        "qwk": cohen_kappa_score(truth, said, weights="quadratic"),
        "rank_mae": mean_absolute_error(truth, said),
        "accuracy": accuracy_score(truth, said),
        "spearman": scipy.stats.spearmanr(truth, said).statistic,
        "answered": 1.0,
    }


def drawn(seed):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 4, 70)
    return truth, np.clip(truth + draw.integers(-1, 2, 70), 0, 3)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_against_scikit_learn(task_values, seed):
    truth, said = drawn(seed)
    items = [Item(str(i), {}, target=int(t)) for i, t in enumerate(truth)]
    assert task_values(Ordinal(), [f"grade {s}" for s in said], items) == pytest.approx(reference(truth, said), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_labels_against_scikit_learn(task_values, seed):
    truth, said = drawn(seed)
    items = [Item(str(i), {}, target=STAGES[t]) for i, t in enumerate(truth)]
    found = task_values(Ordinal(levels=STAGES), [f"{STAGES[s].upper()}." for s in said], items)
    assert found == pytest.approx(reference(truth, said), abs=1e-12)


def test_without_a_grade(task_values):
    truth, said = np.array([0, 1, 2, 3, 3]), np.array([0, 2, 2, 3, 0])
    items = [Item(str(i), {}, target=STAGES[t]) for i, t in enumerate(truth)]
    answers = [STAGES[s] for s in said[:3]] + [None, "who knows"]
    found = task_values(Ordinal(levels=STAGES), answers, items)
    expected = reference(truth[:3], said[:3]) | {"accuracy": 2 / 5, "answered": 3 / 5}
    assert found == pytest.approx(expected, abs=1e-12)
    found = task_values(Ordinal(levels=STAGES, missing="none"), answers, items)
    assert found == pytest.approx(reference(truth, np.array([0, 2, 2, 0, 0])) | {"answered": 3 / 5}, abs=1e-12)


def test_options_and_targets():
    assert Ordinal(main="rank_mae", levels=STAGES).metrics[0].bounds == (0, 3)
    assert Ordinal().check(Item("1", {}, target=1.5)) == "the target must be a whole number, not 1.5"
    assert "one of none, mild" in Ordinal(levels=STAGES).check(Item("1", {}, target="grave"))
    with pytest.raises(TaskError, match="two labels or more"):
        Ordinal(levels=["a", "A"])
    with pytest.raises(TaskError, match="missing must be one of"):
        Ordinal(levels=STAGES, missing="grave")
