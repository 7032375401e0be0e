import random
import warnings

import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from proctor.scoring.classification import Classification
from proctor.types import Item

LABELS = ["negative", "neutral", "positive"]


def reference(truth, said):
    """scikit-learn; an unknown or missing answer as one more label, which is no class of the macro mean."""
    classes = sorted(set(truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": accuracy_score(truth, said),
            "macro_f1": f1_score(truth, said, labels=classes, average="macro"),
            "mcc": matthews_corrcoef(truth, said),
        }


@pytest.mark.parametrize("seed", range(4))
def test_free_labels_against_scikit_learn(task_values, seed):
    draw = random.Random(seed)
    truth = [draw.choice(LABELS) for _ in range(60)]
    said = [t if draw.random() < 0.6 else draw.choice([*LABELS, "other", None]) for t in truth]
    items = [Item(str(i), {}, target=t) for i, t in enumerate(truth)]
    answers = [None if s is None else f" {s.capitalize()}." for s in said]
    found = task_values(Classification(), answers, items)
    assert found == pytest.approx(reference(truth, [s if s in LABELS else "~none" for s in said]), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_choices_against_scikit_learn(task_values, seed):
    draw = random.Random(100 + seed)
    truth = [draw.choice([0, 1, 1, 2]) for _ in range(50)]
    said = [t if draw.random() < 0.5 else draw.randrange(3) for t in truth]
    items = [Item(str(i), {}, ("x", "y", "z"), t) for i, t in enumerate(truth)]
    found = task_values(Classification(), ["ABC"[s] for s in said], items)
    expected = {
        "accuracy": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro"),
        "mcc": matthews_corrcoef(truth, said),
    }
    assert found == pytest.approx(expected, abs=1e-12)


def test_choice_never_right_is_still_a_class_as_in_scikit_learn(task_values):
    items = [Item(str(i), {}, ("x", "y", "z"), 0) for i in range(3)]
    found = task_values(Classification(), ["A", "A", "C"], items)
    assert found["macro_f1"] == pytest.approx(f1_score([0, 0, 0], [0, 0, 2], average="macro"))
    assert found["mcc"] == 0


def test_unanswered_choice_counts_as_a_miss(task_values):
    items = [Item(str(i), {}, ("x", "y"), t) for i, t in enumerate([0, 1, 0])]
    found = task_values(Classification(), ["A", "B", None], items)
    assert found == pytest.approx(reference([0, 1, 0], [0, 1, 9]))


def test_several_right_labels(task_values):
    items = [Item("1", {}, target=["a", "b"]), Item("2", {}, target="b"), Item("3", {}, target=["a", "b"])]
    found = task_values(Classification(), ["b", "b", "c"], items)
    assert found == pytest.approx(reference(["b", "b", "a"], ["b", "b", "c"]))


def test_bad_targets():
    assert "index of a choice" in Classification().check(Item("1", {}, ("x", "y"), 4))
    assert "must be a text" in Classification().check(Item("1", {}, target=None))
