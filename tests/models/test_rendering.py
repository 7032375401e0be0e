import random

import pytest

from proctor.models.rendering import CannotRenderError, Renderer, rolling
from proctor.types import Message, Prompt

CHAT = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT
QUESTION = (Message("system", "be brief"), Message("user", "A or B?"))


def test_chat_template_writes_bos_itself(tokenizer):
    renderer = Renderer(tokenizer(bos=True, chat_template=CHAT))
    rendered = renderer.render(Prompt(QUESTION))
    assert rendered.text == "<s>[system]be brief<|end|>[user]A or B?<|end|>[assistant]\n"
    assert rendered.delimiter == ""
    assert renderer.encode(rendered.text, rendered.special).count(0) == 1


def test_prefill_brings_the_delimiter_back(tokenizer):
    renderer = Renderer(tokenizer(chat_template=CHAT))
    assert renderer.render(Prompt(QUESTION, prefill="Answer:")).delimiter == " "
    assert renderer.render(Prompt(QUESTION, prefill="Answer: ")).delimiter == ""
    assert renderer.render(Prompt(QUESTION, prefill="Answer:")).text.endswith("[assistant]\nAnswer:")


def test_running_text_gets_the_tokenizers_bos_once(tokenizer):
    renderer = Renderer(tokenizer(bos=True))
    rendered = renderer.render(Prompt(QUESTION))
    assert (rendered.text, rendered.delimiter) == ("be brief\n\nA or B?", " ")
    assert renderer.encode(rendered.text, rendered.special)[0] == 0
    assert renderer.encode("<s>text", special=True).count(0) == 1
    assert renderer.encode("text", special=False).count(0) == 0


def test_plain_style_ignores_the_template(tokenizer):
    renderer = Renderer(tokenizer(chat_template=CHAT))
    assert renderer.render(Prompt(QUESTION, style="plain")).text == "be brief\n\nA or B?"
    assert renderer.render(Prompt()).text == ""


def test_a_template_without_system_turn(tokenizer):
    for template in (NO_SYSTEM, CHAT.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")):
        renderer = Renderer(tokenizer(chat_template=template))
        assert renderer.render(Prompt(QUESTION)).text == "<s>[user]be brief\n\nA or B?<|end|>[assistant]\n"
    assert Renderer(tokenizer(chat_template=CHAT)).takes_system


def test_a_refusal_of_the_template_is_one_line(tokenizer):
    renderer = Renderer(tokenizer(chat_template="{{ raise_exception('turns must\nalternate') }}"))
    with pytest.raises(CannotRenderError, match="refuses the prompt: turns must alternate"):
        renderer.render(Prompt(QUESTION))


def test_end_of_turn_is_found_in_the_template(tokenizer):
    assert Renderer(tokenizer(chat_template=CHAT)).end_tokens == {1, 2}
    assert Renderer(tokenizer()).end_tokens == {1}


def lm_eval_pair(encode, context, continuation, prefix):
    """lm_eval.api.model.TemplateLM.loglikelihood and _encode_pair, version 0.4.13, restated."""
    if context == "":
        after = encode(continuation, False)
        return ([prefix], after) if after[0] != prefix else (after[:1], after[1:])
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, before = encode(context + continuation, True), encode(context, True)
    return before, whole[len(before) :]


@pytest.mark.parametrize("bos", [False, True])
def test_boundaries_are_those_of_lm_eval(tokenizer, bos):
    renderer = Renderer(tokenizer(bos=bos))
    rng = random.Random(3)
    pieces = ["the", " the", "river ", "a", " ", "\n", "bends", "é", "?", "  "]
    for _ in range(300):
        context = "x" + "".join(rng.choice(pieces) for _ in range(rng.randrange(4))) if rng.random() < 0.9 else ""
        continuation = "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 4)))
        rendered = renderer.render(Prompt((Message("user", context),), style="plain") if context else Prompt())
        before, after = lm_eval_pair(renderer.encode, rendered.text, rendered.delimiter + continuation, 0)
        if not after:
            with pytest.raises(CannotRenderError):
                renderer.scored(rendered, continuation, 1000)
            continue
        (scored,) = renderer.scored(rendered, continuation, 1000)
        assert scored.tokens == (*before, *after)
        assert scored.start == len(before)


def test_too_long_keeps_the_end(tokenizer):
    renderer = Renderer(tokenizer())
    rendered = renderer.render(Prompt((Message("user", "the river " * 20),)))
    (whole,) = renderer.scored(rendered, "bends", 1000)
    (cut,) = renderer.scored(rendered, "bends", 10)
    assert cut.tokens == whole.tokens[-11:]
    assert len(cut.tokens) - cut.start == len(whole.tokens) - whole.start


def lm_eval_windows(token_list, prefix_token, max_seq_len, context_len):
    """lm_eval.utils.get_rolling_token_windows and make_disjoint_window, version 0.4.13, restated: (context, predicted) pairs."""
    pred_len = max_seq_len - context_len + 1
    first = min(max_seq_len, len(token_list))
    pairs = [([prefix_token, *token_list[: first - 1]], token_list[:first])]
    predicted = first
    while predicted < len(token_list):
        n = min(len(token_list) - predicted, pred_len)
        end = predicted + n
        pairs.append((token_list[end - max_seq_len - 1 : end - 1], token_list[end - n : end]))
        predicted += n
    return [(a[: len(a) - (len(b) - 1)], b) for a, b in pairs]


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 40])
def test_rolling_windows_are_those_of_lm_eval(length):
    tokens = list(range(100, 100 + length))
    for longest in (1, 2, 8, 64):
        ours = [(list(w.tokens[: w.start]), list(w.tokens[w.start :])) for w in rolling(tokens, 0, longest)]
        assert ours == lm_eval_windows(tokens, 0, longest, 1)
        assert all(len(w.inputs) <= longest for w in rolling(tokens, 0, longest))


def test_text_that_begins_with_the_prefix_token(tokenizer):
    renderer = Renderer(tokenizer(bos=True))
    (with_bos,) = renderer.scored(renderer.render(Prompt()), "<s>the river", 100)
    (without,) = renderer.scored(renderer.render(Prompt()), "the river", 100)
    assert with_bos == without
    assert with_bos.tokens[0] == 0
    assert with_bos.start == 1


def test_nothing_to_score(tokenizer):
    renderer = Renderer(tokenizer())
    with pytest.raises(CannotRenderError, match="no tokens"):
        renderer.scored(renderer.render(Prompt()), "", 100)
    renderer.tokenizer.bos_token = renderer.tokenizer.eos_token = None
    with pytest.raises(CannotRenderError, match="neither a BOS nor an EOS"):
        Renderer(renderer.tokenizer).scored(renderer.render(Prompt()), "text", 100)
