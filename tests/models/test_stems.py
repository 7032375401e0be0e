"""Which beginnings of prompts are shared."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.models.stems import WORTH, chains

prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=60).map(tuple), min_size=1, max_size=12)


def spelled(chain):
    return tuple(token for stem in chain for token in stem.tokens)


@given(prompts, st.integers(0, 80), st.integers(1, 30))
@settings(deadline=None)
def test_chains_are_beginnings(texts, most, repeated):
    texts = [texts[0][:1] * repeated + text for text in texts]
    found = chains(texts, most, {})
    assert sorted(i for i, _ in found) == list(range(len(texts)))
    users = {}
    for place, (i, chain) in enumerate(found):
        begin = spelled(chain)
        assert texts[i][: len(begin)] == begin
        assert len(begin) < len(texts[i])
        assert len(begin) <= most or not begin
        at = 0
        for stem in chain:
            assert stem.start == at
            at += len(stem.tokens)
            users.setdefault(stem, []).append(place)
    for stem, places in users.items():
        # Who uses a stem follows who uses it, and it saves what it must.
        assert places == list(range(places[0], places[0] + len(places)))
        assert (len(places) - 1) * len(stem.tokens) >= WORTH


def test_questions_in_common_and_examples_in_common():
    examples = tuple(range(100, 200))
    questions = [(*examples, *range(10 * q, 10 * q + 9)) for q in range(3)]
    texts = [question for question in questions for _ in range(9)]
    found = dict(chains(texts, 10**6, {}))
    assert all([len(stem.tokens) for stem in chain] == [100, 8] for chain in found.values())
    assert len({chain[0] for chain in found.values()}) == 1
    assert len({chain[1] for chain in found.values()}) == 3


def test_a_stem_in_use_is_used_again():
    live = {}
    examples = tuple(range(100, 200))
    first = chains([(*examples, i) for i in range(5)], 10**6, live)[0][1]
    second = chains([(*examples, 50 + i) for i in range(5)], 10**6, live)[0][1]
    assert first[0] is second[0]


def test_the_same_tokens_cut_otherwise_are_another_stem():
    live = {}
    head, middle, last = tuple(range(20)), tuple(range(20, 60)), tuple(range(60, 160))
    first = dict(chains([(*head, *middle, *last, i) for i in range(5)] + [(*head, *middle, 1 + i) for i in range(9)], 10**6, live))
    both = dict(chains([(*head, *middle, *last, i) for i in range(5)] + [(*head, 500 + i, 3) for i in range(9)], 10**6, live))
    assert [len(stem.tokens) for stem in first[0]] == [60, 100]
    assert [len(stem.tokens) for stem in both[0]] == [20, 140]
    third = dict(
        chains(
            [(*head, *middle, *last, i) for i in range(5)] + [(*head, *middle, 7)] * 3 + [(*head, 500 + i) for i in range(9)], 10**6, live
        )
    )
    assert [stem.start for stem in third[0]] == [0, 20, 60]
    assert not set(third[0]) & set(first[0])
