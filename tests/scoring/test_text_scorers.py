import pytest

from proctor.errors import DataError
from proctor.scoring.text import F1, Contains, ExactMatch, QuasiExact, accepted, squad_normalise, token_f1
from proctor.types import Item, Response


def value(scorer, answer, target, choices=()):
    item = Item("1", {}, choices, target)
    assert scorer.check(item) is None
    (number,) = scorer.measure(answer, item, Response()).values.values()
    return number


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        # By the published rules of evaluate-v1.1.py: lower, punctuation out (not to spaces), then articles, then white space.
        ("The  Cat,\nsat!", "cat sat"),
        ("a.m.", "am"),
        ("well-known", "wellknown"),
        ("theory of an anthem", "theory of anthem"),
        ("«Été»", "«été»"),
        ("A", ""),
        ("the-a", "thea"),
    ],
)
def test_squad_normalisation(text, normal):
    assert squad_normalise(text) == normal
    assert squad_normalise(normal) == normal


@pytest.mark.parametrize(
    ("answer", "target", "f1"),
    [
        ("the cat sat", "A cat sat.", 1.0),
        ("cat on the mat", "cat mat", 2 * (2 / 3) * 1 / (2 / 3 + 1)),
        ("cat cat", "cat", 2 * 0.5 * 1 / 1.5),
        ("dog", "cat", 0.0),
        ("the", "a", 0.0),  # the script finds no common token
    ],
)
def test_squad_f1(answer, target, f1):
    assert token_f1(answer, target) == pytest.approx(f1, abs=1e-15)


def test_exact_match_and_its_options():
    assert value(ExactMatch(), " Paris\n", "Paris") == 1
    assert value(ExactMatch(), "paris", "Paris") == 0
    assert value(ExactMatch(ignore_case=True), "STRASSE", "straße") == 1
    assert value(ExactMatch(ignore_punctuation=True), "Paris,  Texas.", "Paris Texas") == 1
    assert value(ExactMatch(), "b", ["a", "b"]) == 1
    assert value(ExactMatch(), "7", 7) == 1
    assert value(ExactMatch(), "B", 1, ("x", "y")) == 1


def test_quasi_exact_and_f1_take_the_best_target():
    assert value(QuasiExact(), "The Cat!", ["dog", "cat"]) == 1
    assert value(QuasiExact(), "cats", ["dog", "cat"]) == 0
    assert value(F1(), "the black cat", ["dog", "black cat", "cat"]) == 1


def test_contains_any_and_all():
    assert value(Contains(), "the code is ab-12.", ["AB-12", "x"]) == 1
    assert value(Contains(ignore_case=False), "the code is ab-12.", "AB-12") == 0
    assert value(Contains(need="all"), "7, 8 and 9", ["7", "8", "10", "11"]) == 0.5
    assert value(Contains(), "7", "8") == 0


@pytest.mark.parametrize("target", [None, [], {"a": 1}, [None], True])
def test_targets_that_are_no_text(target):
    item = Item("q7", {}, target=target)
    for scorer in (ExactMatch(), QuasiExact(), F1(), Contains()):
        assert "must be a text" in scorer.check(item)
    with pytest.raises(DataError, match="item 'q7'"):
        accepted(item)
