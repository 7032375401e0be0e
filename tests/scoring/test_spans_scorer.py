import json
import random

import numpy as np
import pytest

from proctor.errors import TaskError
from proctor.scoring.spans import Spans
from proctor.types import Item


def prf(found, given):
    """Micro precision, recall and F1 of sets, counted as the SemEval-2017 task 10 script does: exact matches over all documents."""
    right = sum(len(f & g) for f, g in zip(found, given, strict=True))
    p, r = right / sum(map(len, found)), right / sum(map(len, given))
    return 2 * p * r / (p + r), p, r


@pytest.mark.parametrize("seed", range(3))
def test_labelled_spans(task_values, seed):
    draw = random.Random(seed)

    def some():
        return {start: (start, start + draw.randint(1, 2), draw.choice("ABC")) for start in range(0, 30, 3) if draw.random() < 0.6}

    given = [set(some().values()) or {(0, 1, "A")} for _ in range(25)]
    found = [{one if draw.random() < 0.7 else (one[0], one[1], draw.choice("ABC")) for one in g} | set(some().values()) for g in given]
    # Two labels at one place: the first counts.
    found = [set({(s, e): (s, e, k) for s, e, k in sorted(f, reverse=True)}.values()) for f in found]
    items = [Item(str(i), {}, target=[list(one) for one in g]) for i, g in enumerate(given)]
    answers = [json.dumps([{"start": s, "end": e, "label": k} for s, e, k in f]) for f in found]
    result = task_values(Spans(), answers, items)
    assert [result[f"span_{n}"] for n in ("f1", "precision", "recall")] == pytest.approx(prf(found, given))
    places = [[{one[:2] for one in g} for g in which] for which in (found, given)]
    assert [result[f"place_{n}"] for n in ("f1", "precision", "recall")] == pytest.approx(prf(*places))


def test_keyphrases(task_values):
    items = [Item("1", {}, target=["neural  network", "Loss"]), Item("2", {}, target='["tree"]'), Item("3", {}, target="graph; node")]
    found = task_values(Spans(first=2), ["Neural Network, entropy, loss", '["tree"]', None], items)
    assert found["span_precision"] == pytest.approx(2 / 3)  # the third phrase is not looked at
    assert found["span_recall"] == pytest.approx(2 / 5)
    assert found["place_f1"] == found["span_f1"] == pytest.approx(2 * 2 / (3 + 5))


def test_several_right_labels_and_f_half(task_values):
    items = [Item("1", {}, target=[[0, 1, {"big": 3, "large": 1}], [4, 5, ["quick"]], [7, 8, "x"]])]
    found = task_values(Spans(beta=0.5), ['Here: [[0, 1, "large"], [4, 5, "slow"], [9, 10, "y"], [9, 10, "z"]]'], items)
    p, r = 1 / 3, 1 / 3
    assert found["span_f0.5"] == pytest.approx(1.25 * p * r / (0.25 * p + r))
    assert found["place_precision"] == found["place_recall"] == pytest.approx(2 / 3)
    assert found["label_accuracy"] == pytest.approx(1 / 2)


def test_nothing_said_and_what_is_no_span(task_values):
    item = Item("1", {}, target=[[0, 1]])
    measured = Spans().measure('[[0, 1], [5], {"start": "a"}, 7]', item, None)
    assert measured.reason == "3 entries are no spans"
    assert measured.values["span:right"] == 1
    assert np.isnan(task_values(Spans(), ["[]"], [Item("1", {}, target=[])])["span_f1"])
    assert "a span is" in Spans().check(Item("1", {}, target=[[1]]))
    assert "list of spans" in Spans().check(Item("1", {}, target=5))
    with pytest.raises(TaskError, match="above 0"):
        Spans(beta=0)
    with pytest.raises(TaskError, match="1 or more"):
        Spans(first=0)
