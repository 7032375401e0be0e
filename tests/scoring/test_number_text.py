from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.scoring.number_text import find_number, read_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("it is 1,234", "1234"),
        ("$5.50 each", "5.50"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("£1,200.75.", "1200.75"),
        ("−3 degrees", "-3"),
        ("x=-.5", "-.5"),
        ("pages 10-12", "12"),
        ("7 - 3", "3"),
        ("- 5 apples", "5"),
        ("3/4.", "3/4"),
        ("1 3/4", "7/4"),
        ("-1 1/2", "-3/2"),
        (r"\frac{3}{4}", "3/4"),
        (r"-\dfrac{3}{4}", "-3/4"),
        (r"1{,}234", "1234"),
        ("50%", "50"),
        ("on 1/2/2024", "2024"),
        ("2 × 10^5", "2e5"),
        (r"2 \times 10^{-5}", "2e-5"),
        ("1.5e-3", "1.5e-3"),
        ("...42", "42"),
        ("the 3rd", "3"),
        ("12,34", "34"),
        ("1/0", None),
        ("version v1.2", None),
        ("none", None),
        ("9" * 500, None),
    ],
)
def test_last_number(text, number):
    assert find_number(text) == number


def test_first_and_last():
    assert find_number("3 apples and 4 pears", "first") == "3"
    assert find_number("3 apples and 4 pears") == "4"


def test_values_are_exact():
    assert read_number("0.1") == read_number(0.1) == Fraction(1, 10)
    assert read_number("2 × 10^5") == read_number(200000) == 200000
    assert read_number(float("nan")) is None
    assert read_number(True) is None
    assert read_number(["1"]) is None


@given(st.integers(-(10**15), 10**15))
@settings(deadline=None)
def test_integers_survive_thousands_separators_and_prose(number):
    assert read_number(f"The answer is {number:,}.") == number


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
@settings(deadline=None)
def test_decimals_are_read_exactly(number):
    assert read_number(f"so {number:f} metres") == Fraction(number)


@given(st.text(alphabet=st.sampled_from("0123456789.,/-−$%eE×x^{}\\frac ()"), max_size=60))
@settings(deadline=None)
def test_never_raises_and_reading_again_changes_nothing(text):
    found = find_number(text)
    if found is not None:
        assert find_number(found) == found
        assert read_number(text) == Fraction(found)


def test_gsm8k_verdicts_of_published_solutions(shared_lines):
    """OpenAI's `is_correct` of four models' GSM8K solutions, 4 × 1,319; published solve rates 21.68, 39.04, 34.72, 56.25 %."""
    rows = shared_lines("gsm8k/grade_school_math/data/example_model_solutions.jsonl")
    rates = {}
    for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
        verdicts = [read_number(row[model]["solution"]) == read_number(row["ground_truth"].rsplit("A: ", 1)[1]) for row in rows]
        assert verdicts == [row[model]["is_correct"] for row in rows]
        rates[model] = round(100 * sum(verdicts) / len(verdicts), 2)
    assert list(rates.values()) == [21.68, 39.04, 34.72, 56.25]
