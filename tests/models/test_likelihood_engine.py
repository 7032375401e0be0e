"""The prefix tree against one plain forward pass per sequence."""

import random

import pytest
import torch
from conftest import KINDS, LLAMAS, PACKED

from proctor.errors import ModelError
from proctor.models import likelihood, pack
from proctor.models.decoder import Decoder
from proctor.models.likelihood import LikelihoodEngine
from proctor.models.llama_decoder import LlamaDecoder
from proctor.models.memory import Budget
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
    assert type(engine.decoder) is (LlamaDecoder if kind in LLAMAS else Decoder if kind in PACKED else type(None))
    for seed in range(3):
        agrees(model, engine, family(random.Random(seed)))


def agrees(model, engine, asked):
    """Whether an engine finds what one plain forward pass for each finds."""
    found = {i: (total, best) for i, total, best in engine.score(asked)}
    assert sorted(found) == list(range(len(asked)))
    for i, scored in enumerate(asked):
        total, best = plain(model, scored)
        assert found[i][0] == pytest.approx(total, abs=1e-4 * max(1, abs(total) / 10))
        assert found[i][1] == best


@pytest.mark.parametrize("kind", ["llama", "mistral", "gptoss"])
@pytest.mark.parametrize("block", [4, 16])
def test_attention_in_many_parts(tiny, monkeypatch, kind, block):
    monkeypatch.setattr(pack, "BLOCK_CPU", block)
    model = tiny(kind)
    for seed in range(3):
        agrees(model, LikelihoodEngine(model, chunk=50), family(random.Random(seed)))


@pytest.mark.parametrize("kind", LLAMAS)
def test_the_general_decoder_agrees_where_the_faster_one_is_used(tiny, monkeypatch, kind):
    monkeypatch.setattr(likelihood, "llama_decoder", lambda model, head: None)
    model = tiny(kind)
    engine = LikelihoodEngine(model, chunk=40)
    assert type(engine.decoder) is Decoder
    agrees(model, engine, family(random.Random(7)))


def test_low_precision_stays_near_the_plain_pass(tiny):
    model = tiny("llama", dtype=torch.bfloat16)
    engine = LikelihoodEngine(model)
    assert engine.tree
    for i, total, _ in engine.score(asked := family(random.Random(2))):
        assert total == pytest.approx(plain(model, asked[i])[0], abs=0.6, rel=0.02)


def test_what_a_window_ends_with_serves_the_next(tiny):
    model = tiny("llama")
    engine = LikelihoodEngine(model, chunk=16)
    stem = tuple(range(10, 70))
    first = [Scored((*stem, 100 + i, 150, 151), 61) for i in range(20)]
    agrees(model, engine, first)
    computed = engine.computed
    second = [Scored((*stem, 200 + i, 150, 151), 61) for i in range(20)]
    agrees(model, engine, second)
    assert engine.computed - computed == 2 * 20
    # Other beginnings come between; what is scored within the stem is computed, whatever is held.
    agrees(model, engine, [Scored((7, *stem), 2), Scored((*stem, 3, 4), 2), *second, Scored((*stem[:30], 9, 9), 30)])


def test_a_prefix_beyond_the_budget_is_computed_again(tiny):
    model = tiny("llama")
    stem = tuple(range(10, 70))
    asked = [Scored((*stem, 100 + i, 150, 151), 61) for i in range(20)]
    engine = LikelihoodEngine(model, chunk=16)
    engine.budget = Budget(4 * 30 * engine.token_bytes)  # the path may hold 30 tokens
    agrees(model, engine, asked)
    assert engine._path.capacity <= 30
    assert engine.computed == 20 * 62


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
    whole = engine.decoder.logits

    def limited(pack, tokens, positions, slots):
        if len(tokens) > 33:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(pack, tokens, positions, slots)

    monkeypatch.setattr(engine.decoder, "logits", limited)
    found = {i: (total, best) for i, total, best in engine.score(asked)}
    assert engine.chunk < 512
    assert found.keys() == expected.keys()
    for i, (total, best) in expected.items():
        assert found[i][0] == pytest.approx(total, abs=1e-3)
        assert found[i][1] == best


def test_says_so_when_nothing_can_be_computed(tiny, monkeypatch):
    engine = LikelihoodEngine(tiny("llama"))

    def never(*_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(engine.decoder, "logits", never)
    with pytest.raises(ModelError, match="not enough memory on cpu for 32 tokens"):
        list(engine.score(family(random.Random(1))))


def test_squashed_logits_go_through_the_whole_model(tiny):
    assert LikelihoodEngine(tiny("gemma2")).head.matrix is None
    assert LikelihoodEngine(tiny("llama")).head.matrix is not None


def test_a_failed_probe_means_the_plain_way(tiny, monkeypatch):
    monkeypatch.setattr(pack.Pack, "_mask", lambda self, call, window, dtype: pack.Masked(call))  # everyone sees everyone
    model = tiny("llama")
    engine = LikelihoodEngine(model)
    assert not engine.tree
    asked = family(random.Random(4))
    for i, total, best in engine.score(asked):
        assert (pytest.approx(total, abs=1e-3), best) == plain(model, asked[i])


def test_of_equally_likely_tokens_the_first_is_the_greedy_one():
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 9.0, 0.0]])
    wanted = [(5, 1, 0), (5, 2, 1), (7, 0, 2), (7, 3, 3), (9, 0, 4), (9, 2, 5)]
    expected = logits.double().log_softmax(-1)
    found = likelihood.picked(iter([logits[:2].clone(), logits[2:].clone()]), [5, 7, 9], wanted)
    assert [(index, best) for index, _, best in found] == [(0, True), (1, False), (2, True), (3, False), (4, False), (5, True)]
    for (slot, token, _), (_, logprob, _) in zip(wanted, found, strict=True):
        assert logprob == pytest.approx(float(expected[(slot - 5) // 2, token]), abs=1e-6)
