import pytest

from proctor.errors import TaskError
from proctor.scoring.generation import Bleu, Chrf, Rouge
from proctor.types import Item, Response

sacrebleu = pytest.importorskip("sacrebleu")
rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")

ANSWERS = ["The dog bit the man.", "It was not unexpected.", "The man bit him first.", "", "Été, naïve: 10.5% of it!"]
FIRST = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him.", "Nothing here.", "Été naïf: 10.5% of that!"]
SECOND = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog.", "Empty.", "Summer, naïve."]


def items(*references):
    return [
        Item(str(i), {}, target=list(targets) if len(targets) > 1 else targets[0])
        for i, targets in enumerate(zip(*references, strict=True))
    ]


@pytest.mark.parametrize("references", [(FIRST,), (FIRST, SECOND)])
@pytest.mark.parametrize("options", [{}, {"tokenize": "char"}, {"lowercase": True}])
def test_corpus_bleu_is_sacrebleus(task_values, references, options):
    expected = sacrebleu.metrics.BLEU(**options).corpus_score(ANSWERS, list(references)).score
    assert task_values(Bleu(**options), ANSWERS, items(*references))["bleu"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("references", [(FIRST,), (FIRST, SECOND)])
@pytest.mark.parametrize("word_order", [0, 2])
def test_corpus_chrf_is_sacrebleus(task_values, references, word_order):
    expected = sacrebleu.metrics.CHRF(word_order=word_order).corpus_score(ANSWERS, list(references)).score
    assert task_values(Chrf(word_order=word_order), ANSWERS, items(*references))["chrf"] == pytest.approx(expected, rel=1e-12)


def test_sentence_values_are_sacrebleus():
    item = items(FIRST, SECOND)[2]
    assert Bleu().measure(ANSWERS[2], item, Response()).values["bleu"] == sacrebleu.sentence_bleu(ANSWERS[2], item.target).score
    assert Chrf().measure(ANSWERS[2], item, Response()).values["chrf"] == sacrebleu.sentence_chrf(ANSWERS[2], item.target).score


def test_unanswered_is_an_empty_translation(task_values):
    expected = sacrebleu.corpus_bleu([ANSWERS[0], ""], [FIRST[:2]]).score
    assert task_values(Bleu(), [ANSWERS[0], None], items(FIRST)[:2])["bleu"] == pytest.approx(expected)
    assert expected < 100


def test_unknown_tokenizer():
    with pytest.raises(TaskError, match="no tokenizer '13b'"):
        Bleu(tokenize="13b")


def test_rouge_is_googles(task_values):
    reference = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rows = [reference.score_multi([a, b], answer) for a, b, answer in zip(FIRST, SECOND, ANSWERS, strict=True)]
    found = task_values(Rouge(stem=True), ANSWERS, items(FIRST, SECOND))
    for name in ("rouge1", "rouge2", "rougeL"):
        assert found[name] == pytest.approx(sum(row[name].fmeasure for row in rows) / len(rows))
    assert Rouge().unanswered(items(FIRST)[0]) == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
