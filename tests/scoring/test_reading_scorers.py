"""`squad` against the definition of SQuAD 2.0's evaluation script, written anew from its source."""

from __future__ import annotations

import collections
import re
import string

from hypothesis import given
from hypothesis import strategies as st

from proctor.scoring.reading import Squad
from proctor.types import Item, Response


def _normal(text: str) -> list[str]:
    text = "".join(one for one in text.lower() if one not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _script(answer: str, golds: list[str]) -> tuple[float, float]:
    """(F1, exact) by `get_raw_scores`, `compute_f1` and `compute_exact`."""
    kept = [gold for gold in golds if _normal(gold)] or [""]
    scores = []
    for gold in kept:
        wanted, said = _normal(gold), _normal(answer)
        same = sum((collections.Counter(wanted) & collections.Counter(said)).values())
        if not wanted or not said:
            f1 = float(wanted == said)
        elif not same:
            f1 = 0.0
        else:
            precision, recall = same / len(said), same / len(wanted)
            f1 = 2 * precision * recall / (precision + recall)
        scores.append((f1, float(wanted == said)))
    return max(one for one, _ in scores), max(one for _, one in scores)


_TEXTS = st.text(alphabet="abthe .,", max_size=12)


@given(answer=_TEXTS, golds=st.lists(_TEXTS, max_size=3))
def test_numbers_are_those_of_the_script(answer: str, golds: list[str]) -> None:
    values = Squad().measure(answer, Item("q", {}, (), golds), Response()).values
    assert (values["f1"], values["exact"]) == _script(answer, golds)


def test_silence_and_the_word_for_it_are_no_answer() -> None:
    scorer = Squad(no_answer="not in the text")
    none, there = Item("a", {}, (), []), Item("b", {}, (), ["red"])
    assert scorer.unanswered(none) == {"f1": 1.0, "exact": 1.0}
    assert scorer.unanswered(there) == {"f1": 0.0, "exact": 0.0}
    assert scorer.measure("Not in the text.", none, Response()).values["f1"] == 1
    assert scorer.measure("Not in the text.", there, Response()).values["f1"] == 0
    assert scorer.check(Item("c", {}, (), 3)) == "expected a list of accepted texts, not 3"
