import json
import random

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, hamming_loss
from sklearn.preprocessing import MultiLabelBinarizer

from proctor.scoring.multilabel import Multilabel
from proctor.types import Item

LABELS = ["anger", "fear", "joy", "trust"]


def reference(truth, said):
    binary = MultiLabelBinarizer(classes=LABELS)
    y, x = binary.fit_transform(truth), binary.transform(said)
    return {
        "micro_f1": f1_score(y, x, average="micro"),
        "macro_f1": f1_score(y, x, average="macro", zero_division=0),
        "samples_f1": f1_score(y, x, average="samples", zero_division=1),
        "subset_accuracy": accuracy_score(y, x),
        "hamming_loss": hamming_loss(y, x),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write", [lambda s: ", ".join(s).upper() or "none", json.dumps, lambda s: "\n".join(s) or "[]"])
def test_against_scikit_learn(task_values, seed, write):
    draw = random.Random(seed)
    truth = [[label for label in LABELS if draw.random() < 0.4] for _ in range(50)] + [LABELS]
    said = [[label for label in LABELS if (label in t) != (draw.random() < 0.2)] for t in truth]
    items = [Item(str(i), {}, target=t) for i, t in enumerate(truth)]
    assert task_values(Multilabel(), [write(s) for s in said], items) == pytest.approx(reference(truth, said), abs=1e-12)


def test_unknown_labels_and_no_answer(task_values):
    items = [Item("1", {}, target=["a", "b"]), Item("2", {}, target="a; b"), Item("3", {}, target=[])]
    found = task_values(Multilabel(), ["a, c", None, None], items)
    assert found["micro_f1"] == pytest.approx(2 * 1 / (4 + 2))  # c is a false alarm
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)  # and no class
    assert found["samples_f1"] == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert found["subset_accuracy"] == 0
    assert found["hamming_loss"] == pytest.approx(3 / 6)


def test_options_and_targets(task_values):
    assert Multilabel(main="samples_f1").metrics[0].name == "samples_f1"
    assert "list of labels" in Multilabel().check(Item("1", {}, target={"a": 1}))
    assert np.isnan(task_values(Multilabel(), ["[]"], [Item("1", {}, target=[])])["micro_f1"])
