"""Few-shot choice: seeded by task and item, never the item itself."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import TaskError
from proctor.tasks.shots import Shots
from proctor.tasks.spec import PromptSpec
from proctor.types import Item


def items(n: int, groups: int = 0) -> list[Item]:
    return [Item(f"i{k:03}", {"q": f"q{k}"}, target=k % 3, group=f"g{k % groups}" if groups else "") for k in range(n)]


def shots(pool: list[Item], **keys) -> Shots:
    return Shots(pool, lambda item: item.fields["q"], PromptSpec(template="{{ q }}", **keys), "t")


@given(n=st.integers(6, 40), wanted=st.integers(1, 5), seed=st.integers(0, 5), choose=st.sampled_from(["random", "stratified"]))
@settings(deadline=None, max_examples=60)
def test_order_of_the_pool_never_changes_the_examples(n, wanted, seed, choose):
    pool = items(n)
    shuffled = random.Random(seed).sample(pool, n)
    one, other = shots(pool, shots=wanted, choose=choose), shots(shuffled, shots=wanted, choose=choose)
    for item in pool:
        chosen = one.of(item, item.fields["q"])
        assert chosen == other.of(item, item.fields["q"])
        assert len({c.id for c in chosen}) == wanted
        assert item not in chosen


def test_neither_the_same_question_nor_the_same_group_is_an_example():
    pool = [*items(6, groups=3), Item("copy", {"q": "q0"}, target=0)]
    found = shots(pool, shots=4)
    asked = pool[0]
    chosen = found.of(asked, "q0")
    assert len(chosen) == 4
    assert all(c.id not in ("i000", "copy") and c.group != "g0" for c in chosen)


def test_first_is_the_order_of_the_data_without_the_item_itself():
    pool = items(5)
    assert [c.id for c in shots(pool, shots=2, choose="first").of(pool[0], "q0")] == ["i001", "i002"]


def test_stratified_covers_the_targets():
    pool = items(30)
    for item in pool:
        assert {c.target for c in shots(pool, shots=3, choose="stratified").of(item, item.fields["q"])} == {0, 1, 2}


def test_fixed_examples_in_their_order_and_without_the_item_itself():
    pool = items(5)
    fixed = shots(pool, shots=2, choose="fixed", ids=["i004", "i001"])
    assert [c.id for c in fixed.of(pool[0], "q0")] == ["i004", "i001"]
    assert [c.id for c in fixed.of(pool[4], "q4")] == ["i001"]


def test_the_seed_changes_the_draw():
    pool = items(40)
    draws = [tuple(c.id for c in shots(pool, shots=4, seed=seed).of(pool[0], "q0")) for seed in range(5)]
    assert len(set(draws)) > 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shots": 9}, "only 4 can go before item 'i000'"),
        ({"shots": 1, "choose": "fixed", "ids": ["i04"]}, "did you mean 'i004'"),
        ({"shots": 2, "choose": "fixed", "ids": ["i004"]}, "prompt.ids names 1"),
    ],
)
def test_what_cannot_be_chosen_is_said(keys, message):
    pool = items(5)
    with pytest.raises(TaskError, match=message):
        shots(pool, **keys).of(pool[0], "q0")
