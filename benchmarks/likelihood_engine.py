"""How fast the likelihood engine is on SmolLM2, against one forward pass per request (letters of one context sharing it), in one process.

    python benchmarks/likelihood_engine.py [ITEMS]

Two kinds of work, each with ITEMS questions (default 24): five shared examples and letters; no examples and four whole-text endings. The
two ways alternate, since a shared machine changes its speed; trust the ratio more than the seconds.
"""

import random
import sys
import time

from proctor.models.likelihood import LikelihoodEngine
from proctor.models.local import open_local
from proctor.models.prefix_tree import Scored, unique_tokens
from proctor.types import Message, Prompt

WORDS = ["the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he", "his", "but"]


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def letters(model, rng: random.Random, items: int) -> list[Scored]:
    shots = "\n\n".join(text(rng, 80) + "\nAnswer: " + rng.choice("ABCD") for _ in range(5))
    made = []
    for _ in range(items):
        rendered = model.renderer.render(Prompt((Message("user", f"{shots}\n\n{text(rng, 80)}\nAnswer:"),), style="plain"))
        for letter in "ABCD":
            made += model.renderer.scored(rendered, letter, model.max_length)
    return made


def endings(model, rng: random.Random, items: int) -> list[Scored]:
    made = []
    for _ in range(items):
        rendered = model.renderer.render(Prompt((Message("user", text(rng, 30)),), style="plain"))
        for _ in range(4):
            made += model.renderer.scored(rendered, text(rng, 12), model.max_length)
    return made


def timed(engine: LikelihoodEngine, work: list[Scored]) -> tuple[float, dict[int, float]]:
    began = time.perf_counter()
    found = {index: total for index, total, _ in engine.score(work)}
    return time.perf_counter() - began, found


def main() -> None:
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    model = open_local("smollm2", "", {}, "smollm2")
    tree, plain = model.likelihood, LikelihoodEngine(model.model)
    plain.tree = False
    print(f"{'work':<22}{'unique tokens':>14}{'tree: s':>10}{'tokens/s':>10}{'plain: s':>10}{'ratio':>8}{'largest difference':>20}")
    for name, make in (("5 shots, letters", letters), ("0 shots, endings", endings)):
        work = make(model, random.Random(0), items)
        timed(tree, work[:4])
        rounds = [(timed(tree, work), timed(plain, work)) for _ in range(2)]
        fast, slow = (min(r[side][0] for r in rounds) for side in (0, 1))
        worst = max(abs(rounds[0][0][1][i] - rounds[0][1][1][i]) for i in range(len(work)))
        unique = unique_tokens([s.inputs for s in work])
        print(f"{name:<22}{unique:>14,}{fast:>10.1f}{unique / fast:>10.0f}{slow:>10.1f}{slow / fast:>7.1f}×{worst:>20.1e}")


if __name__ == "__main__":
    main()
