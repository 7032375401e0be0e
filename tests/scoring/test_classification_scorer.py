import random
import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score, matthews_corrcoef

from proctor.errors import TaskError
from proctor.scoring.classification import Classification
from proctor.scoring.task_scoring import compile_scoring
from proctor.tasks.spec import ResponseSpec, ScoringSpec
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
            "weighted_f1": f1_score(truth, said, labels=classes, average="weighted"),
            "micro_f1": f1_score(truth, said, labels=classes, average="micro"),
            "balanced_accuracy": balanced_accuracy_score(truth, said),
            "kappa": cohen_kappa_score(truth, said),
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
    assert found == pytest.approx(reference(truth, said), abs=1e-12)


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


def test_main_metric_and_single_labels(task_values):
    scorer = Classification(main="kappa", each=["N1", "REM", "N4"])
    assert [m.name for m in scorer.metrics][:2] == ["kappa", "accuracy"]
    truth, said = ["N1", "N1", "REM", "N2", "N1"], ["N1", "rem", "REM", "N2", "N1"]
    found = task_values(scorer, said, [Item(str(i), {}, target=t) for i, t in enumerate(truth)])
    assert found["f1_N1"] == pytest.approx(0.8)
    assert found["f1_REM"] == pytest.approx(2 / 3)
    assert np.isnan(found["f1_N4"])  # occurs nowhere
    # A label that is asked for but never right is no class of the averages.
    assert found["macro_f1"] == pytest.approx(f1_score(truth, [s.upper() for s in said], average="macro"))
    with pytest.raises(TaskError, match="each once"):
        Classification(each=["a", "A"])
    assert "the choices are a and b" in Classification(each=["c"]).check(Item("1", {}, ("a", "b"), 0))
    moving = Classification(each=["a"])
    assert moving.check(Item("1", {}, ("a", "b"), 0)) is None
    assert "the same place" in moving.check(Item("2", {}, ("b", "a"), 0))


def test_new_options_leave_old_protocols_alone():
    def described(entry):
        return compile_scoring(ScoringSpec(metrics=[entry]), ResponseSpec(), "t.yaml").protocol["scorers"][0]["options"]

    assert described("classification") == described({"classification": {"main": "accuracy"}}) == {}
    assert described({"classification": {"main": "kappa"}}) == {"main": "kappa"}
