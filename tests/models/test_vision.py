"""Local vision-language models: a tiny LLaVA with random weights, against transformers' own way from messages to text.

No vision-language model with trained weights installs from PyPI; random weights see a picture all the same, and answer otherwise for
another.
"""

import hashlib
import io

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

import proctor  # noqa: E402
from proctor.errors import ModelError  # noqa: E402
from proctor.models.base import Ask  # noqa: E402
from proctor.models.open import open_model  # noqa: E402
from proctor.types import PLACE, Generate, Item, Media, Message, Prompt  # noqa: E402

TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}: {% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}"
    "{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    import torch
    import transformers as t

    t.logging.set_verbosity_error()
    made = tmp_path_factory.mktemp("llava")
    words = tokenizer()
    words.add_tokens(["<image>"], special_tokens=True)
    small = {"num_hidden_layers": 2, "num_attention_heads": 2}
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(hidden_size=16, intermediate_size=24, image_size=30, patch_size=10, projection_dim=16, **small),
        text_config=t.LlamaConfig(
            vocab_size=320,
            hidden_size=32,
            intermediate_size=48,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
            **small,
        ),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(7)
    model = t.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    model.save_pretrained(made)
    t.LlavaProcessor(
        image_processor=t.CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
        tokenizer=words,
        patch_size=10,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def model(folder):
    opened = open_model(f"vlm:{folder}?threads=1")
    yield opened
    opened.close()


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, format="PNG")
    return file.getvalue()


def media(data):
    return Media("image", "image/png", hashlib.sha256(data).hexdigest(), len(data)).found_by(lambda: data)


def request(*colours, text="the river", max_tokens=8, **more):
    prompt = Prompt(
        (Message("user", PLACE * len(colours) + text, tuple(media(picture(one)) for one in colours)),), **more.pop("prompt", {})
    )
    return Generate(prompt, max_tokens, **more)


def answered(model, asked):
    [(_, response)] = model.answer([Ask(0, "t", Item("i", {}), 0, asked)])
    return response


def reference(model, colours, text="the river", max_tokens=8):
    """By the processor's own reading of messages that hold the pictures themselves."""
    content = [*({"type": "image", "image": Image.new("RGB", (40, 30), one)} for one in colours), {"type": "text", "text": text}]
    inputs = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    tokens = model.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
    return model.tokenizer.decode(tokens[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True), inputs["input_ids"].shape[1]


@pytest.mark.parametrize("colours", [("red",), ("blue",), ("red", "blue"), ()])
def test_the_text_is_that_of_transformers_for_the_same_messages(model, colours):
    text, given = reference(model, colours)
    response = answered(model, request(*colours))
    assert response.error is None
    assert (response.text, response.input_tokens) == (text, given)
    assert response.finish in ("stop", "length")
    assert response.output_tokens <= 8


def test_another_picture_is_another_answer(model):
    said = {colour: answered(model, request(colour)).text for colour in ("red", "blue", "white")}
    assert len(set(said.values())) > 1


def test_stop_texts_limits_and_seeds(model):
    whole = answered(model, request("red", max_tokens=16)).text
    stop = whole[3:5]
    cut = answered(model, request("red", max_tokens=16, stop=(stop,)))
    assert (cut.text, cut.finish) == (whole[: whole.index(stop)], "stop")
    short = answered(model, request("red", max_tokens=1))
    assert (short.finish, short.output_tokens) == ("length", 1)
    drawn = [answered(model, request("red", temperature=2.0, seed=seed, max_tokens=12)).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_prefill_and_running_text(model):
    rendered, pictures = model.rendered(request("red", prompt={"prefill": "the old"}).prompt)
    assert rendered == "<s>user: <image>the river</s>assistant: the old"
    assert len(pictures) == 1
    assert model.rendered(request("red", prompt={"style": "plain"}).prompt)[0] == "<image>the river"
    assert answered(model, request("red", prompt={"style": "plain"})).error is None


def test_a_picture_the_processor_cannot_take_is_the_items_error(model):
    broken = media(b"\x89PNG no picture")
    found = answered(model, Generate(Prompt((Message("user", PLACE, (broken,)),))))
    assert found.finish == "error"
    assert "cannot identify image file" in found.error


def test_a_run_over_shapes(model, folder, tmp_path):
    (run,) = proctor.run("shapes", f"vlm:{folder}?threads=1", out=tmp_path, limit=3)
    assert run.manifest.state == "complete"
    assert run.manifest.tasks[0].states["failed"] == 0
    assert run.manifest.model_info["architecture"] == "LlavaForConditionalGeneration"
    with pytest.raises(ModelError, match=r"task 'tones' shows sound, and vlm:.* takes text and pictures only"):
        proctor.run("tones", f"vlm:{folder}?threads=1", out=tmp_path)


def test_a_model_of_text_alone_is_no_vision_model(saved):
    with pytest.raises(ModelError, match=r"vlm:"):
        answered(open_model(f"vlm:{saved()}"), request("red"))


def test_what_is_not_there():
    with pytest.raises(ModelError, match="there is no folder"):
        open_model("vlm:./gone")
