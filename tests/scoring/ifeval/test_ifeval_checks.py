import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.scoring.ifeval.checks import CHECKS, complaint, kept, variants

ENGLISH = "the quick brown fox jumps over the lazy dog and runs away from it through the forest to the river"
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und läuft durch den Wald bis zum Fluss hinunter."

# One answer that keeps each kind and one that breaks it, beside the edges the authors' definitions have.
CASES = [
    ("keywords:existence", {"keywords": ["fox", "den"]}, "A Foxy garden", "a fox"),
    ("keywords:existence", {"keywords": [":("]}, "sad :(", "sad :"),
    ("keywords:frequency", {"keyword": " sea ", "frequency": 2, "relation": "at least"}, "Sea, season", "sea"),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "less than"}, "sea", "Sea, season"),
    ("keywords:forbidden_words", {"forbidden_words": ["sea", "high tide"]}, "the season", "at High Tide"),
    ("keywords:letter_frequency", {"letter": "A", "let_frequency": 2, "let_relation": "at least"}, "Aa", "a b"),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "# one\n# two", "# one"),
    ("language:response_language", {"language": "de"}, GERMAN, ENGLISH),
    ("language:response_language", {"language": "de"}, "12 34", ENGLISH),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Lee left. He ran.",
        "Dr. Lee left at 3.30 with Mr. Ray.",
    ),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "One", "One. Two!"),
    ("length_constraints:number_words", {"num_words": 4, "relation": "at least"}, "don't go there", "one two three"),
    ("length_constraints:number_words", {"num_words": 2, "relation": "less than"}, "one", "well-known"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "***\na\n***\nb", "a\n***\n***\nb"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a\n\nb"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Elm"},
        "one\n\n'elm, tree'",
        "one\n\nelms",
    ),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "one"}, "One\n\ntwo", "one"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] of [town]", "[name\nof town]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\np. s. more", "Bye.\nPS more"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S more", "Bye.\nP.S. more"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b\n**c**", "* a\n- b\n* c"),
    ("detectable_format:constrained_response", {}, "So: My answer is maybe.", "My answer is no"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and *b c*", "*a* and * *"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "**a** and **b**", "**a** alone"),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2}, "Section 1 a Section 2 b", "Section A b"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:json_format", {}, "[1]", "[" * 100_000),
    ("detectable_format:title", {}, "<<My Day>>\nit was", "<< >> <My Day>"),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("combination:two_responses", {}, "******one******two******", "one ****** ****** two"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hello. "}, "\nsay HELLO. Hello!", "Hello! Say hello."),
    ("startend:end_checker", {"end_phrase": "Any questions?"}, '"So it is. any questions?"', "Any questions? No."),
    ("startend:quotation", {}, ' "all of it" ', '"'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "A WELL-KNOWN thing", "Well-KNOWN A"),
    ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": "less than"}, "none here", "ONE"),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH.capitalize()),
    ("change_case:english_lowercase", {}, ENGLISH, GERMAN.lower()),
    ("punctuation:no_comma", {}, "a; b、c", "a, b"),
]


@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), CASES)
def test_each_kind(kind, arguments, good, bad):
    assert complaint(kind, arguments) is None
    assert kept(good, kind, arguments)
    assert not kept(bad, kind, arguments)


def test_all_25_kinds_are_tested():
    assert {kind for kind, *_ in CASES} == set(CHECKS)
    assert len(CHECKS) == 25


@given(st.text(alphabet="*- \t\n\ra", max_size=30))
def test_bullets_are_those_of_the_authors_pattern(text):
    theirs = len(re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)) + len(re.findall(r"^\s*-.*$", text, re.MULTILINE))
    assert not text.strip() or kept(text, "detectable_format:number_bullet_lists", {"num_bullets": theirs})


@pytest.mark.parametrize("kind", CHECKS)
def test_an_empty_answer_keeps_nothing(kind):
    assert not kept(" \n", kind, {})


@pytest.mark.parametrize(
    ("kind", "arguments", "text", "as_english", "by_language"),
    [
        # Chinese: each character is a word, its full stop ends a sentence; a comma between Latin letters joins them, as in Multi-IF.
        ("length_constraints:number_words", {"num_words": 8, "relation": "at least"}, "我们今天去公园散步，天气很好。", False, True),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "我们今天去公园。天气很好！", False, True),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "यह एक वाक्य है। यह दूसरा वाक्य है।", False, True),
        ("startend:quotation", {}, "“好的”", False, True),
        ("startend:quotation", {}, "「はい」", False, True),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "una casa grande", True, True),
    ],
)
def test_other_languages_count_by_their_own_rules(kind, arguments, text, as_english, by_language):
    assert kept(text, kind, arguments) is as_english
    assert kept(text, kind, arguments, by_language=True) is by_language


def test_the_eight_versions_of_loose():
    as_it_is = ["Sure:\n*a*\nb\nBye", "*a*\nb\nBye", "Sure:\n*a*\nb", "*a*\nb"]
    assert variants(as_it_is[0]) == [*as_it_is, *(text.replace("*", "") for text in as_it_is)]
    assert variants("one") == ["one", ""]


@settings(max_examples=30)
@given(st.text(max_size=80))
def test_no_answer_breaks_a_check(text):
    for kind, arguments, _, _ in CASES:
        assert kept(text, kind, arguments) in (True, False)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("punctuation:no_coma", {}, "did you mean 'punctuation:no_comma'"),
        ("punctuation:no_comma", [], "must be a mapping"),
        ("length_constraints:number_words", {"num_words": 3}, "needs relation"),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at most"}, "number_words.relation"),
        ("length_constraints:number_words", {"num_words": "3", "relation": "at least"}, "number_words.num_words"),
        ("punctuation:no_comma", {"count": 2}, "it takes: none"),
    ],
)
def test_what_is_wrong_is_said(kind, arguments, words):
    assert words in complaint(kind, arguments)


def test_nulls_of_the_hub_are_no_arguments():
    arguments = {"num_words": 2, "relation": "at least", "keyword": None, "letter": None}
    assert complaint("length_constraints:number_words", arguments) is None
    assert kept("one two", "length_constraints:number_words", arguments)
