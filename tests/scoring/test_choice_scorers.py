import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import DataError, ModelError
from proctor.scoring.choice import Choice, ChoiceOrGuess, ChoiceSet, GeneratedChoice, largest, normalised, right_choices
from proctor.scoring.perplexity import Perplexity
from proctor.types import Item, Response

TEXTS = ("yes", "certainly not", "naïveté")
LLS = [(-2.0, -6.0, -5.0), (-1.0, -5.9, -1.0)]


def pick(*arguments):
    return largest(normalised(*arguments))


def test_normalisations():
    assert pick(LLS, TEXTS, None, "none") == 0
    # lm-evaluation-harness: acc_norm divides by len(choice), acc_bytes by its UTF-8 bytes.
    np.testing.assert_allclose(normalised(LLS, TEXTS, None, "char"), np.array(LLS[0]) / [len(t) for t in TEXTS])
    np.testing.assert_allclose(normalised(LLS, TEXTS, None, "byte"), np.array(LLS[0]) / [3, 13, 9])
    np.testing.assert_allclose(normalised(LLS, TEXTS, [1, 2, 5], "token"), [-2, -3, -1])
    np.testing.assert_allclose(normalised(LLS, TEXTS, None, "unconditional"), [-1, -0.1, -4])
    assert [pick(LLS, TEXTS, [1, 2, 5], n) for n in ("char", "byte", "token", "unconditional")] == [1, 1, 2, 1]


def test_ties_go_to_the_first_and_nan_never_wins():
    assert pick([(-1.0, -1.0)], ("a", "b"), None, "none") == 0
    assert pick([(math.nan, -9.0)], ("a", "b"), None, "none") == 1


def test_missing_numbers_are_a_models_fault():
    with pytest.raises(ModelError, match="token counts"):
        pick(LLS, TEXTS, None, "token")
    with pytest.raises(ModelError, match="second prompt"):
        pick(LLS[:1], TEXTS, None, "unconditional")
    with pytest.raises(ModelError, match="3 continuations"):
        pick([(-1.0, -2.0)], TEXTS, None, "none")


def test_accuracy_and_probability_of_the_right_choices():
    item = Item("1", {}, ("x", "y", "z"), [0, 2])
    lls = np.array([-1.0, -2.0, -3.0])
    p = np.exp(lls) / np.exp(lls).sum()
    measured = Choice().measure("A", item, Response(loglikelihoods=(tuple(lls),)))
    assert measured.values["acc"] == 1
    assert measured.values["p_true"] == pytest.approx(p[0] + p[2], rel=1e-12)
    assert Choice().measure("B", item, Response(loglikelihoods=(tuple(lls),))).values["acc"] == 0
    assert Choice().unanswered(item) == {"acc": 0.0, "p_true": 0.0}


def test_generated_choice():
    item = Item("1", {}, ("x", "y", "z"), 1)
    assert GeneratedChoice().measure("B", item, Response()).values == {"acc": 1.0}
    assert GeneratedChoice().measure("A", item, Response()).values == {"acc": 0.0}
    assert "expected B" in GeneratedChoice().measure("A", item, Response()).reason


@pytest.mark.parametrize("target", [2, -1, "B", None, [], [0, 5], True, 0.0])
def test_targets_that_are_no_choice(target):
    item = Item("q", {}, ("x", "y"), target)
    assert "index of a choice" in Choice().check(item)
    with pytest.raises(DataError, match="item 'q'"):
        right_choices(item)


def test_one_choice_is_no_choice():
    assert "at least two" in Choice().check(Item("q", {}, ("x",), 0))


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=6))
@settings(deadline=None)
def test_p_true_over_all_choices_sums_to_one(lls):
    choices = tuple(f"c{i}" for i in range(len(lls)))
    response = Response(loglikelihoods=(tuple(lls),))
    total = sum(Choice().measure("A", Item("1", {}, choices, i), response).values["p_true"] for i in range(len(lls)))
    assert total == pytest.approx(1)


def test_perplexity_definitions_of_lm_eval(task_values):
    """lm-evaluation-harness (lm_eval/api/metrics.py): weighted_perplexity exp(−Σll/Σw), bits_per_byte −Σll/Σbytes/ln 2."""
    texts, lls = [" a b ", "naïve text", "one"], [-10.0, -7.5, -3.25]
    words, n_bytes = 4 + 2 + 1, 5 + 11 + 3
    items = [Item(str(i), {}, target=text) for i, text in enumerate(texts)]
    responses = [Response(loglikelihoods=((ll,),)) for ll in lls]
    values = task_values(Perplexity(), [""] * 3, items, responses)
    assert values["word_perplexity"] == pytest.approx(math.exp(20.75 / words), rel=1e-14)
    assert values["byte_perplexity"] == pytest.approx(math.exp(20.75 / n_bytes), rel=1e-14)
    assert values["bits_per_byte"] == pytest.approx(20.75 / n_bytes / math.log(2), rel=1e-14)
    assert Perplexity().metrics[0].name == "bits_per_byte"
    assert not any(metric.higher_is_better or metric.bounds for metric in Perplexity().metrics)


def test_perplexity_leaves_out_what_failed(task_values):
    items = [Item("1", {}, target="abcd"), Item("2", {}, target="ef")]
    values = task_values(Perplexity(), ["", None], items, [Response(loglikelihoods=((-8.0,),)), Response()])
    assert values["byte_perplexity"] == pytest.approx(math.exp(2))
    assert Perplexity().unanswered(items[1]) == {}
    assert "text to predict" in Perplexity().check(Item("1", {}, target=""))


@settings(deadline=None)
@given(st.sets(st.sampled_from("ABCDE"), min_size=1), st.sets(st.sampled_from("ABCDE"), min_size=1))
def test_choice_set_is_exact_match_and_f1_of_sets(named, right):
    from sklearn.metrics import f1_score

    item = Item("i", {}, ("v", "w", "x", "y", "z"), "".join(sorted(right)))
    values = ChoiceSet().measure("、".join(named), item, Response()).values
    assert values["acc"] == float(named == right)
    truth, said = ([letter in one for letter in "ABCDE"] for one in (right, named))
    assert values["f1"] == pytest.approx(f1_score(truth, said))


def test_choice_set_reads_targets_of_all_forms_and_refuses_others():
    scorer = ChoiceSet()
    for target in ("AC", "A C", ["A", "C"], [0, 2]):
        item = Item("i", {}, ("x", "y", "z"), target)
        assert scorer.check(item) is None
        assert scorer.measure("C, A and not D", item, Response()).values == {"acc": 1.0, "f1": 1.0}
    for target in ("AD", "", [3], "ac", None):
        assert "A to C" in scorer.check(Item("i", {}, ("x", "y", "z"), target))
    assert "item.choices" in scorer.check(Item("i", {}, (), "A"))


def test_an_answer_that_is_missing_counts_as_a_guess_on_average():
    scorer = ChoiceOrGuess()
    item = Item("i", {}, tuple("abcdefghij"), 3)
    assert scorer.unanswered(item) == {"acc_guessed": 0.1}
    assert scorer.unanswered(Item("i", {}, ("a", "b", "c"), [0, 1])) == {"acc_guessed": pytest.approx(2 / 3)}
    assert scorer.measure("D", item, Response()).values == {"acc_guessed": 1.0}
    assert scorer.measure("E", item, Response()).values == {"acc_guessed": 0.0}
