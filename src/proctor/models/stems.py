"""Stems: what several waiting prompts begin with alike, computed once and kept while one of them is being answered."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.models.pack import Segment
from proctor.models.prefix_tree import Node, build

WORTH = 64
"""A beginning becomes a stem where that saves computing so many tokens."""


class Stem(Segment):
    """A shared run of tokens, with its keys and values once it is computed.

    Attributes:
        tokens: the run.
        users: how many sequences, waiting or being written, have it in their chain.
    """

    def __init__(self, start: int, tokens: tuple[int, ...]) -> None:
        super().__init__(start, len(tokens))
        self.tokens = tokens
        self.users = 0

    @property
    def computed(self) -> bool:
        return self.length == len(self.tokens)

    def drop(self) -> None:
        """Let go of keys and values."""
        self.length, self.keys, self.values = 0, [], []


Chain = tuple[Stem, ...]
"""Stems that follow each other from the first token on."""


Live = dict[tuple[tuple[int, ...], tuple[int, ...]], Stem]
"""Stems in use, by where the stems of their chain begin and by all tokens up to their end."""


def chains(prompts: Sequence[tuple[int, ...]], most: int, live: Live) -> list[tuple[int, Chain]]:
    """Which stems each prompt begins with; of every prompt at least the last token stands outside.

    Args:
        prompts: token ids, each at least one.
        most: a stem ends at this position at the latest.
        live: stems in use; what is found there is used again, and new ones are added.

    Returns:
        (index of the prompt, its chain), in the order of a walk depth first, in which the users of a stem follow each other.
    """
    found: list[tuple[int, Chain]] = [(i, ()) for i, prompt in enumerate(prompts) if len(prompt) == 1]
    inside = [i for i, prompt in enumerate(prompts) if len(prompt) > 1]
    inputs = [prompts[i][:-1] for i in inside]
    if not inputs:
        return found
    # (node, tokens that come down from nodes not worth a stem, stems above)
    stack: list[tuple[Node, tuple[int, ...], Chain]] = [(build(inputs), (), ())]
    while stack:
        node, carried, chain = stack.pop()
        run = carried + node.tokens
        if run and (len(node.members) - 1) * len(run) >= WORTH and node.end <= most:
            start = node.end - len(run)
            # The same tokens cut otherwise are another chain: a stem is computed only after those above it.
            key = ((*(above.start for above in chain), start), inputs[node.members[0]][: node.end])
            stem = live.get(key)
            if stem is None:
                stem = live[key] = Stem(start, run)
            chain, run = (*chain, stem), ()
        found += [(inside[i], chain) for i in node.members if len(inputs[i]) == node.end]
        stack.extend((child, run, chain) for child in reversed(node.children))
    return found
