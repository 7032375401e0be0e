"""Other orders of options, more and fewer of them: the right content stays right."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.tasks.spec import ItemSpec, VariantSpec
from proctor.tasks.variants.options import fewer, more, names_letters, new_order, rearranged, relettered, wrong_options
from proctor.types import Item


def item(count=4, target=1, choices=None, **more_keys):
    choices = tuple(choices or (f"option {k}" for k in range(count)))
    return Item("i", {"c": list(choices), "q": "?"}, choices, target, **more_keys)


SPEC = ItemSpec(choices="c")


@given(
    count=st.integers(2, 10),
    data=st.data(),
    seed=st.integers(0, 9),
    how=st.sampled_from([{"order": "shuffle"}, {"order": "reverse"}, {"rotate": 1}, {"rotate": 3}]),
)
@settings(deadline=None)
def test_a_permutation_keeps_the_right_content(count, data, seed, how):
    target = data.draw(st.integers(0, count - 1) | st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    one = item(count, target)
    order = new_order(one, VariantSpec(name="v", seed=seed, **how), "task")
    made = rearranged(one, order, [], SPEC)
    assert sorted(order) == list(range(count))
    right = target if isinstance(target, list) else [target]
    now = made.target if isinstance(target, list) else [made.target]
    assert [made.choices[place] for place in now] == [one.choices[place] for place in right]
    assert made.fields["c"] == list(made.choices)
    assert made.id == one.id
    assert made.metadata["option_order"] == order
    assert new_order(one, VariantSpec(name="other", seed=seed, **how), "task") == order  # nothing but seed, task and item
    if "order" in how:
        assert order != list(range(count))


def test_rotations_put_every_option_at_every_place_once():
    orders = [new_order(item(), VariantSpec(name="r", rotate=by), "t") for by in range(1, 4)] + [list(range(4))]
    assert all(sorted(column) == [0, 1, 2, 3] for column in zip(*orders, strict=True))
    assert orders[0] == [3, 0, 1, 2]


@pytest.mark.parametrize("last", ["All of the above", "None of these", "neither of the preceding"])
def test_options_that_speak_of_those_above_stay_last(last):
    one = item(choices=["a", "b", "c", last], target=3)
    for how in ({"order": "shuffle"}, {"order": "reverse"}, {"rotate": 2}):
        made = rearranged(one, new_order(one, VariantSpec(name="v", **how), "t"), [], SPEC)
        assert made.choices[3] == last
        assert made.target == 3
        assert set(made.choices[:3]) == {"a", "b", "c"}
        assert made.choices[:3] != ("a", "b", "c")
    assert fewer(one, [0, 1, 2, 3], 1, Random(0)) == [0, 1, 2, 3]
    assert more(one, [0, 1, 2, 3], ["z"], 1, Random(0)) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize("choice", ["Both A and B", "A and C only", "neither B nor C", "Option D"])
def test_options_that_name_letters_stay_or_are_renamed(choice):
    one = item(choices=["x", "y", "z", choice], target=0)
    assert names_letters(one)
    assert new_order(one, VariantSpec(name="v", order="shuffle"), "t") == [0, 1, 2, 3]
    renamed = relettered(one, ["1", "2", "3", "4"])
    assert renamed.choices[:3] == ("x", "y", "z")
    assert renamed.choices[3] == choice.translate(str.maketrans("ABCD", "1234")).replace("2oth", "Both")
    assert renamed.fields["c"] == list(renamed.choices)


@pytest.mark.parametrize("choice", ["Consistent when A and D are true", "P(A and B) = P(A)", "firms A and B are substitutes", "C, C++"])
def test_letters_of_a_sentence_are_names_and_stay(choice):
    one = item(choices=["x", "y", "z", choice], target=0)
    assert relettered(one, ["1", "2", "3", "4"]) == one


@pytest.mark.parametrize("choice", ["Vitamin C", "A dog", "plan B", "and", "Hepatitis A virus"])
def test_letters_that_are_words_or_names_are_no_reference(choice):
    assert not names_letters(item(choices=["x", choice]))


@given(count=st.integers(3, 9), seed=st.integers(0, 99), by=st.integers(1, 3))
@settings(deadline=None)
def test_fewer_options_keep_the_right_one(count, seed, by):
    one = item(count, seed % count)
    order = fewer(one, list(range(count)), by, Random(seed))
    made = rearranged(one, order, [], SPEC)
    assert made.choices[made.target] == one.choices[one.target]
    assert len(order) == (count - by if count - by >= 2 else count)
    assert order == sorted(order)


@given(seed=st.integers(0, 99), by=st.integers(1, 3))
@settings(deadline=None)
def test_more_options_are_new_and_wrong(seed, by):
    one = item(4, seed % 4)
    others = ["Option 1.", "option 2", "z1", "z2", "z3", "z4"]  # the first two are its own
    order, added = more(one, [0, 1, 2, 3], others, by, Random(seed))
    made = rearranged(one, order, added, SPEC)
    assert len(made.choices) == 4 + by
    assert set(added) <= set(others[2:])
    assert len(set(added)) == by
    assert made.choices[made.target] == one.choices[one.target]
    assert [option for option in order if option < 4] == [0, 1, 2, 3]
    assert made.metadata["option_order"] == order


def test_too_few_texts_add_nothing():
    assert more(item(2), [0, 1], ["option 0", "OPTION 1"], 1, Random(0)) == ([0, 1], [])


def test_wrong_options_of_all_items_but_those_that_speak_of_others():
    items = [item(2, 1), Item("h", {}, ("p", "q", "r"), [0, 2]), item(choices=["x", "all of the above"], target=0)]
    assert wrong_options(items) == [("h", "q"), ("i", "option 0")]


def test_choices_that_begin_with_their_letters_get_those_of_their_places():
    one = item(choices=["(A) red", "(B) green", "(C) blue"], target=1)
    made = rearranged(one, [2, 0, 1], [], SPEC)
    assert made.choices == ("(A) blue", "(B) red", "(C) green")
    assert made.target == 2
    assert made.fields["c"] == list(made.choices)
    more_of_them = rearranged(one, [3, 0, 1, 2], ["(B) grey"], SPEC)
    assert more_of_them.choices == ("(A) grey", "(B) red", "(C) green", "(D) blue")
    assert relettered(one, ["1", "2", "3", "4"]).choices == ("(1) red", "(2) green", "(3) blue")
    assert rearranged(item(choices=["A. b", "A. c"], target=0), [1, 0], [], SPEC).choices == ("A. c", "A. b")


def test_columns_of_one_choice_each_follow():
    spec = ItemSpec(choices=["{{ a }}", "{{b}}", "{{ c }}"])
    one = Item("i", {"a": "x", "b": "y", "c": "z", "q": "?"}, ("x", "y", "z"), 2)
    assert rearranged(one, [2, 0, 1], [], spec).fields == {"a": "z", "b": "x", "c": "y", "q": "?"}
