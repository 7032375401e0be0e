"""A context is encoded once for all its continuations, and gives the very tokens of encoding each text whole."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.models.rendering import SETTLED, CannotRenderError, Rendered, Renderer

TEXT = "the river runs through the old city and nobody asks why it bends there ; answers : A B C D 1 2 3 . isn't <|end|> \n\n  é 🦉"


@cache
def renderer(kind):
    """Tokenizers that begin words in different ways: byte-level BPE, sentencepiece-like, BERT's, one without words, one that ends texts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<|end|>", "<unk>"]
    if kind == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    elif kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=special, unk_token="<unk>", show_progress=False)
    else:
        made = Tokenizer(models.BPE(unk_token="<unk>"))
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
        if kind == "one word":  # as Llama 2's: spaces are letters, and nothing splits
            made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        else:
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "prefix space")
            trainer.initial_alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([TEXT] * 4, trainer)
    single = "<s> $A </s>" if kind == "ends" else "<s> $A"
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])
    return Renderer(PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"))


KINDS = ("byte level", "prefix space", "unigram", "wordpiece", "one word", "ends")
words = st.lists(st.sampled_from([*TEXT.split(" "), "\n", "  ", "riv", "12", "don't", "<|end|>", "e\u0301", "Ω"]), min_size=1, max_size=60)
tails = st.text(st.sampled_from("ab 'stD1\n.é🦉\u0301"), min_size=1, max_size=8)


def plain(one, context, special, more, limit):
    """The rule, as it is written down: encode both together, cut at as many tokens as the context has alone."""
    cut = len(context.rstrip())
    before = one.encode(context[:cut], special)
    whole = one.encode(context + more, special)
    return (before + whole[len(before) :])[-(limit + 1) :]


@pytest.mark.parametrize("kind", KINDS)
@given(context=words, glue=st.sampled_from([" ", "", "\n"]), continuations=st.lists(tails, min_size=1, max_size=4), special=st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_tokens_of_encoding_each_text_whole(kind, context, glue, continuations, special):
    text = glue.join(context)
    if not text.strip():
        return
    for delimiter in ("", " "):
        rendered = Rendered(text, delimiter, special)
        try:
            found = renderer(kind).scored_all(rendered, continuations, 50)
        except CannotRenderError:  # it adds no tokens
            wholes = [plain(renderer(kind), text, special, delimiter + one, 50) for one in continuations]
            assert plain(renderer(kind), text, special, "", 50) in wholes
            continue
        for one, (scored,) in zip(continuations, found, strict=True):
            assert list(scored.tokens) == plain(renderer(kind), text, special, delimiter + one, 50)


@pytest.mark.parametrize(
    ("kind", "keeps"), [("byte level", True), ("unigram", True), ("wordpiece", True), ("one word", False), ("ends", False)]
)
def test_most_of_a_long_context_is_encoded_once(kind, keeps):
    text = " ".join(TEXT.split(" ")[:20]) + " " + "the river bends " * 20
    begun = renderer(kind)._begun(text.rstrip(), special=True)
    assert (begun.fast > 0) is keeps
    if keeps:
        assert SETTLED <= len(begun.rest) < SETTLED + 30


@pytest.mark.model
@given(context=words, continuations=st.lists(tails, min_size=1, max_size=4), special=st.booleans())
@settings(deadline=None, max_examples=100)
def test_so_does_the_small_model(smollm2, context, continuations, special):
    text = " ".join(context)
    if not text.strip():
        return
    found = smollm2.renderer.scored_all(Rendered(text, " ", special), continuations, 1000)
    for one, (scored,) in zip(continuations, found, strict=True):
        assert list(scored.tokens) == plain(smollm2.renderer, text, special, " " + one, 1000)
