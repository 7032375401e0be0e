"""The prefix tree against one plain forward pass per sequence."""

import random

import pytest
import torch
from conftest import KINDS

from proctor.models import likelihood
from proctor.models.likelihood import LikelihoodEngine
from proctor.models.prefix_tree import Scored


def family(rng, vocabulary=320, longest=90):
    """Sequences that share beginnings at several depths, some of them each other's beginning, some equal."""
    stems = [[rng.randrange(3, vocabulary) for _ in range(rng.choice([1, 2, 6, 30]))] for _ in range(3)]
    made = []
    for _ in range(30):
        tokens = list(rng.choice(stems))
        for _ in range(rng.randrange(3)):
            tokens += rng.choice(stems)[: rng.randrange(1, 9)]
        tokens += [rng.randrange(3, vocabulary) for _ in range(rng.randrange(1, 8))]
        tokens = tokens[:longest]
        if len(tokens) > 1:
            made.append(Scored(tuple(tokens), rng.randrange(1, len(tokens))))
    letters = rng.choice(stems) * 2
    made += [Scored((*letters, token), len(letters)) for token in (5, 6, 7, 8)]
    return [*made, made[0]]


def plain(model, scored):
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([scored.inputs]), use_cache=False).logits[0].float()
    targets = torch.tensor(scored.tokens[scored.start :])
    logits = logits[scored.start - 1 :]
    return logits.log_softmax(-1).gather(1, targets[:, None]).sum().item(), bool((logits.argmax(-1) == targets).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [8, 40, 512])
def test_equals_one_forward_pass_per_sequence(tiny, kind, chunk):
    model = tiny(kind)
    engine = LikelihoodEngine(model, chunk=chunk)
    # ALiBi and recurrent states cannot be told who sees whom; the rest must not fall back.
    assert engine.tree == (kind not in ("bloom", "mamba"))
    for seed in range(3):
        asked = family(random.Random(seed))
        found = {i: (total, best) for i, total, best in engine.score(asked)}
        assert sorted(found) == list(range(len(asked)))
        for i, scored in enumerate(asked):
            total, best = plain(model, scored)
            assert found[i][0] == pytest.approx(total, abs=1e-4 * max(1, abs(total) / 10))
            assert found[i][1] == best


def test_greedy_continuations_are_recognised(tiny):
    model = tiny("llama")
    context = [5, 9, 11, 40]
    with torch.inference_mode():
        tokens = model.generate(torch.tensor([context]), max_new_tokens=4, do_sample=False, eos_token_id=None, pad_token_id=1)[0].tolist()
    other = [*tokens[:-1], (tokens[-1] + 1) % 320]
    found = {i: best for i, _, best in LikelihoodEngine(model).score([Scored(tuple(tokens), 4), Scored(tuple(other), 4)])}
    assert found == {0: True, 1: False}


def test_shared_tokens_are_computed_once(tiny):
    engine = LikelihoodEngine(tiny("llama"), chunk=16)
    stem = tuple(range(10, 70))
    asked = [Scored((*stem, 100 + i, 150 + j), 61) for i in range(20) for j in range(2)]
    list(engine.score(asked))
    assert engine.computed == 60 + 20


def test_letters_share_one_position(tiny):
    engine = LikelihoodEngine(tiny("llama"))
    list(engine.score([Scored((4, 5, 6, letter), 3) for letter in range(20, 30)]))
    assert engine.computed == 3


def test_goes_on_in_smaller_parts_when_memory_runs_out(tiny, monkeypatch):
    model = tiny("llama")
    asked = family(random.Random(1))
    engine = LikelihoodEngine(model, chunk=512)
    expected = {i: (total, best) for i, total, best in engine.score(asked)}
    whole = engine._run

    def limited(tokens, wanted, **arguments):
        if tokens.shape[1] > 33:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(tokens, wanted, **arguments)

    monkeypatch.setattr(engine, "_run", limited)
    found = {i: (total, best) for i, total, best in engine.score(asked)}
    assert engine.chunk < 512
    assert found.keys() == expected.keys()
    for i, (total, best) in expected.items():
        assert found[i][0] == pytest.approx(total, abs=1e-3)
        assert found[i][1] == best


def test_squashed_logits_go_through_the_whole_model(tiny):
    assert LikelihoodEngine(tiny("gemma2"))._head is None
    assert LikelihoodEngine(tiny("llama"))._head is not None


def test_a_failed_probe_means_the_plain_way(tiny, monkeypatch):
    monkeypatch.setattr(likelihood.MaskShape, "make", lambda self, visible, positions, past, dtype, shown=None: None)
    model = tiny("llama")
    engine = LikelihoodEngine(model)
    assert not engine.tree
    asked = family(random.Random(4))
    for i, total, best in engine.score(asked):
        assert (pytest.approx(total, abs=1e-3), best) == plain(model, asked[i])
