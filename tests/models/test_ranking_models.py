"""Models that rank without a neural network: BM25, runs made elsewhere, baselines, functions; and the best of many scores."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.models.python_function import PythonModel
from proctor.models.ranking import best
from proctor.tasks.sources.documents import make_corpus
from proctor.types import Item, Rank, Ranked, Response

TEXTS = {
    "d1": "Red apples ripen in autumn, red as the evening sky.",
    "d2": "Ships sail by the wind; a ship without wind waits.",
    "d3": "Bread is baked from flour and water.",
    "d4": "Apples and pears are fruit, and bread with apples is good.",
    "d5": "Autumn wind.",
}
CORPUS = make_corpus(list(TEXTS), list(TEXTS.values()))
# Lucene's stop words that occur in the texts above and in the queries.
STOP = {"in", "as", "the", "by", "a", "is", "and", "are", "with"}


def ask(query, item="q1", pool=(), **keys):
    return Ask(0, "t", Item(item, {}, target={"d1": 1}), 0, Rank(query, CORPUS.hash, **keys), tuple(pool), corpus=CORPUS)


def ranking(model, the_ask):
    [(_, response)] = model.answer([the_ask])
    return response.ranking


def own_bm25(query, k1, b):
    """Lucene's BM25, written out."""
    words = {name: [w for w in re.findall(r"\b\w\w+\b", text.lower()) if w not in STOP] for name, text in TEXTS.items()}
    mean = sum(map(len, words.values())) / len(words)
    scores = Counter()
    for word in re.findall(r"\b\w\w+\b", query.lower()):
        n = sum(word in one for one in words.values())
        for name, one in words.items():
            tf = one.count(word)
            idf = math.log(1 + (len(words) - n + 0.5) / (n + 0.5))
            scores[name] += idf * tf / (tf + k1 * (1 - b + b * len(one) / mean)) if tf else 0.0
    return {name: score for name, score in scores.items() if score}


@pytest.mark.parametrize(("options", "k1", "b"), [("", 0.9, 0.4), ("?k1=1.5&b=0.75", 1.5, 0.75)])
@pytest.mark.parametrize("query", ["red apples in autumn", "Wind", "bread bread flour unknownword"])
def test_bm25_is_lucenes(query, options, k1, b):
    pytest.importorskip("bm25s")
    found = ranking(open_model(f"baseline:bm25{options}"), ask(query))
    expected = own_bm25(query, k1, b)
    assert {one.id: one.score for one in found} == pytest.approx(expected, rel=1e-5)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_bm25_reads_the_instruction_and_keeps_to_candidates_and_top_k():
    pytest.importorskip("bm25s")
    model = open_model("baseline:bm25")
    assert ranking(model, ask("zzz")) == ()
    assert ranking(model, ask("zzz", instruction="flour"))[0].id == "d3"
    assert {one.id for one in ranking(model, ask("apples wind", candidates=("d4", "d5")))} == {"d4", "d5"}
    assert len(ranking(model, ask("apples wind", top_k=1))) == 1


def test_bm25_of_documents_without_words():
    pytest.importorskip("bm25s")
    corpus = make_corpus(["a"], ["…"])
    [(_, response)] = open_model("baseline:bm25").answer([Ask(0, "t", Item("q", {}), 0, Rank("x", corpus.hash), (), corpus=corpus)])
    assert response.ranking == ()


def test_a_trec_run_and_the_same_as_json(tmp_path):
    (tmp_path / "a.run").write_text("q1 Q0 d3 2 1.5 mine\nq1 Q0 d1 1 9e-1 mine\n\nq2 Q0 d2 1 3 mine\n")
    (tmp_path / "a.json").write_text('{"q1": {"d3": 1.5, "d1": 0.9}, "q2": {"d2": 3}}')
    for name in ("a.run", "a.json"):
        model = open_model(f"run:{tmp_path / name}")
        assert ranking(model, ask("?")) == (Ranked("d3", 1.5), Ranked("d1", 0.9))
        assert ranking(model, ask("?", top_k=1)) == (Ranked("d3", 1.5),)
        assert ranking(model, ask("?", candidates=("d1",))) == (Ranked("d1", 0.9),)
        [(_, response)] = model.answer([ask("?", item="q7")])
        assert response.error == "the run has no ranking for query q7"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.run", "q1 Q0 d3 2 1.5\n", "line 1: 5 values, expected the 6 of a TREC run"),
        ("a.run", "q1 Q0 d3 2 high mine\n", "line 1: the score of document d3 is no number"),
        ("a.run", "q1 Q0 d3 1 2 m\nq1 Q0 d3 2 1 m\n", "line 2: document d3 is ranked twice"),
        ("a.run", "\n", "no rankings in it"),
        ("a.json", "{", "not JSON"),
        ("a.json", '{"q1": ["d1"]}', r"expected an object \{query"),
        ("a.json", '{"q1": {"d1": null}}', "is no number"),
    ],
)
def test_runs_that_are_none(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=message):
        open_model(f"run:{tmp_path / name}")


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        open_model(f"run:{tmp_path / 'no.run'}")
    with pytest.raises(ModelError, match="which file"):
        open_model("run:")


def test_the_baselines_rank():
    first = [one.id for one in ranking(open_model("baseline:random"), ask("?"))]
    assert sorted(first) == sorted(TEXTS)
    assert first == [one.id for one in ranking(open_model("baseline:random"), ask("?"))]
    assert len({tuple(one.id for one in ranking(open_model("baseline:random"), ask("?", item=f"q{i}"))) for i in range(20)}) > 10
    pool = [Item("a", {}, target={"d2": 1, "d4": 0}), Item("b", {}, target=["d5", "d2"])]
    assert [one.id for one in ranking(open_model("baseline:majority"), ask("?", pool=pool))] == ["d2", "d5"]
    assert [one.id for one in ranking(open_model("baseline:majority"), ask("?", pool=pool, candidates=("d5", "d1")))] == ["d5"]


def test_a_function_ranks_with_the_corpus_beside():
    def search(request, corpus):
        return Response(ranking=tuple(Ranked(name, -i) for i, name in enumerate(corpus.ids[: request.top_k])))

    search.kinds = {"rank"}
    model = PythonModel(search)
    assert model.kinds == {"rank"}
    assert [one.id for one in ranking(model, ask("?", top_k=2))] == ["d1", "d2"]

    def forgetful(request):
        return Response(text="d1")

    forgetful.kinds = {"rank"}
    [(_, response)] = PythonModel(forgetful).answer([ask("?")])
    assert response.finish == "error"
    assert "no ranking" in response.error


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_the_best_are_those_of_a_stable_sort(scores, top_k):
    ids = [f"d{i}" for i in range(len(scores))]
    expected = sorted(zip(ids, scores, strict=True), key=lambda pair: -pair[1])[:top_k]
    assert [(one.id, one.score) for one in best(ids, np.array(scores, dtype=np.float32), top_k)] == expected
