"""Rows become items: ids, choices, targets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import DataError
from proctor.tasks.items import build_items, choice_target
from proctor.tasks.spec import ItemSpec


def build(rows, choice=False, **keys):
    return build_items(rows, ItemSpec(**keys), choice=choice, where="t.yaml", row_name=lambda i: f"row {i + 1}")


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)).map(lambda d: {**d, "target": "x"}), max_size=12), st.randoms()
)
@settings(deadline=None)
def test_ids_without_a_column_never_depend_on_the_order(rows, rng):
    shuffled = rng.sample(rows, len(rows))
    ids = {item.id for item in build(rows)}
    assert ids == {item.id for item in build(shuffled)}
    assert len(ids) == len(rows)


def test_columns_templates_and_literals():
    rows = [{"n": 1, "a": "x", "b": "y", "target": "y", "passage": "p"}]
    (item,) = build(rows, choice=True, id="q{{ n }}", choices=["{{ a }}", "{{ b }}", "neither"], group="passage", metadata=["n"])
    assert (item.id, item.choices, item.target, item.group, item.metadata) == ("q1", ("x", "y", "neither"), 1, "p", {"n": 1})


def test_a_template_may_give_the_list_of_choices_and_ids_the_rows_number():
    rows = [{"answers": [{"t": "x"}, {"t": "y"}], "right": 2}, {"answers": [{"t": "z"}, {"t": "y"}], "right": 1}]
    template = "{{ answers | map(attribute='t') | list }}"
    items = build(rows, choice=True, id="r{{ row_number }}", choices=template, target="right", target_as="number")
    assert [(item.id, item.choices, item.target) for item in items] == [("r1", ("x", "y"), 1), ("r2", ("z", "y"), 0)]
    with pytest.raises(DataError, match="must hold a list of texts"):
        build(rows, choice=True, choices="{{ right }}", target="right")
    with pytest.raises(DataError, match="has no column 'answrs'; did you mean 'answers'"):
        build(rows, choice=True, choices="{{ answrs | list }}", target="right")


def test_a_target_of_several_parts():
    (item,) = build([{"test": "assert f() == 1", "name": "f"}], target={"tests": "test", "entry_point": "{{ name }}"})
    assert item.target == {"tests": "assert f() == 1", "entry_point": "f"}


@pytest.mark.parametrize(
    ("value", "choices", "written_as", "index"),
    [
        ("Paris", ["Rome", "Paris"], None, 1),
        ("B", ["Rome", "Paris"], None, 1),
        ("b", ["Rome", "Paris"], None, 1),
        (1, ["Rome", "Paris"], None, 1),
        ("0", ["Rome", "Paris"], None, 0),
        (1, ["Rome", "Paris"], "number", 0),
        ("2", ["2", "0", "1"], "text", 0),
        ("2", ["2", "0", "1"], "index", 2),
        ([0, 1], ["x", "y"], None, [0, 1]),
        ("A", ["B", "A"], "letter", 0),
    ],
)
def test_targets_however_written(value, choices, written_as, index):
    assert choice_target(value, choices, written_as) == index


@pytest.mark.parametrize(
    ("value", "choices", "message"),
    [
        (1, ["1", "2", "3"], "can be read as text \\('1'\\) or index \\('2'\\)"),
        ("A", ["B", "A"], "item.target_as"),
        ("Pairs", ["Rome", "Paris"], "names none of the 2 choices"),
        (7, ["Rome", "Paris"], "names none"),
        (-1, ["Rome", "Paris"], "names none"),
        (True, ["Rome", "Paris"], "names none"),
    ],
)
def test_a_target_is_never_guessed(value, choices, message):
    with pytest.raises(DataError, match=message):
        choice_target(value, choices, None)


@pytest.mark.parametrize(
    ("rows", "choice", "keys", "message"),
    [
        ([{"id": "a", "target": "x"}, {"id": "a", "target": "y"}], False, {}, "row 2: the id 'a' is already that of row 1"),
        ([{"target": "x"}], False, {"target": "traget"}, "no column 'traget'; did you mean 'target'"),
        ([{"target": "x"}], False, {"group": "passage"}, "no column 'passage'"),
        ([{"target": "x"}], True, {}, "at least two choices"),
        ([{"target": "x", "options": "x, y"}], True, {"choices": "options"}, "must hold a list of texts"),
        ([{"target": "x"}], True, {"choices": ["{{ a }}", "x"]}, "no column 'a'"),
        ([{"target": "x"}], False, {"id": "{{ n }}"}, "item.id: row 1 has no column 'n'"),
    ],
)
def test_bad_rows_are_named(rows, choice, keys, message):
    with pytest.raises(DataError, match=message) as caught:
        build(rows, choice, **keys)
    assert str(caught.value).startswith("t.yaml: ")
