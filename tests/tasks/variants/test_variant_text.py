"""Typos and casing touch words and nothing else."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.tasks.variants.text import in_case, with_typos, words_of

PROSE = st.text(alphabet=st.sampled_from("abcdeg zqäßÅΩжД \n.,?!-_(){}$`\"'0123/日本"), max_size=200)


@given(text=PROSE, seed=st.integers(0, 99))
@settings(deadline=None)
def test_typos_keep_lengths_first_letters_and_whatever_is_no_word(text, seed):
    changed = with_typos(text, 1.0, Random(seed))
    assert len(changed) == len(text)
    assert [c for c in changed if not c.isalpha()] == [c for c in text if not c.isalpha()]
    before, after = re.findall(r"[^\W\d_]+", text), re.findall(r"[^\W\d_]+", changed)
    assert [len(word) for word in after] == [len(word) for word in before]
    assert [word[0] for word in after] == [word[0] for word in before]
    assert with_typos(text, 1.0, Random(seed)) == changed
    assert with_typos(text, 0.0, Random(seed)) == text


@given(text=PROSE, inside=st.text(alphabet="abcdefgh .\n", max_size=30))
@settings(deadline=None)
def test_templates_code_formulas_and_quotations_stay(text, inside):
    flat = inside.replace("\n", " ")
    for protected in (f"{{{{ {inside} }}}}", f"`{flat}`", f"${flat}x$", f"```\n{inside}\n```", f'"{flat}"'):
        whole = f"Some words before {protected} and after"
        for changed in (with_typos(whole, 1.0, Random(1)), in_case(whole, "upper")):
            assert protected in changed
    assert in_case(text, "lower") == with_typos(in_case(text, "lower"), 0.0, Random(0))


@pytest.mark.parametrize(
    "line",
    [
        "    total = first",
        "def total(first):",
        "import numbers",
        ">>> total",
        "see https://words.example/paths",
        "snake_case x.attribute f(value)",
    ],
)
def test_lines_of_code_and_addresses_stay(line):
    assert in_case(f"plain\n{line}\nplain", "upper") in (f"PLAIN\n{line}\nPLAIN", f"PLAIN\n{line.replace('see', 'SEE')}\nPLAIN")


def test_words_that_count_are_kept():
    keep = frozenset({"amber", "whale"})
    assert in_case("The Whale ate Amber, slowly.", "upper", keep) == "THE Whale ATE Amber, SLOWLY."
    assert with_typos("whale amber whale", 1.0, Random(3), keep) == "whale amber whale"
    assert with_typos("beautiful weather", 1.0, Random(3)) != "beautiful weather"


def test_scripts_without_case_and_mixtures_stay():
    text = "日本語の問題 مرحبا Straße B2B x86"
    assert in_case(text, "upper") == "日本語の問題 مرحبا Straße B2B x86"  # the upper case of ß is longer
    assert with_typos("日本語の問題です", 1.0, Random(0)) == "日本語の問題です"
    assert list(words_of("Ab c-d, 3e")) == ["ab", "c", "d", "e"]


def test_about_the_share_asked_for_is_changed():
    text = "garden " * 4000
    changed = with_typos(text, 0.2, Random(0)).split()
    assert 0.17 < sum(word != "garden" for word in changed) / 4000 < 0.23


def test_a_long_row_of_letters_is_read_once():
    """The bytes of a picture in a column: the search for addresses took time by the square of its length."""
    encoded = "QUFB" * 250_000
    assert with_typos(f"{encoded} wonderful", 0.0, Random(1)) == f"{encoded} wonderful"
    assert in_case("see http://example.org/Page now", "upper") == "SEE http://example.org/Page NOW"
