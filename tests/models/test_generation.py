"""Batched decoding against transformers' own generate."""

import random

import pytest
import torch
from conftest import KINDS

from proctor.models.generation import GenerationEngine, Wanted, draw, first_stop
from proctor.models.likelihood import LikelihoodEngine


def engine(model, tokenizer):
    return GenerationEngine(LikelihoodEngine(model), lambda ids: tokenizer.decode(ids, skip_special_tokens=True))


def prompts(seed=0, count=9):
    rng = random.Random(seed)
    stem = [rng.randrange(3, 290) for _ in range(20)]
    made = []
    for i in range(count):
        head = stem if i % 2 else []
        made.append(tuple(head + [rng.randrange(3, 290) for _ in range(rng.randrange(1, 25))]))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_equals_generate(tiny, tokenizer, kind):
    model = tiny(kind)
    end = frozenset({1, 40})
    asked = [Wanted(p, 5 + 3 * (i % 4), end_tokens=end) for i, p in enumerate(prompts())]
    made = engine(model, tokenizer())
    made.rows = 4  # rows leave, others take their places
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


def test_starts_smaller_when_memory_runs_out(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 8) for p in prompts(6)]
    expected = dict(made.generate(asked))
    whole = made._step

    def limited(rows, cache, shown):
        if len(rows) > 2:
            raise RuntimeError("can't allocate memory")
        return whole(rows, cache, shown)

    monkeypatch.setattr(made, "_step", limited)
    assert dict(made.generate(asked)) == expected


def test_reads_fewer_prompts_together_when_memory_runs_out(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 8) for p in prompts(6)]
    expected = dict(made.generate(asked))
    whole = made._prefill

    def limited(tokens):
        if len(tokens) > 2:
            raise RuntimeError("can't allocate memory")
        return whole(tokens)

    monkeypatch.setattr(made, "_prefill", limited)
    assert dict(made.generate(asked)) == expected
    assert made.prompts <= 2


def test_takes_in_fewer_prompts_when_memory_runs_out(tiny, tokenizer, monkeypatch):
    made = engine(tiny("llama"), tokenizer())
    asked = [Wanted(p, 8) for p in prompts(6)]
    expected = dict(made.generate(asked))
    whole = made._prefill
    made.prompts = 1
    calls = []

    def limited(tokens):
        calls.append(tokens)
        if len(calls) == 4:
            raise RuntimeError("can't allocate memory")
        return whole(tokens)

    monkeypatch.setattr(made, "_prefill", limited)
    assert dict(made.generate(asked)) == expected
    assert made.rows == 2  # one call measures the cache, two prompts were in
