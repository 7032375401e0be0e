import random
import warnings
from itertools import chain

import numpy as np
import pytest
import seqeval.metrics as seqeval
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from proctor.errors import TaskError
from proctor.scoring.tags import Entities, Tags, chunks
from proctor.types import Item

BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ANY = [*BIO, "E-PER", "S-PER", "E-LOC", "S-LOC"]


@given(st.lists(st.sampled_from(ANY), max_size=12))
def test_entities_are_those_of_seqeval(tags):
    assert sorted(chunks(tags)) == sorted(get_entities(tags))


def test_other_letters_for_the_same():
    assert chunks(["U-X", "B-Y", "M-Y", "L-Y"]) == chunks(["S-X", "B-Y", "I-Y", "E-Y"]) == [("X", 0, 0), ("Y", 1, 3)]


def sentences(seed, tags):
    draw = random.Random(seed)
    truth = [[draw.choice(tags) for _ in range(draw.randint(1, 9))] for _ in range(30)]
    return truth, [[tag if draw.random() < 0.7 else draw.choice(tags) for tag in one] for one in truth]


@pytest.mark.parametrize("seed", range(3))
def test_entity_scores_against_seqeval(task_values, seed):
    truth, said = sentences(seed, BIO)
    items = [Item(str(i), {}, target=t if i % 2 else " ".join(t)) for i, t in enumerate(truth)]
    answers = [" ".join(s) if i % 2 else str(s).replace("'", '"') for i, s in enumerate(said)]
    found = task_values(Entities(each=["LOC"]), answers, items)
    report = seqeval.classification_report(truth, said, output_dict=True)
    assert found == pytest.approx(
        {
            "entity_f1": seqeval.f1_score(truth, said),
            "entity_precision": seqeval.precision_score(truth, said),
            "entity_recall": seqeval.recall_score(truth, said),
            "token_accuracy": seqeval.accuracy_score(truth, said),
            "f1_LOC": report["LOC"]["f1-score"],
            "precision_LOC": report["LOC"]["precision"],
            "recall_LOC": report["LOC"]["recall"],
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_token_scores_against_scikit_learn(task_values, seed):
    truth, said = sentences(seed, ["OK", "BAD", "BAD"])
    items = [Item(str(i), {}, target=t) for i, t in enumerate(truth)]
    found = task_values(Tags(each=["BAD"]), [" ".join(s) for s in said], items)
    flat, other = [*chain(*truth)], [*chain(*said)]
    assert found == pytest.approx(
        {
            "token_accuracy": accuracy_score(flat, other),
            "token_macro_f1": f1_score(flat, other, average="macro"),
            "token_mcc": matthews_corrcoef(flat, other),
            "f1_BAD": f1_score(flat, other, pos_label="BAD"),
        }
    )


def test_too_short_too_long_and_none(task_values):
    items = [Item(str(i), {}, target="B-PER I-PER O") for i in range(3)]
    answers = ["B-PER I-PER", "B-PER I-PER O B-LOC", None]
    found = task_values(Entities(), answers, items)
    assert found["entity_precision"] == 1
    assert found["entity_recall"] == pytest.approx(2 / 3)
    assert found["token_accuracy"] == pytest.approx(6 / 9)
    assert task_values(Tags(), answers, items)["token_accuracy"] == pytest.approx(5 / 9)


def test_nothing_to_find_and_nothing_found_is_undefined(task_values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = task_values(Entities(), ["O O"], [Item("1", {}, target=["O", "O"])])
    assert np.isnan(found["entity_f1"])
    assert np.isnan(found["entity_recall"])


def test_options_and_targets():
    assert Tags(main="token_mcc").metrics[0].name == "token_mcc"
    assert "list of tags" in Tags().check(Item("1", {}, target=[]))
    assert "list of tags" in Entities().check(Item("1", {}, target=3))
    with pytest.raises(TaskError, match="each once"):
        Entities(each=["PER", "PER"])
