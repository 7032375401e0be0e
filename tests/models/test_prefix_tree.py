import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.models.prefix_tree import Scored, build, common_prefix, push_down, unique_tokens

sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=25)


def paths(node, before=()):
    here = before + node.tokens
    yield here, node
    for child in node.children:
        yield from paths(child, here)


@given(sequences)
@settings(deadline=None)
def test_every_prefix_stands_exactly_once(texts):
    root = build(texts)
    # Independently: the distinct non-empty prefixes are the tokens of the tree.
    prefixes = {text[:i] for text in texts for i in range(1, len(text) + 1)}
    assert root.size == len(prefixes) == unique_tokens(texts)
    seen = [path[:i] for path, node in paths(root) for i in range(node.start + 1, node.end + 1)]
    assert sorted(seen) == sorted(prefixes)
    for path, node in paths(root):
        assert sorted(node.members) == [i for i, text in enumerate(texts) if text[: len(path)] == path]
        assert len({child.tokens[0] for child in node.children}) == len(node.children)
        assert node.size == len(node.tokens) + sum(c.size for c in node.children)


@given(sequences)
@settings(deadline=None)
def test_pushing_down_keeps_every_member_once(texts):
    for _, node in paths(build(texts)):
        if not node.tokens:
            continue
        pushed = push_down(node, texts)
        assert sorted(i for p in pushed for i in p.members) == sorted(node.members)
        for child in pushed:
            assert child.start == node.start
            assert all(texts[i][child.start : child.end] == child.tokens for i in child.members)
            assert child.size == sum(len(n.tokens) for n in child.preorder())


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
@settings(deadline=None)
def test_common_prefix(a, b):
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


def test_a_sequence_needs_something_before_what_is_scored():
    assert Scored((1, 2, 3), 1).inputs == (1, 2)
    with pytest.raises(ValueError, match=r"1\.\.2"):
        Scored((1, 2, 3), 0)
    with pytest.raises(ValueError):
        Scored((1, 2, 3), 3)
