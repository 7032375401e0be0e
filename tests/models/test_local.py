import ctypes
import itertools
import os
import random
import subprocess
import sys

import pytest
import torch

from proctor.errors import MissingExtra, ModelError, UsageError
from proctor.models import local
from proctor.models.base import Ask
from proctor.models.local import open_local
from proctor.models.memory import parse_bytes, state_bytes
from proctor.models.weights import physical_cores
from proctor.types import Generate, Item, Likelihood, Message, Prompt

ITEM = Item("1", {})


def ask(request, index=0):
    return Ask(index, "task", ITEM, 0, request)


def user(text, **more):
    return Prompt((Message("user", text),), **more)


def open_folder(folder, **options):
    return open_local("hf", str(folder), options, f"hf:{folder}")


@pytest.mark.parametrize(
    ("scheme", "path", "options", "message"),
    [
        ("smollm2", "", {"dtypes": "float32"}, "no option 'dtypes'; did you mean 'dtype'"),
        ("smollm2", "", {"dtype": "float31"}, "did you mean 'float32'"),
        ("smollm2", "", {"device": "cude"}, "device 'cude' is not"),
        ("smollm2", "", {"device": "cuda:x"}, "device 'cuda:x' is not"),
        ("smollm2", "", {"device": "cpu,"}, "device '' is not cpu"),
        ("smollm2", "", {"memory": "4"}, "as in memory=4GiB, not '4'"),
        ("smollm2", "", {"memory": "1MiB"}, "at least 32MiB"),
        ("smollm2", "", {"threads": "two"}, "whole number"),
        ("smollm2", "", {"revision": "main"}, "only a model of the Hugging Face hub"),
        ("gguf", "no/such.gguf", {}, "there is no file no/such.gguf"),
        ("gguf", "", {}, "gguf:FILE"),
        ("hf", "", {}, "hf:FOLDER"),
        ("hf", "./nowhere", {}, "there is no folder"),
        ("hf", "a/b/c", {}, "there is no folder"),
    ],
)
def test_what_cannot_be_opened_says_so_in_one_message(scheme, path, options, message):
    with pytest.raises(ModelError) as error:
        open_local(scheme, path, options, f"{scheme}:{path}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_another_format(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        open_local("gguf", str(tmp_path / "model.gguf"), {}, "gguf:x")
    with pytest.raises(ModelError, match=r"did you mean 'model.gguf'"):
        open_local("gguf", str(tmp_path / "modl.gguf"), {}, "gguf:x")
    with pytest.raises(ModelError, match="name one file in it"):
        open_local("gguf", str(tmp_path), {}, "gguf:x")
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        open_local("hf", str(tmp_path), {}, "hf:x")
    with pytest.raises(UsageError, match="not a kind of local model"):
        open_local("onnx", "x", {}, "onnx:x")


def test_broken_weights_are_one_message(saved):
    folder = saved()
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(ModelError, match="cannot read the weights") as error:
        list(open_folder(folder).answer([ask(Generate(user("hi")))]))
    assert "\n" not in str(error.value)


def test_a_hub_model_that_cannot_be_had(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = open_local("hf", "no-such-org/no-such-model", {}, "hf:no-such-org/no-such-model")
    with pytest.raises(ModelError, match="check the name and the network") as error:
        model.count_tokens("hello")
    assert "\n" not in str(error.value)


def test_without_the_extra(monkeypatch):
    import importlib.util
    import sys

    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtra, match=r"\[smollm2\]"):
            open_local("smollm2", "", {}, "smollm2")
    model = open_local("hf", "org/name", {"device": "cpu"}, "hf:org/name")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"\[hf\]"):
        model.count_tokens("hello")


def test_fingerprint_follows_the_files(saved, tmp_path, monkeypatch):
    folder = saved()
    before = open_folder(folder).fingerprint
    assert open_folder(folder).fingerprint == before
    assert open_folder(folder, dtype="bfloat16").fingerprint != before
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    changed = open_folder(folder).fingerprint
    assert changed != before
    (folder / "tokenizer_config.json").write_text("{}")
    assert open_folder(folder).fingerprint != changed
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    unresolved = open_local("hf", "org/name", {}, "hf:org/name").fingerprint
    (tmp_path / "models--org--name" / "refs").mkdir(parents=True)
    (tmp_path / "models--org--name" / "refs" / "main").write_text("0123456789012345678901234567890123456789")
    assert open_local("hf", "org/name", {}, "hf:org/name").fingerprint != unresolved


def test_answers_equal_one_forward_pass_each(saved, tiny):
    model = open_folder(saved("llama", bos=True))
    requests = [Likelihood((user(f"the city asks {n} why"), Prompt()), ("A", "B", "the river")) for n in range(6)]
    found = {a.index: r for a, r in model.answer(ask(r, i) for i, r in enumerate(requests))}
    encode = model.renderer.encode
    for i, request in enumerate(requests):
        assert found[i].output_tokens == 0
        for row, (prompt, delimiter) in enumerate(zip(request.prompts, (" ", ""), strict=True)):
            text = prompt.messages[0].content if prompt.messages else ""
            for column, continuation in enumerate(request.continuations):
                before = encode(text, True) if text else [0]
                tokens = encode(text + delimiter + continuation, True)
                with torch.inference_mode():
                    logits = tiny("llama")(input_ids=torch.tensor([tokens[:-1]])).logits[0, len(before) - 1 :]
                after = torch.tensor(tokens[len(before) :])
                expected = logits.log_softmax(-1).gather(1, after[:, None]).sum().item()
                assert found[i].loglikelihoods[row][column] == pytest.approx(expected, abs=1e-4)
                assert found[i].greedy[row][column] == bool((logits.argmax(-1) == after).all())
                if row == 0:
                    assert found[i].token_counts[column] == len(after)


def test_rolling_likelihood_of_a_long_text(saved, tiny):
    model = open_folder(saved("llama"))
    assert model.max_length == 96
    text = "the river runs through the old city . " * 12
    ((_, response),) = model.answer([ask(Likelihood((Prompt(),), (text,)))])
    tokens = model.renderer.encode(text, False)
    assert response.token_counts == (len(tokens),)
    assert len(tokens) > 96
    total = 0.0
    done = 0
    while done < len(tokens):
        end = min(done + 96, len(tokens))
        window = ([0, *tokens[:end]] if done == 0 else tokens[end - 97 : end])[-97:]
        with torch.inference_mode():
            logprobs = tiny("llama")(input_ids=torch.tensor([window[:-1]])).logits[0].log_softmax(-1)
        total += sum(logprobs[k - 1, window[k]].item() for k in range(len(window) - (end - done), len(window)))
        done = end
    assert response.loglikelihoods[0][0] == pytest.approx(total, abs=1e-2)


def test_what_cannot_be_answered_does_not_end_the_stream(saved):
    model = open_folder(saved())
    requests = [
        Likelihood((Prompt(),), ("",)),
        Likelihood((), ("a",)),
        Generate(user("the"), max_tokens=0),
        Generate(user("the"), max_tokens=96),
        Generate(user("the"), max_tokens=2),
        Likelihood((user("the"),), ("a",)),
    ]
    found = {a.index: r for a, r in model.answer(ask(r, i) for i, r in enumerate(requests))}
    assert [found[i].finish == "error" for i in range(6)] == [True, True, True, True, False, False]
    assert "no tokens" in found[0].error
    assert "leaves no room" in found[3].error
    assert found[4].output_tokens <= 2


def test_reads_no_further_ahead_than_a_window(saved, monkeypatch):
    monkeypatch.setattr(local, "WINDOW", 4)
    model = open_folder(saved())
    read = []

    def endless(make):
        for i in itertools.count():
            read.append(i)
            yield ask(make(i), i)

    answers = model.answer(endless(lambda i: Likelihood((user(f"the {i}"),), ("a", "b"))))
    first = [next(answers) for _ in range(6)]
    assert len(read) == 8
    assert all(response.finish == "stop" for _, response in first)
    answers.close()
    # Texts are written side by side, and as many may wait.
    read.clear()
    answers = model.answer(endless(lambda i: Generate(user(f"the {i}"), max_tokens=2)))
    next(answers)
    rows = model.engines[0].generation.rows
    assert rows < len(read) <= 2 * rows + 4
    answers.close()
    assert not model.engines[0].generation._waiting


def test_a_stop_text_that_is_a_special_token(saved):
    model = open_folder(saved())
    wanted = model.to_write(Generate(user("the"), max_tokens=8, stop=("<|end|>", "\n")))
    assert wanted.stop == ("\n",)
    assert wanted.end_tokens == {1, 2}


def test_a_long_prompt_loses_its_beginning(saved):
    model = open_folder(saved())
    wanted = model.to_write(Generate(user("the river " * 100 + "bends"), max_tokens=10))
    assert len(wanted.tokens) == 86
    assert model.tokenizer.decode(wanted.tokens).endswith("river bends")


def test_an_answer_says_how_much_of_the_prompt_was_left_out(saved):
    model = open_folder(saved())
    long, short = user("the river " * 100 + "bends"), user("the river")
    tokens = len(model._prompt_tokens(long))
    scored = tokens + len(model.renderer.encode(" A", False))
    asks = [
        ask(request, i)
        for i, request in enumerate(
            [
                Generate(long, max_tokens=10),
                Generate(short, max_tokens=10),
                Likelihood((short, long), ("A", "B")),
                Likelihood((short,), ("A", "B")),
                Likelihood((Prompt(),), ("the river " * 100,)),  # scored in windows: nothing is left out
            ]
        )
    ]
    found = {a.index: r for a, r in model.answer(asks)}
    assert [found[i].cut_tokens for i in range(5)] == [tokens - 86, None, scored - 97, None, None]
    assert found[0].input_tokens == 86


@pytest.mark.parametrize(
    ("variables", "kept"),
    [({}, True), ({"MALLOC_MMAP_MAX_": "9"}, False), ({"GLIBC_TUNABLES": "glibc.malloc.mmap_max=9"}, False)],
)
def test_the_memory_of_freed_tensors_is_kept(variables, kept):
    """By glibc's own account (mallinfo2): blocks it got by mmap, and bytes it holds after a large block was freed."""
    code = """
import ctypes
from proctor.models.weights import keep_freed_memory
keep_freed_memory()
libc = ctypes.CDLL(None)
names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
class Account(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in names]
libc.mallinfo2.restype, libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
    Account, ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p])
before = libc.mallinfo2().hblks
block = libc.malloc(200 << 20)
mapped = libc.mallinfo2().hblks - before
libc.free(block)
print(mapped == 0, libc.mallinfo2().arena >= 200 << 20)
"""
    if not hasattr(ctypes.CDLL(None) if sys.platform == "linux" else None, "mallinfo2"):
        pytest.skip("needs glibc 2.33 or newer")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))} | variables
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    assert out.split() == [str(kept)] * 2


def test_the_memory_that_was_allowed_bounds_every_pass(saved):
    model = open_folder(saved(), memory="32MiB")
    engine = model.likelihood
    assert engine.budget.bytes == 32 << 20
    assert engine.chunk * state_bytes(model.model) <= engine.budget.bytes // 4
    assert open_folder(saved(), memory="2GiB").fingerprint == open_folder(saved()).fingerprint


@pytest.mark.parametrize(("text", "size"), [("4GiB", 4 << 30), ("1.5 GB", 1_500_000_000), ("64MiB", 64 << 20)])
def test_amounts_of_memory(text, size):
    assert parse_bytes(text, "x") == size


def test_preview_and_facts(saved):
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}"
    model = open_folder(saved("llama", bos=True, chat_template=template))
    shown = model.preview(Likelihood((user("why ?"), user("why ?", style="plain")), ("a",)))
    assert shown.texts == ("[user]why ?<|end|>", "<s>why ?")
    assert "".join(shown.tokens[0]) == shown.texts[0]
    assert "".join(shown.tokens[1]) == shown.texts[1]
    assert "model" not in model.__dict__  # no weights were needed
    assert model.count_tokens("why ?") == len(model.renderer.encode("why ?", False))
    facts = model.describe()
    assert facts["parameters"] == sum(p.numel() for p in model.model.parameters())
    assert (facts["dtype"], facts["device"], facts["max_length"]) == ("float32", "cpu", 96)
    assert len(facts["chat_template"]) == 16


def test_threads_are_physical_cores():
    import os

    assert 1 <= physical_cores() <= os.cpu_count()


@pytest.mark.model
def test_smollm2_equals_one_forward_pass_each(smollm2):
    rng = random.Random(0)
    words = ["the", "of", "city", "river", "seven", "green", "because", "answer", "light", "energy", "water", "plant", "number"]
    shots = " ".join(rng.choice(words) for _ in range(120))
    requests = [Likelihood((user(f"{shots}\n\n{rng.choice(words)} {n}?"),), ("A", "B", "C", "D")) for n in range(4)]
    requests += [
        Likelihood(
            (user(" ".join(rng.choice(words) for _ in range(9)), style="plain"),),
            (" ".join(rng.choice(words) for _ in range(5)), "the city"),
        )
        for _ in range(4)
    ]
    found = {a.index: r for a, r in smollm2.answer(ask(r, i) for i, r in enumerate(requests))}
    assert smollm2.likelihood.tree
    for i, request in enumerate(requests):
        for column, windows in enumerate(smollm2.to_score(request)):
            (scored,) = windows
            with torch.inference_mode():
                logits = smollm2.model(input_ids=torch.tensor([scored.inputs])).logits[0, scored.start - 1 :]
            after = torch.tensor(scored.tokens[scored.start :])
            assert found[i].loglikelihoods[0][column] == pytest.approx(
                logits.log_softmax(-1).gather(1, after[:, None]).sum().item(), abs=1e-4
            )
            assert found[i].greedy[0][column] == bool((logits.argmax(-1) == after).all())


@pytest.mark.model
def test_smollm2_generates_as_transformers_does(smollm2):
    questions = ["What is the capital of France?", "Name three colours.", "Say hello in one short sentence, please."]
    asks = [ask(Generate(user(q), max_tokens=16), i) for i, q in enumerate(questions)]
    found = {a.index: r for a, r in smollm2.answer(asks)}
    for i, question in enumerate(questions):
        ids = smollm2.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            new = smollm2.model.generate(**ids, max_new_tokens=16, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert found[i].text == smollm2.tokenizer.decode(new, skip_special_tokens=True)
        assert found[i].input_tokens == ids["input_ids"].shape[1]
    assert "Paris" in found[0].text
    assert found[0].finish == "stop"
