import math
import random
from collections import Counter

import pytest

from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.types import Generate, Item, Likelihood, Message, Prompt

GENERATE = Generate(Prompt((Message("user", "?"),)))
TEXTS = (" a", " a much longer choice", " ä", " middling")


def ask(item, pool=(), epoch=0, request=GENERATE):
    return Ask(0, "t", item, epoch, request, tuple(pool))


def one(model, the_ask):
    [(_, response)] = model.answer([the_ask])
    return response


def choice_items(n=2000):
    return [Item(str(i), {}, choices=TEXTS, target=0) for i in range(n)]


def likelihood(prompts=1, texts=TEXTS):
    return Likelihood((GENERATE.prompt, Prompt())[:prompts], texts)


@pytest.mark.parametrize("normalise", ["none", "char", "byte", "token", "unconditional"])
def test_random_choices_are_uniform_under_every_normalisation(normalise):
    model = open_model("baseline:random")
    prompts = 2 if normalise == "unconditional" else 1
    chosen = Counter()
    for _, response in model.answer(ask(item, request=likelihood(prompts)) for item in choice_items()):
        values = response.loglikelihoods[0]
        by = {
            "none": values,
            "char": [v / len(t) for v, t in zip(values, TEXTS, strict=True)],
            "byte": [v / len(t.encode()) for v, t in zip(values, TEXTS, strict=True)],
            "token": [v / n for v, n in zip(values, response.token_counts, strict=True)],
            "unconditional": [v - w for v, w in zip(values, response.loglikelihoods[-1], strict=True)],
        }[normalise]
        chosen[by.index(max(by))] += 1
        assert list(by).count(max(by)) == 1
        assert response.greedy[0].count(True) == 1
    # Pearson's chi-squared with 3 degrees of freedom: above 16.27 once in a thousand.
    assert sum((chosen[i] - 500) ** 2 / 500 for i in range(4)) < 16.27


def test_random_letters_are_uniform_and_depend_on_seed_item_and_epoch_only():
    items = choice_items()
    letters = [r.text for _, r in open_model("baseline:random").answer(map(ask, items))]
    assert sum((letters.count(c) - 500) ** 2 / 500 for c in "ABCD") < 16.27
    shuffled = random.Random(0).sample(items, len(items))
    again = {a.item.id: r.text for a, r in open_model("baseline:random").answer(ask(i, pool=items[:5]) for i in shuffled)}
    assert [again[i.id] for i in items] == letters
    for other in (
        open_model("baseline:random?seed=1").answer(map(ask, items)),
        open_model("baseline:random").answer(ask(i, epoch=1) for i in items),
    ):
        same = sum(r.text == letter for (_, r), letter in zip(other, letters, strict=True))
        assert 400 < same < 600  # a quarter of 2,000


def test_a_random_free_answer_is_another_items_target():
    pool = [Item(str(i), {}, target=t) for i, t in enumerate(["yes", "no", ["maybe", "perhaps"], 7, {"tests": []}, [{"rule": 1}]])]
    model = open_model("baseline:random")
    texts = {one(model, ask(pool[0], pool, epoch)).text for epoch in range(200)}
    assert texts == {"no", "maybe", "7", ""}
    assert one(model, ask(pool[0], pool[:1])).text == ""


def test_majority_is_one_answer_for_the_whole_task():
    targets = [2, 2, 1, 3, 3, [1, 3]]
    pool = tuple(Item(str(i), {}, choices=TEXTS, target=target) for i, target in enumerate(targets))
    model = open_model("baseline:majority")
    for item in (*pool, Item("x", {}, choices=TEXTS, target=0)):
        response = one(model, ask(item, pool, request=likelihood()))
        assert response.loglikelihoods[0].index(max(response.loglikelihoods[0])) == 3


def test_majority_of_several_is_the_first_in_order():
    pool = tuple(Item(name, {}, target=target) for name, target in (("a", "y"), ("b", "x"), ("c", "y"), ("d", "x")))
    model = open_model("baseline:majority")
    assert {one(model, ask(item, pool)).text for item in pool} == {"x"}
    assert one(model, ask(pool[0], pool[:1])).text == "y"


def test_majority_stays_among_the_choices_there_are():
    pool = [Item(str(i), {}, choices=TEXTS, target=3) for i in range(5)]
    item = Item("x", {}, choices=TEXTS[:2], target=0)
    assert one(open_model("baseline:majority"), ask(item, pool)).text == "A"


@pytest.mark.parametrize("name", ["random", "majority"])
def test_rolling_likelihood_is_that_of_a_uniform_model_over_bytes(name):
    response = one(open_model(f"baseline:{name}"), ask(Item("x", {}), request=Likelihood((Prompt(),), ("näh",))))
    assert response.loglikelihoods == ((-4 * math.log(256),),)
    assert response.greedy == ((False,),)
    assert math.exp(-response.loglikelihoods[0][0] / response.token_counts[0]) == pytest.approx(256)


def test_answers_of_many_formats_are_guessed_from_the_other_items_answers():
    target = {"answer": {"shape": "circle", "count": 3}, "metric": {"shape": "exact_str_match", "count": "exact_str_match"}}
    pool = [Item("a", {}, target={"answer": "x", "metric": "set_equality"}), Item("b", {}, target=target)]
    assert one(open_model("baseline:random"), ask(pool[0], pool)).text == '{"count":3,"shape":"circle"}'
    assert one(open_model("baseline:random"), ask(pool[1], pool)).text == "x"
    assert one(open_model("baseline:random"), ask(Item("c", {}, target={"tests": "t"}), [Item("d", {}, target={"tests": "t"})])).text == ""
