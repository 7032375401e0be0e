"""Token sequences that share beginnings, as a radix tree in which every shared token stands once.

The tree knows nothing of models. `likelihood.py` walks it, so that a token which many sequences begin with is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scored:
    """A token sequence whose last tokens are scored.

    Attributes:
        tokens: context and continuation.
        start: index of the first scored token, at least 1; each scored token is conditioned on all before it.
        cut: how many tokens were left out before the first, for want of room.
    """

    tokens: tuple[int, ...]
    start: int
    cut: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.start < len(self.tokens):
            raise ValueError(f"the first scored token must lie in 1..{len(self.tokens) - 1}, not at {self.start}")

    @property
    def inputs(self) -> tuple[int, ...]:
        """What a model reads: everything but the last token, which nothing follows."""
        return self.tokens[:-1]


@dataclass(slots=True)
class Node:
    """A run of tokens shared by the sequences `members`, and the nodes that continue it.

    Attributes:
        start: depth of the first token, which is its position in every member.
        tokens: the run; empty only in the root.
        members: indices of the sequences that pass through or end here.
        children: continuations; no two begin with the same token.
        size: number of tokens here and below.
    """

    start: int
    tokens: tuple[int, ...]
    members: list[int]
    children: list[Node] = field(default_factory=list)
    size: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)

    def preorder(self) -> Iterator[Node]:
        """This node and all below it, each before its children."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


def common_prefix(a: Sequence[int], b: Sequence[int], start: int = 0) -> int:
    """Length of the common beginning of `a` and `b`, known to be at least `start`."""
    end = min(len(a), len(b))
    if a[start:end] == b[start:end]:
        return end
    while start < end and a[start] == b[start]:
        start += 1
    return start


def build(sequences: Sequence[tuple[int, ...]]) -> Node:
    """The radix tree of `sequences` (each at least one token long).

    Children are ordered by size, so that a walk which yields results as it goes finishes many sequences early.
    """
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    root = Node(0, (), order)
    # Iterative, since the depth of a tree is bounded only by the length of the sequences.
    made = [root]
    stack = [root]
    while stack:
        parent = stack.pop()
        depth = parent.end
        members = [i for i in parent.members if len(sequences[i]) > depth]
        low = 0
        while low < len(members):
            first = sequences[members[low]]
            high = low + 1
            while high < len(members) and sequences[members[high]][depth] == first[depth]:
                high += 1
            # In sorted order, what the first and the last share, all between them share.
            shared = common_prefix(first, sequences[members[high - 1]], depth + 1)
            child = Node(depth, first[depth:shared], members[low:high])
            parent.children.append(child)
            made.append(child)
            stack.append(child)
            low = high
    for node in reversed(made):
        node.size = len(node.tokens) + sum(child.size for child in node.children)
        node.children.sort(key=lambda child: child.size)
    return root


def unique_tokens(sequences: Sequence[tuple[int, ...]]) -> int:
    """How many tokens the tree of `sequences` holds: the fewest that any engine must compute."""
    return build(sequences).size


def push_down(node: Node, sequences: Sequence[tuple[int, ...]]) -> list[Node]:
    """The children of `node`, each beginning with the tokens of `node`, and a leaf for the sequences that end in it.

    Every member of `node` is a member of exactly one of them, so nothing is scored twice.
    """
    children = [
        Node(node.start, node.tokens + child.tokens, child.members, child.children, child.size + len(node.tokens))
        for child in node.children
    ]
    ending = [i for i in node.members if len(sequences[i]) == node.end]
    if ending:
        children.insert(0, Node(node.start, node.tokens, ending, [], len(node.tokens)))
    return children
