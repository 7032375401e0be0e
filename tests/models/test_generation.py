"""Batched decoding against transformers' own generate."""

import itertools
import random

import pytest
import torch
from conftest import KINDS

from proctor.errors import ModelError
from proctor.models.generation import GenerationEngine
from proctor.models.likelihood import LikelihoodEngine
from proctor.models.memory import Budget
from proctor.models.next_token import Wanted, draw, first_stop


def engine(model, tokenizer, rows=None, **options):
    return GenerationEngine(LikelihoodEngine(model, **options), lambda ids: tokenizer.decode(ids, skip_special_tokens=True), rows)


def prompts(seed=0, count=9):
    rng = random.Random(seed)
    stem = [rng.randrange(3, 290) for _ in range(20)]
    made = []
    for i in range(count):
        head = stem if i % 2 else []
        made.append(tuple(head + [rng.randrange(3, 290) for _ in range(rng.randrange(1, 25))]))
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [11, 512])
def test_greedy_equals_generate(tiny, tokenizer, kind, chunk):
    model = tiny(kind)
    end = frozenset({1, 40})
    asked = [Wanted(p, 5 + 3 * (i % 4), end_tokens=end) for i, p in enumerate(prompts())]
    made = engine(model, tokenizer(), rows=4, chunk=chunk)  # rows leave, others take their places
    found = dict(made.generate(asked))
    assert sorted(found) == list(range(len(asked)))
    for i, wanted in enumerate(asked):
        with torch.inference_mode():
            whole = model.generate(
                torch.tensor([wanted.tokens]), max_new_tokens=wanted.max_tokens, do_sample=False, eos_token_id=sorted(end), pad_token_id=1
            )[0].tolist()
        expected = whole[len(wanted.tokens) :]
        assert list(found[i].tokens) == expected
        assert found[i].length == (expected[-1] not in end)


def test_sampling_depends_on_the_seed_alone(tiny, tokenizer):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 12, temperature=1.5, top_p=0.95, seed=i) for i, p in enumerate(prompts(3))]
    together = dict(made.generate(asked))
    for i, wanted in enumerate(asked):
        assert dict(made.generate([wanted]))[0] == together[i]
    again = dict(made.generate([Wanted(asked[0].tokens, 12, temperature=1.5, top_p=0.95, seed=s) for s in range(5)]))
    assert len({g.tokens for g in again.values()}) > 1


def test_stop_text_across_tokens(tiny, tokenizer):
    model, words = tiny("llama"), tokenizer()
    made = engine(model, words)
    prompt = prompts(5)[1]
    free = dict(made.generate([Wanted(prompt, 24)]))[0]
    text = free.text
    assert free.length
    assert len(text) > 12
    # Stops that begin inside one token and end inside another, and one at the very end.
    for low, high in ((5, 9), (3, 4), (len(text) - 3, len(text))):
        stop = text[low:high]
        if "\ufffd" in stop:
            continue
        found = dict(made.generate([Wanted(prompt, 24, stop=("never this", stop))]))[0]
        assert found.text == text[: text.index(stop)]
        assert not found.length
        assert found.tokens == free.tokens[: len(found.tokens)]


def test_first_stop_is_the_earliest_of_any():
    assert first_stop("one two three", ("three", "two")) == 4
    assert first_stop("one", ("x", "")) is None


def test_draw_follows_the_nucleus():
    logits = torch.log(torch.tensor([0.1, 0.5, 0.3, 0.1]))
    generator = torch.Generator().manual_seed(0)
    counts = [0, 0, 0, 0]
    for _ in range(2000):
        counts[draw(logits, 1.0, 0.75, generator)] += 1
    assert counts[0] == counts[3] == 0
    assert counts[1] / 2000 == pytest.approx(0.5 / 0.8, abs=0.04)
    assert {draw(logits, 1.0, 0.01, generator) for _ in range(50)} == {1}


def failing(monkeypatch, made, fails):
    """Let forward passes run out of memory where `fails` says so of their tokens."""
    whole = made._logits

    def limited(pack, tokens, positions, slots):
        if fails(tokens):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(pack, tokens, positions, slots)

    monkeypatch.setattr(made, "_logits", limited)


def test_goes_on_with_fewer_texts_when_memory_runs_out(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 8) for p in prompts(6)]
    expected = dict(made.generate(asked))
    whole, most = made._logits, []

    def limited(pack, tokens, positions, slots):
        if slots == range(len(tokens)) and len(tokens) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        most.append(len(tokens))
        return whole(pack, tokens, positions, slots)

    monkeypatch.setattr(made, "_logits", limited)
    assert dict(made.generate(asked)) == expected


def test_reads_less_at_a_time_when_memory_runs_out(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 8) for p in prompts(6)]
    expected = dict(made.generate(asked))
    failing(monkeypatch, made, lambda tokens: len(tokens) > 40)
    assert dict(made.generate(asked)) == expected
    assert made.engine.chunk < 1024


def test_says_so_when_no_prompt_can_be_read(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    failing(monkeypatch, made, lambda tokens: True)
    with pytest.raises(ModelError, match="not enough memory on cpu"):
        dict(made.generate([Wanted(p, 8) for p in prompts(6)]))


def test_texts_wait_again_when_the_budget_is_spent(tiny, tokenizer):
    asked = [Wanted(p, 70) for p in prompts(6)]
    expected = dict(engine(tiny("llama"), tokenizer()).generate(asked))
    # Room for the slots of three texts as they begin, and of one when it is long.
    small = engine(tiny("llama"), tokenizer())
    small.engine.budget = Budget(2 * 300 * small.engine.token_bytes)
    assert dict(small.generate(asked)) == expected
    assert small._slots.count < 9


def test_a_shared_beginning_is_computed_once(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer(), chunk=48)
    rng = random.Random(1)
    stem = [rng.randrange(3, 290) for _ in range(60)]
    questions = [[rng.randrange(3, 290) for _ in range(9)] for _ in range(4)]
    asked = [Wanted((*stem, *question), 2, temperature=1.0, seed=epoch) for question in questions for epoch in range(9)]
    read, whole = [], made._logits

    def counted(pack, tokens, positions, slots):
        if slots != range(len(tokens)):
            read.extend(tokens)
        return whole(pack, tokens, positions, slots)

    monkeypatch.setattr(made, "_logits", counted)
    found = dict(made.generate(asked))
    # The stem, each question but its last token, and that once for each epoch.
    assert len(read) == 60 + 4 * 8 + 36
    plain = engine(tiny("llama"), tokenizer())
    for index in (0, 17, 35):
        assert dict(plain.generate([asked[index]]))[0] == found[index]


def test_more_texts_may_come_while_others_are_written(tiny, tokenizer):
    asked = [Wanted(p, 9) for p in prompts(2, count=20)]
    expected = dict(engine(tiny("llama"), tokenizer()).generate(asked))
    made = engine(tiny("llama"), tokenizer(), rows=4)
    made.add(list(enumerate(asked))[:10])
    found = {index: done for index, _, done in made.run(leave=2)}
    assert len(made._waiting) <= 2
    assert made._active
    made.add(list(enumerate(asked))[10:])
    found |= {index: done for index, _, done in made.run()}
    assert found == expected


def test_a_draw_beyond_the_sorted_tokens(monkeypatch):
    logits = torch.randn(3000, generator=torch.Generator().manual_seed(1)) / 10  # far flatter than any model's

    def drawn(top, mass):
        monkeypatch.setattr("proctor.models.next_token.TOP", top)
        generator = torch.Generator().manual_seed(2)
        return [draw(logits, 1.0, mass, generator) for _ in range(200)]

    for mass in (1.0, 0.9, 0.05):
        assert drawn(20, mass) == drawn(3000, mass)


def test_a_window_that_cuts_what_is_shared_otherwise(tiny, tokenizer):
    rng = random.Random(4)
    head, question, other = ([rng.randrange(3, 290) for _ in range(n)] for n in (40, 12, 20))
    first = [Wanted((*head, *question, 5, i), 4) for i in range(3, 12)] + [Wanted((*head, 7 + i, 3), 4) for i in range(6)]
    second = [Wanted((*head, *question, 5, i), 4) for i in range(20, 29)] + [Wanted((*head[:20], *other, i), 4) for i in range(3, 12)]
    alone = engine(tiny("llama"), tokenizer())
    expected = [dict(alone.generate([w]))[0] for w in (*first, *second)]
    made = engine(tiny("llama"), tokenizer(), rows=4, chunk=48)
    made.add(list(enumerate(first)))
    found = {index: done for index, _, done in made.run(leave=6)}
    made.add(list(enumerate(second, len(first))))
    found |= {index: done for index, _, done in made.run()}
    assert [found[i] for i in range(len(expected))] == expected
    assert not any(stem.users for stem in made._live.values())


@pytest.mark.parametrize("seed", range(12))
def test_memory_that_runs_out_anywhere_costs_time_only(tiny, tokenizer, monkeypatch, seed):
    made = engine(tiny("llama"), tokenizer(), rows=6, chunk=64)
    asked = [Wanted(p, 1 + i % 11) for i, p in enumerate(prompts(seed, count=16))]
    expected = dict(made.generate(asked))
    calls = itertools.count()

    def once(whole):
        def allocate(tensor, *shape, **options):
            if next(calls) == seed:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return whole(tensor, *shape, **options)

        return allocate

    for name in ("new_zeros", "new_empty"):
        monkeypatch.setattr(torch.Tensor, name, once(getattr(torch.Tensor, name)))
    assert dict(made.generate(asked)) == expected
    assert next(calls) > seed


def test_slots_take_no_more_than_the_texts_under_way(tiny, tokenizer):
    made = engine(tiny("llama"), tokenizer(), rows=8)
    dict(made.generate([Wanted((5, 6, 7), 2 if i else 80) for i in range(8)]))
    made.add([(i, Wanted((5, 6, 7, i), 2 if i else 80)) for i in range(8)])
    sizes = []
    for _ in made.run():
        sizes.append(made._slots.count * made._slots.room)
    assert max(sizes) <= 8 * (4 + 64)
