"""Measures of rankings, beside pytrec_eval, scikit-learn and worked numbers."""

import math
import random

import numpy as np
import pytest

from proctor.errors import DataError, TaskError
from proctor.results.summary import Summary
from proctor.scoring.retrieval import Retrieval, judgements
from proctor.tasks.task import Task
from proctor.types import Item, Rank, Ranked, Response

pytest.importorskip("ir_measures")

CORPUS = [{"_id": f"d{i}", "text": f"text {i}"} for i in range(30)]


def measured(target, ranking, item="q", **options):
    scorer = Retrieval(**options)
    response = Response(ranking=tuple(Ranked(*pair) for pair in ranking))
    return scorer.measure("", Item(item, {}, target=target), response)


def test_worked_numbers():
    # Ranks 1, 3 hold grades 1 and 2; a document of grade 1 is not found. DCG = 1 + 2/2; the ideal 2 + 1/log2(3) + 1/2.
    found = measured({"a": 1, "c": 2, "z": 1}, [("a", 3.0), ("b", 2.0), ("c", 1.0)])
    assert found.values["ndcg@10"] == pytest.approx(2 / (2.5 + 1 / math.log2(3)))
    assert found.values["map@100"] == pytest.approx((1 + 2 / 3) / 3)
    assert found.values["mrr@10"] == 1.0
    assert found.values["recall@100"] == pytest.approx(2 / 3)
    assert found.reason == "first relevant at rank 1"


@pytest.mark.parametrize("seed", range(20))
def test_as_pytrec_eval_and_scikit_learn(seed):
    import pytrec_eval
    from sklearn.metrics import ndcg_score

    rng = random.Random(seed)
    names = [f"d{i}" for i in range(40)]
    grades = {name: rng.choice([0, 1, 1, 2, 3]) for name in rng.sample(names, rng.randint(2, 15))}
    grades[names[0]] = 1  # something is relevant
    scores = {name: rng.random() for name in rng.sample(names, rng.randint(1, 40))}
    measures = ["ndcg@5", "ndcg@10", "ndcg", "map", "map@10", "mrr", "recall@10", "precision@5", "success@5"]
    ours = measured(grades, sorted(scores.items(), key=lambda pair: -pair[1]), measures=measures).values
    theirs = {"ndcg_cut.5,10", "ndcg", "map", "map_cut.10", "recip_rank", "recall.10", "P.5", "success.5"}
    reference = pytrec_eval.RelevanceEvaluator({"q": grades}, theirs).evaluate({"q": scores})["q"]
    expected = ["ndcg_cut_5", "ndcg_cut_10", "ndcg", "map", "map_cut_10", "recip_rank", "recall_10", "P_5", "success_5"]
    assert [ours[name] for name in measures] == pytest.approx([reference[name] for name in expected])
    if len(scores) == len(names):  # scikit-learn knows no document that was not found
        truth = [[grades.get(name, 0) for name in names]]
        assert ours["ndcg@10"] == pytest.approx(ndcg_score(truth, [[scores[name] for name in names]], k=10))


def test_mrr_is_cut():
    ranking = [(f"d{i}", 20.0 - i) for i in range(12)]
    values = measured({"d11": 1}, ranking, measures=["mrr@10", "mrr@12"]).values
    assert values == pytest.approx({"mrr@10": 0.0, "mrr@12": 1 / 12})


def test_nothing_found_counts_as_nothing():
    assert set(measured({"a": 1}, []).values.values()) == {0.0}
    assert "none is relevant" in measured({"a": 1}, [("b", 1.0)]).reason


def test_the_querys_own_document_is_dropped_only_where_asked():
    ranking = [("q", 2.0), ("a", 1.0)]
    assert measured({"a": 1}, ranking).values["mrr@10"] == 0.5
    assert measured({"a": 1}, ranking, same_id="drop").values["mrr@10"] == 1.0


@pytest.mark.parametrize(
    ("target", "expected"),
    [("d1", {"d1": 1}), (["d1", 7], {"d1": 1, "7": 1}), ({"d1": 2, "d2": 0}, {"d1": 2, "d2": 0})],
)
def test_forms_of_a_target(target, expected):
    assert judgements(target) == expected


@pytest.mark.parametrize("target", [None, "", [], {}, {"d1": "2"}, {"d1": True}, [["d1"]], 3])
def test_targets_that_judge_nothing(target):
    with pytest.raises(DataError, match="expected the relevant documents"):
        judgements(target)


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg@0", "NDCG@10", "recall", "map@-1", ""])
def test_measures_that_are_none(name):
    with pytest.raises(TaskError, match="is no measure"):
        Retrieval(measures=[name])


def rank_task(**keys):
    rows = [
        {"id": "a1", "text": "x", "target": {"d1": 1}, "of": "a"},
        {"id": "a2", "text": "y", "target": {"d2": 1}, "of": "a"},
        {"id": "b1", "text": "z", "target": {"d3": 1}, "of": "b"},
    ]
    base = {"task": "r", "data": {"items": rows, "corpus": CORPUS}, "item": {"group": "of"}, "prompt": "{{ text }}", "response": "rank"}
    return Task(**{**base, **keys})


def test_robustness_is_the_worst_of_a_querys_instructions():
    """As InstructIR's own `robust_eval.py`: the minimum over the instructions of one query, the mean over queries."""
    task = rank_task(scoring=[{"retrieval": {"measures": ["ndcg@10", "robustness@10"]}}])
    summary = Summary(task, 1.0)
    found = {"a1": ["d1"], "a2": ["d9", "d2"], "b1": ["d8", "d7", "d3"]}
    for item in task.items:
        response = Response(ranking=tuple(Ranked(name, -float(place)) for place, name in enumerate(found[item.id])))
        summary.add(item, response, task.scoring.score(item, task.request(item), response))
    ndcg, robustness = summary.result().metrics
    assert ndcg.value == pytest.approx(np.mean([1, 1 / math.log2(3), 0.5]))
    assert robustness.value == pytest.approx(np.mean([1 / math.log2(3), 0.5]))
    assert robustness.stderr is not None


def test_robustness_of_many_queries_by_another_way():
    rng = random.Random(4)
    rows = [{"id": f"{q}-{i}", "text": "t", "of": str(q), "target": [f"d{rng.randrange(30)}"]} for q in range(25) for i in range(4)]
    task = rank_task(data={"items": rows, "corpus": CORPUS}, scoring=[{"retrieval": {"measures": ["robustness@10", "ndcg@10"]}}])
    summary = Summary(task, 1.0)
    worst = {}
    for item in rng.sample(task.items, len(task.items)):
        ranking = tuple(Ranked(f"d{name}", -float(place)) for place, name in enumerate(rng.sample(range(30), 12)))
        response = Response(ranking=ranking)
        summary.add(item, response, task.scoring.score(item, task.request(item), response))
        rank = next((place for place, one in enumerate(ranking[:10]) if one.id == item.target[0]), None)
        gain = 0.0 if rank is None else 1 / math.log2(rank + 2)
        worst[item.group] = min(worst.get(item.group, 1.0), gain)
    assert summary.result().metrics[0].value == pytest.approx(np.mean(list(worst.values())))


def test_a_ranking_is_scored_and_what_is_none_fails():
    task = rank_task()
    item = task.items[0]
    request = task.request(item)
    assert isinstance(request, Rank)
    good = task.scoring.score(item, request, Response(ranking=(Ranked("d1", 1.0),)))
    assert (good.state, good.answer, good.values["ndcg@10"]) == ("scored", "d1", 1.0)
    nothing = task.scoring.score(item, request, Response(ranking=()))
    assert (nothing.state, nothing.answer, nothing.values["ndcg@10"]) == ("scored", None, 0.0)
    assert task.scoring.score(item, request, Response(text="d1")).state == "failed"
    assert task.scoring.score(item, request, Response(finish="error", error="no")).values["ndcg@10"] == 0.0


def test_only_rankings_are_scored_by_retrieval():
    with pytest.raises(TaskError, match="cannot score the response kind 'generate'"):
        Task(task="t", data=[{"q": "?", "target": "a"}], prompt="{{ q }}", scoring="retrieval")
    with pytest.raises(TaskError, match="'f1' cannot score the response kind 'rank'"):
        rank_task(scoring="f1")
