import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.scoring.error_rate import ErrorRate
from proctor.types import Item, Response

SENTENCES = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "hé"]), min_size=1, max_size=8).map(" ".join)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
def test_sums_against_jiwer(pairs):
    references, said = zip(*pairs, strict=True)
    rows = [ErrorRate().measure(s, Item("1", {}, target=r), Response()).values for r, s in pairs]
    for name, reference in (("wer", jiwer.wer), ("cer", jiwer.cer)):
        rate = sum(row[f"{name}:edits"] for row in rows) / sum(row[f"{name}:length"] for row in rows)
        assert rate == pytest.approx(reference(list(references), list(said)))


def test_whole_sample(task_values):
    items = [Item("1", {}, target="a b c d"), Item("2", {}, target=["x y", "p q r"]), Item("3", {}, target="one two")]
    found = task_values(ErrorRate(), ["a c d", "p q z r", None], items)
    assert found["wer"] == pytest.approx((1 + 1 + 2) / (4 + 3 + 2))  # the reference with the lower rate counts
    assert task_values(ErrorRate(), ["a b c d e f g h i"], [items[0]])["wer"] == 1.25


def test_options_and_targets(task_values):
    item = Item("1", {}, target="It's  fine.")
    assert task_values(ErrorRate(), ["its fine"], [item])["wer"] == 1
    assert task_values(ErrorRate(ignore_case=True, ignore_punctuation=True), ["its fine"], [item])["wer"] == 0
    assert ErrorRate(main="cer").metrics[0].name == "cer"
    assert ErrorRate().metrics[0].bounds is None
    assert "without words" in ErrorRate(ignore_punctuation=True).check(Item("1", {}, target=" . "))
