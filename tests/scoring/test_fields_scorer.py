"""Answers of many formats: the rules of MEGA-Bench by name, fields and their weights, and how an answer is read.

Similarities are checked against rapidfuzz, boxes against an implementation over pixels, sets against sklearn's Jaccard score; the cases of
each rule are written after the authors' code (https://github.com/TIGER-AI-Lab/MEGA-Bench).
"""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor import Task
from proctor.errors import DataError
from proctor.scoring.field_metrics import NOT_HERE, RULES, iou
from proctor.scoring.field_values import as_list, as_mapping, as_set, boxes, last_structure, literal, points, unquoted
from proctor.scoring.fields import Fields, single
from proctor.types import Item, Response


def score(text, answer, metric, **more):
    item = Item("i", {}, target={"answer": answer, "metric": metric} | more)
    scorer = Fields()
    assert scorer.check(item) is None, scorer.check(item)
    return scorer.measure(text, item, Response(text=text)).values["fields"]


CASES = [
    ("exact_str_match", "Paris", [("Paris", 1), ("paris", 0), ("Answer: Paris", 1), ("I think.\nAnswer: Paris", 1)]),
    ("exact_str_match", "B", [("B", 1), ("(B)", 1), ("B. green", 1), ("(B) green", 1), ("C", 0), ("b", 0)]),
    ("exact_str_match", 7, [("7", 1), ("**Answer:** 7", 1), ("**Answer: 7**", 1), ("8", 0)]),
    ("exact_str_match_case_insensitive", "Paris", [("PARIS", 1), ("Rome", 0)]),
    ("simple_str_match", "ice-cream van", [("Ice cream van.", 1), ("icecreamvan", 1), ("ice", 0)]),
    ("code_result_exact_str_match", "```\n3\n4\n```", [("```\n3\n4\n```", 1), ("3 4", 0)]),
    ("multi_ref_phrase", "['the sun', 'Sol']", [("sol", 1), ("The Sun", 1), ("moon", 0)]),
    ("multi_ref_phrase", ["a", "b"], [("b", 1), ("c", 0)]),
    ("number_rel_diff_ratio", "200", [("200", 1), ("150", 0.75), ("500", 0), ("many", 0)]),
    ("number_rel_diff_ratio", "0", [("0", 1), ("1", 0)]),
    ("positive_int_match", "12", [("12", 1), ("12.0", 0), ("13", 0), ("twelve", 0)]),
    ("general_single_numerical_match", "3.14", [("3.14", 1), ("\\(x = 3.15\\)", 1), ("3.2", 0), ("$3.14$ m", 1), ("pi", 0)]),
    ("general_single_numerical_match", "50%", [("0.5", 1), ("50 %", 1), ("50", 0)]),
    ("general_single_numerical_match", "[1, 2]", [("[2, 1]", 1), ("[2.01, 1]", 1), ("[1]", 0), ("[1, 3]", 0)]),
    ("general_single_numerical_match", "no answer", [("No answer.", 1), ("3", 0)]),
    ("boxed_single_numerical_match", "\\boxed{\\frac{1}{2}}", [("so \\boxed{0.5}", 1), ("\\boxed{2}", 0)]),
    ("normalized_rmse", "0.5", [("0.5", 1), ("0.55", 0.5), ("0.7", 0), ("x", 0)]),
    ("angle_seq_float_rmse", "[10, 20]", [("[10, 20]", 1), ("[15, 25]", 0.5), ("[10]", 0), ("[90, 90]", 0)]),
    ("set_equality", "{1, 2}", [("[2, 1]", 1), ("2, 1", 1), ("1", 0), ("[1, 2", 0)]),
    ("set_equality", ["a", "b"], [("b, a", 1), ("['b', 'a', 'a']", 1), ("A, b", 0)]),
    ("set_equality_case_insensitive", "red, blue", [("Blue, RED", 1), ("blue", 0)]),
    ("str_set_equality_comma", "None", [("none", 1), ("none, one", 0)]),
    ("str_set_equality_line_break", "a\nb", [("b\nA", 1), ("a\\nb", 1), ("a", 0)]),
    ("jaccard_index", "1, 2, 3", [("1, 2, 3", 1), ("1, 2", 2 / 3), ("1, 4", 1 / 4), ("[]", 0)]),
    ("jaccard_index_case_insensitive", "a, b", [("A", 1 / 2), ("[['A'], 'b']", 1 / 3)]),
    ("set_precision", "1, 2, 3", [("1", 1), ("1, 9", 1 / 2), ("9", 0)]),
    ("chess_move_list_jaccard_index", "Qh5+, Nf3", [("Qh5#, Nf3", 1), ("Nf3", 1 / 2)]),
    ("sequence_equality", "[1, 2]", [("(1, 2)", 1), ("[2, 1]", 0)]),
    ("sequence_equality_case_insensitive", "['A', 'b']", [("a, B", 1), ("b, a", 0)]),
    ("sequence_accuracy_case_insensitive", "a, b, c, d", [("A, b, x, d", 3 / 4), ("a, b", 0)]),
    ("longest_common_list_prefix_ratio", "['a', 'b', 'c', 'd']", [("a, b, d", 1 / 2), ("b", 0), ("a, b, c, d, e", 1)]),
    ("dict_equality", {"a": 1}, [('{"a": 1}', 1), ("{'a': 1}", 1), ('{"a": 1, "b": 2}', 0), ("no", 0)]),
    ("dict_precision", {"a": "1", "b": "2"}, [('{"a": 1}', 1), ('{"a": "1", "c": "2"}', 1 / 2), ("{}", 0)]),
    ("dict_exact_str_match_agg_recall", {"a": "1", "b": "2"}, [('{"a": "1"}', 1 / 2), ('{"a": "1", "b": 2, "c": 3}', 1)]),
    ("dict_jaccard_agg_jaccard", {"a": [1, 2], "b": [3]}, [('{"a": [1], "b": [3]}', 3 / 4), ('{"a": [1, 2], "c": [3]}', 1 / 3)]),
    ("dict_set_equality_agg_jaccard", {"a": [1, 2]}, [('{"a": [2, 1]}', 1), ('{"a": [2], "b": []}', 1 / 2)]),
    ("dict_nbbox_iou_tuple_agg_jaccard", {"cat": [[0, 0, 1, 1]]}, [('{"cat": [[0, 0, 1, 0.5]]}', 1 / 2), ('{"dog": [[0, 0, 1, 1]]}', 0)]),
    ("nbbox_iou_single", "(0, 0, 1, 1)", [("[0, 0, 0.5, 1]", 1 / 2), ("It is [0, 0, 1, 1].", 1), ("[0, 0, 1]", 0), ("nowhere", 0)]),
    ("nbbox_iou_tuple", [[0, 0, 0.5, 1], [0.5, 0, 1, 1]], [("[[0.5, 0, 1, 1]]", 1), ("[[0, 0, 1, 1], [0, 0, 0.5, 1]]", 3 / 4), ("[]", 0)]),
    ("nbbox_iou_sequence", [[0, 0, 1, 1], [0, 0, 1, 1]], [("[[0, 0, 1, 1], [0, 0, 1, 0.5]]", 3 / 4), ("[[0, 0, 1, 1]]", 0)]),
    ("xml_nbbox_iou_single", "<box>0, 0, 1, 1</box>", [("<box>0,0,1,0.5</box>", 1 / 2), ("<box>0,0,1</box>", 0)]),
    ("xml_norm_point_distance", "<point>0.5, 0.5</point>", [("<point>0.5, 0.2</point>", 0.7), ("<point>2, 2</point>", 0), ("0.5, 0.5", 0)]),
    (
        "sequence_coords_similarity",
        "[(0, 0), (1, 1)]",
        [("[[0, 0], [1, 1]]", 1), ("[[0, 0]]", 0), ("[[1, 1], [1, 1]]", (1 + np.exp(-10)) / 2)],
    ),
]


@pytest.mark.parametrize(("rule", "right", "answers"), CASES, ids=[f"{rule}-{number}" for number, (rule, *_) in enumerate(CASES)])
def test_what_each_rule_gives(rule, right, answers):
    for text, expected in answers:
        assert score(text, right, rule) == pytest.approx(expected), text


def test_every_rule_that_needs_no_package_has_a_case():
    tried = {rule for rule, *_ in CASES} | {"xml_norm_point_in_bbox"}
    assert RULES.keys() - tried == {
        "near_str_match",
        "normalized_similarity_damerau_levenshtein",
        "bleu",
        "latex_expr_equality",
        "text_with_latex_expr_equality",
    }
    assert not RULES.keys() & NOT_HERE.keys()


def test_a_point_in_one_of_the_boxes_of_the_context():
    context = "{'bounding_boxes': ['(0.1, 0.1, 0.2, 0.2)', '(0.5, 0.5, 0.9, 0.9)']}"
    assert score("<point>0.6, 0.7</point>", "", "xml_norm_point_in_bbox", context=context) == 1
    assert score("<point>0.3, 0.7</point>", "", "xml_norm_point_in_bbox", context=context) == 0
    assert score("nothing", "", "xml_norm_point_in_bbox", context=context) == 0


def test_near_texts_are_as_near_as_rapidfuzz_says():
    distance = pytest.importorskip("rapidfuzz.distance").DamerauLevenshtein
    assert score("The Café de Flore", "cafe de flore", "near_str_match") == 1
    assert score("cafe de flora", "cafe de flore", "near_str_match") == pytest.approx(12 / 13)
    assert score("Café Deux Magots", "Café de Flore", "near_str_match") == 0
    for one, other in [("kitten", "sitting"), ("ab", "ba"), ("", "x")]:
        found = score(one, other, "normalized_similarity_damerau_levenshtein")
        assert found == pytest.approx(distance.normalized_similarity(one, other))


def test_bleu_has_the_right_text_as_its_hypothesis():
    sacrebleu = pytest.importorskip("sacrebleu")
    right, said = "the cat sat on the mat today", "the cat sat on the mat"
    assert score(said, right, "bleu") == pytest.approx(sacrebleu.corpus_bleu([right], [[said]]).score / 100)


def test_formulas_are_equal_by_mathematics():
    pytest.importorskip("math_verify")
    assert score("\\frac{2}{4}", "\\frac{1}{2}", "latex_expr_equality") == 1
    assert score("\\frac{2}{3}", "\\frac{1}{2}", "latex_expr_equality") == 0
    assert score("it is $\\frac{2}{4}$, yes", "It is $\\frac12$ yes", "text_with_latex_expr_equality") == 1
    assert score("it is not $\\frac{2}{4}$", "It is $\\frac12$", "text_with_latex_expr_equality") == 0


def test_sets_overlap_as_scikit_learn_says():
    sklearn = pytest.importorskip("sklearn.metrics")
    universe = list("abcdefgh")
    one, other = set("abcde"), set("defg")
    truth, said = ([int(letter in letters) for letter in universe] for letters in (one, other))
    assert score(json.dumps(sorted(other)), sorted(one), "jaccard_index") == pytest.approx(sklearn.jaccard_score(truth, said))
    assert score(json.dumps(sorted(other)), sorted(one), "set_precision") == pytest.approx(sklearn.precision_score(truth, said))


sides = st.tuples(*[st.integers(0, 20)] * 4).map(lambda s: (min(s[0], s[2]), min(s[1], s[3]), max(s[0], s[2]), max(s[1], s[3])))


@given(sides, sides)
def test_boxes_overlap_as_their_pixels_do(one, other):
    grids = []
    for left, top, right, bottom in (one, other):
        grid = np.zeros((20, 20), bool)
        grid[top:bottom, left:right] = True
        grids.append(grid)
    union = (grids[0] | grids[1]).sum()
    assert iou(one, other) == pytest.approx((grids[0] & grids[1]).sum() / union if union else 0)
    assert iou(one, other) == iou(other, one)


# --- fields ---


FIELDS = {"answer": {"shape": "circle", "count": "3"}, "metric": {"shape": "simple_str_match", "count": "exact_str_match"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"shape": "Circle", "count": 3}', 1),
        ('First {"shape": "square"}. Then:\n```json\n{"shape": "circle", "count": "3"}\n```', 1),
        ("Answer: {'shape': 'circle', 'count': '4'}", 1 / 2),
        ('{"shape": "circle"}', 1 / 2),
        ('{"other": 1}', 0),
        ("circle", 1 / 2),  # no JSON: the whole text stands for every field
        ("", 0),
    ],
)
def test_an_answer_of_several_fields(text, expected):
    assert score(text, FIELDS["answer"], FIELDS["metric"]) == pytest.approx(expected)


def test_weights_and_the_worst_field():
    text = '{"shape": "circle", "count": 4}'
    assert score(text, **FIELDS, weights={"shape": 3}) == pytest.approx(3 / 4)
    assert score(text, **FIELDS, weights={"shape": 0}) == 0
    assert score(text, **FIELDS, aggregate="min") == 0


def test_megabenchs_own_columns():
    info = {
        "field_score_function": {"Action": "exact_str_match", "Position Box": "xml_nbbox_iou_single"},
        "aggregation": {"function": "mean", "field_weights": {"Action": 1, "Position Box": 3}},
        "response_parse_function": "json",
    }
    answer = {"Action": "click", "Position Box": "<box>0, 0, 1, 1</box>"}
    said = json.dumps({"Action": "tap", "Position Box": "<box>0, 0, 1, 0.5</box>"})
    assert score(said, str(answer), str(info)) == pytest.approx(3 / 8)
    one = {"field_score_function": {"answer": "simple_str_match"}, "aggregation": {"function": "mean", "field_weights": {"answer": 1}}}
    assert score("Let me see.\n\nAnswer: a cat", "{'answer': \"A cat\"}", str(one)) == 1


def test_items_pick_their_rules():
    rows = [
        {"id": "a", "answer": "1, 2", "metric": "set_equality", "target": ""},
        {"id": "b", "answer": {"x": "1"}, "metric": {"x": "exact_str_match"}, "target": ""},
    ]
    task = Task(task="t", data=rows, item={"target": {"answer": "answer", "metric": "metric"}}, prompt="?", scoring="fields")
    for item, text in zip(task.items, ("2, 1", '{"x": 1}'), strict=True):
        found = task.scoring.score(item, task.request(item), Response(text=text))
        assert (found.state, found.values) == ("scored", {"fields": 1.0})
        assert task.scoring.score(item, task.request(item), Response(text="no")).values == {"fields": 0.0}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("x", "the target must be a mapping with answer and metric"),
        ({"answer": "x"}, "the target must be a mapping with answer and metric"),
        ({"answer": "x", "metric": "set_equalty"}, "no rule is called 'set_equalty'; did you mean 'set_equality'"),
        (
            {"answer": "x", "metric": "program_judge"},
            "the rule 'program_judge' is not available here: it runs the model's program; leave the item out",
        ),
        ({"answer": "x", "metric": {"a": "exact_str_match"}}, "so answer must be a mapping"),
        ({"answer": {"b": 1}, "metric": {"a": "exact_str_match"}}, "answer has no field 'a'"),
        ({"answer": "x", "metric": 3}, "metric must be the name of a rule"),
        ({"answer": "x", "metric": "{'a': "}, "not a mapping in JSON or Python"),
        ({"answer": "x", "metric": "exact_str_match", "aggregate": "max"}, "aggregate must be mean or min"),
        ({"answer": {"a": 1}, "metric": {"a": "exact_str_match"}, "weights": {"a": 0}}, "weights must be numbers from 0"),
    ],
)
def test_a_target_that_cannot_be_is_found_before_anything_is_asked(target, said):
    rows = [{"id": "a", "t": target}]
    with pytest.raises(DataError, match="item 'a': fields: ") as caught:
        Task(task="t", data=rows, item={"target": "t"}, prompt="?", scoring="fields")
    assert said in str(caught.value)


# --- reading ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: x\n", "x"),
        ("answer: no. Answer: yes", "yes"),
        ("B\n\nBecause it is green.", "B"),
        ("```\nx = 1\n```", "x = 1"),
        ("Answer: ```python\nx = 1\n```", "x = 1"),
        ('"red"', "red"),
        ("[1, 2]", [1, 2]),
        ("[1, 2", "[1, 2"),
        ("a long answer\nof two lines", "a long answer\nof two lines"),
        ("", ""),
    ],
)
def test_the_answer_in_a_text(text, expected):
    assert single(text, one_line=True) == expected


def test_values_however_they_are_written():
    assert as_list("1") == [1]
    assert as_list("a, b ,c") == as_list("[a, b, c]") == ["a", "b", "c"]
    assert as_list('["a, b"]') == ["a, b"]
    assert as_set("[[1, 2], [1, 2]]") == {(1, 2)}
    assert as_set("{'a': 1}") == {"a"}
    assert as_mapping("see {'a': [1, 2]} there") == {"a": [1, 2]}
    assert as_mapping("[1]") is None
    assert boxes("[0, 0, 1, 1]") == boxes([[0, 0, 1, 1], [1, 2], "x"]) == [(0, 0, 1, 1)]
    assert points("[(1, 2), (3, 4)]") == [(1, 2), (3, 4)]
    assert unquoted("'a'") == "a"
    assert unquoted("'a' and 'b'") == "'a' and 'b'"
    assert last_structure("it's {'a': \"it's\"} {broken") == {"a": "it's"}
    assert last_structure("{" * 5000 + "[1]") == [1] or last_structure("{" * 5000 + "[1]") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    st.text(max_size=20),
)
def test_a_structure_is_found_again(value, before):
    text = json.dumps(value)
    assert literal(text) == value
    if isinstance(value, dict | list):
        assert last_structure(before.translate(str.maketrans("", "", "{}[]\"'")) + " " + text) == value


@given(st.text(max_size=60), st.sampled_from(sorted(RULES)), st.text(max_size=20))
def test_any_answer_has_a_score_by_any_rule(text, rule, right):
    if rule in ("latex_expr_equality", "text_with_latex_expr_equality"):
        return
    item = Item("i", {}, target={"answer": right, "metric": rule, "context": "x"})
    assert 0 <= Fields().measure(text, item, Response(text=text)).values["fields"] <= 1
