"""Reading what a model says of its confidence."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.scoring.stated_confidence import FIRST, SECOND, SURER, WORDS, Stated, comparison, first_share, spoken
from proctor.types import Exchange, Generate, Likelihood, Prompt, Response

ASKED = Likelihood((Prompt(),), ("(A)", "(B)"))


def said(name, *values, text=None):
    if text is not None:
        return Exchange(name, Generate(Prompt()), Response(text=text))
    return Exchange(name, ASKED, Response(loglikelihoods=(values,)))


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("85", "percent", 0.85),
        ("85%", "percent", 0.85),
        ("I am 85 % sure", "percent", 0.85),
        ("0.85", "percent", 0.85),
        ("1", "percent", 0.01),
        ("1.0", "percent", 1.0),
        ("100", "percent", 1.0),
        ("My confidence: 92,5 %", "percent", 0.925),
        ("8/10", "percent", 0.8),
        ("8 out of 10", "percent", 0.8),
        ("90 out of 100", "percent", 0.9),
        ("In 1969, so 95%", "percent", 0.95),
        ("<think>maybe 20</think>70", "percent", 0.7),
        ("150", "percent", None),
        ("quite sure", "percent", None),
        ("-5", "percent", None),
        ("", "percent", None),
        ("7", "ten", 0.7),
        ("70%", "ten", 0.7),
        ("11", "ten", None),
        ("Very likely.", "words", 0.9),
        ("It is very  unlikely", "words", 0.1),
        ("unlikely", "words", 0.3),
        ("likely", "words", 0.7),
        ("about even", "words", 0.5),
        ("likely or about even", "words", None),
        ("certainly", "words", None),
    ],
)
def test_spoken_confidences(text, scale, value):
    found = spoken(text, scale)
    assert found is None if value is None else found == pytest.approx(value)


@given(number=st.integers(0, 100), around=st.sampled_from(["{}%", "{} %", "about {} percent", "{}/100", "Answer: {}%.", "**{}%**"]))
@settings(deadline=None)
def test_percentages_are_read_in_any_dress(number, around):
    assert spoken(around.format(number)) == pytest.approx(number / 100)


@given(text=st.text(max_size=60), scale=st.sampled_from(["percent", "ten", "words"]))
@settings(deadline=None)
def test_whatever_is_said_is_a_confidence_or_none(text, scale):
    found = spoken(text, scale)
    assert found is None or 0 <= found <= 1


def test_every_word_is_read_as_itself():
    assert {word: spoken(word.capitalize() + ".", "words") for word in WORDS} == WORDS


def test_two_likelihoods_are_a_share():
    assert first_share(said("p_true", -1.0, -2.0)) == pytest.approx(math.e**-1 / (math.e**-1 + math.e**-2))
    assert first_share(said("p_true", 0.0, -900.0)) == 1
    assert first_share(said("p_true", -900.0, 0.0)) == pytest.approx(0)
    assert [first_share(said("p_true", text=text)) for text in ("(A)", "(B)", "The answer is (A).", "no idea", "")] == [1, 0, 1, None, None]


def test_values_of_an_attempt():
    response = Response(
        text="x",
        exchanges=(
            said("turn 2", text="99%"),
            said("p_true", -1.0, -1.0),
            said("verbal", text="80"),
            said(f"{SURER}q, 7{FIRST}", math.log(0.9), math.log(0.1)),
            said(f"{SURER}q, 7{SECOND}", math.log(0.3), math.log(0.7)),
        ),
    )
    assert Stated("p_true").value(response) == 0.5
    assert Stated("p_ik").value(response) is None
    assert Stated("verbal").value(response) == 0.8
    assert Stated("relative").value(response) == pytest.approx(0.8)
    told = [comparison(one) for one in response.exchanges]
    assert told[:3] == [None] * 3
    assert told[3] == ("q, 7", pytest.approx(0.9))
    assert told[4] == ("q, 7", pytest.approx(0.7))
    assert Stated("verbal").metric.name == "confidence_verbal"
