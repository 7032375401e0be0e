"""Local models that are shown pictures beside text: `vlm:FOLDER` and `vlm:ORG/NAME`, through transformers' own processor and generation."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal

from proctor.canonical import canonical_json, content_hash, seeded
from proctor.errors import DataError, MissingExtra, ModelError
from proctor.models.base import Ask, Kind, Model, Preview, plain_text
from proctor.models.chat import finished_text
from proctor.models.weights import (
    Files,
    Options,
    default_dtype,
    devices,
    find_files,
    fingerprint,
    from_transformers,
    keep_freed_memory,
    physical_cores,
    reading,
)
from proctor.types import PLACE, Generate, Media, MediaKind, Message, Prompt, Request, Response

ENGINE = 1
"""Version of what is made of a request; raised when the same model would answer otherwise."""


def open_vision(scheme: str, path: str, options: dict[str, str], uri: str) -> Model:
    """`vlm:FOLDER` and `vlm:ORG/NAME`. Nothing is loaded yet. Raises `ModelError` for an option or a folder that is not there."""
    parsed = Options.parse(options, uri)
    return VisionModel(find_files("hf", path, parsed, uri), parsed, uri)


class VisionModel(Model):
    """A vision-language model in this process, on one device; one request after another.

    Prompts go through the chat template of its processor, pictures as its image parts; a prompt of style `plain`, or for a model without a
    template, is running text with the processor's image token in the place of each picture. Penalties that the model's
    generation configuration asks for are off, so that greedy decoding is greedy.
    """

    kinds: frozenset[Kind] = frozenset({"generate"})
    media: frozenset[MediaKind] = frozenset({"image"})
    free = True
    no_likelihood = "local vision-language models are asked for texts only"

    def __init__(self, files: Files, options: Options, uri: str) -> None:
        self.uri, self.files, self.options = uri, files, options
        self.fingerprint = content_hash(["vision", ENGINE, fingerprint(files, options.revision), default_dtype(options)])

    # what is loaded when it is needed

    @property
    def _source(self) -> dict[str, Any]:
        if self.files.folder is not None:
            return {"pretrained_model_name_or_path": str(self.files.folder)}
        return {"pretrained_model_name_or_path": self.files.name, "revision": self.files.commit or self.options.revision or None}

    @cached_property
    def processor(self) -> Any:
        from_transformers(self.uri)
        try:
            import PIL  # noqa: F401
        except ImportError:
            raise MissingExtra(f"The model '{self.uri}'", "hf") from None
        from transformers import AutoProcessor

        with reading(self.files, "processor"):
            processor = AutoProcessor.from_pretrained(**self._source)
        if getattr(processor, "image_processor", None) is None:
            raise ModelError(f"{self.uri}: the model has no processor of pictures: it is no vision-language model; name it hf:…")
        return processor

    @cached_property
    def model(self) -> Any:
        from_transformers(self.uri)
        import torch
        from transformers import AutoModelForImageTextToText

        dtype, device = default_dtype(self.options), devices(self.options)[0]
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(f"{self.uri}: torch sees no CUDA device here; leave the device out or say device=cpu")
        if device == "cpu":
            torch.set_num_threads(self.options.threads or physical_cores())
            keep_freed_memory()
        with reading(self.files, "weights"):
            wanted: Any = dtype if dtype == "auto" else getattr(torch, dtype)
            return AutoModelForImageTextToText.from_pretrained(**self._source, dtype=wanted).to(device).eval()

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    # the protocol

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        _ = self.processor, self.model  # what cannot be loaded is no item's error
        for ask in asks:
            started, began = time.time(), time.perf_counter()
            request = ask.request
            if not isinstance(request, Generate):
                yield ask, Response(finish="error", error=self.no_likelihood)
                continue
            try:
                found = self._write(request)
            except DataError:
                raise
            except Exception as error:  # noqa: BLE001 - a processor raises anything for a picture it cannot take
                said = " ".join(str(error).split())[:300]
                yield ask, Response(finish="error", error=f"{type(error).__name__}: {said}", started_at=started)
                continue
            text, finish, given, written = found
            latency = time.perf_counter() - began
            yield (
                ask,
                Response(text=text, finish=finish, input_tokens=given, output_tokens=written, started_at=started, latency=latency),
            )

    def _write(self, request: Generate) -> tuple[str, Literal["stop", "length"], int, int]:
        """Text, how it ended, tokens of the prompt, tokens written."""
        import torch

        text, pictures = self.rendered(request.prompt)
        bos = self.tokenizer.bos_token
        special = not (bos and text.startswith(bos))  # a chat template writes it itself
        inputs = self.processor(
            text=[text], images=[_picture(one) for one in pictures] or None, return_tensors="pt", add_special_tokens=special
        ).to(self.model.device)
        given = int(inputs["input_ids"].shape[1])
        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if request.temperature > 0:
            how = {"do_sample": True, "temperature": request.temperature, "top_p": request.top_p, "top_k": 0}
            torch.manual_seed(request.seed if request.seed is not None else seeded("unseeded", canonical_json(request).decode()) % 2**31)
        if request.stop:
            how |= {"stop_strings": list(request.stop), "tokenizer": self.tokenizer}
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=request.max_tokens, repetition_penalty=1.0, no_repeat_ngram_size=0, **how)
        new = tokens[0][given:].tolist()
        said = self.tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        full = len(new) >= request.max_tokens and new[-1] not in self._ends
        found, finish = finished_text(said, "", request.stop, "length" if full else "stop")
        return found, finish, given, len(new)

    @cached_property
    def _ends(self) -> frozenset[int]:
        stated = self.model.generation_config.eos_token_id
        return frozenset(stated if isinstance(stated, list) else [stated]) | {self.tokenizer.eos_token_id}

    def rendered(self, prompt: Prompt) -> tuple[str, list[Media]]:
        """The prompt as the model's text, and the pictures in the order of their places."""
        pictures = [media for message in prompt.messages for media in message.media]
        if prompt.style == "plain" or not getattr(self.processor, "chat_template", None):
            token = getattr(self.processor, "image_token", None)
            if pictures and not token:
                raise ValueError("the model's processor names no image token, so that running text cannot show a picture")
            return plain_text(prompt)[0].replace(PLACE, str(token)) if pictures else plain_text(prompt)[0], pictures
        turns = [{"role": message.role, "content": _content(message)} for message in prompt.messages]
        text = self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(text) + prompt.prefill, pictures

    def preview(self, request: Request) -> Preview:
        if not isinstance(request, Generate):
            return super().preview(request)
        return Preview((self.rendered(request.prompt)[0],), None, "chat template of the model; a picture's place as it writes it")

    def count_tokens(self, text: str) -> int | None:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def describe(self) -> dict[str, Any]:
        import torch
        import transformers

        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "architecture": type(self.model).__name__,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
            "processor": type(self.processor).__name__,
            "image_processor": type(self.processor.image_processor).__name__,
            "commit": self.files.commit or None,
            "engine": ENGINE,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def close(self) -> None:
        self.__dict__.pop("model", None)


def _content(message: Message) -> list[dict[str, str]]:
    return [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in message.parts()]


def _picture(media: Media) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(media.data())).convert("RGB")
