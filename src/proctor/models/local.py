"""Local models through torch and transformers, behind the one protocol: `smollm2`, `gguf:FILE`, `hf:FOLDER` and `hf:ORG/NAME`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from proctor.canonical import canonical_json, content_hash, seeded
from proctor.errors import UsageError
from proctor.models.base import Ask, Kind, Model, Preview
from proctor.models.data_parallel import shared_out
from proctor.models.likelihood import LikelihoodEngine
from proctor.models.local_engines import Engines
from proctor.models.memory import Budget
from proctor.models.next_token import Wanted
from proctor.models.prefix_tree import Scored
from proctor.models.rendering import CannotRenderError, Renderer
from proctor.models.weights import Files, Options, default_dtype, devices, find_files, fingerprint, load_model, load_tokenizer
from proctor.types import Generate, Likelihood, Prompt, Request, Response, prompts_of

ENGINE = 2
"""Version of the engine; raised when the same model would answer otherwise."""

WINDOW = 512
"""Asks that are read before any of them is answered. What a window ends with serves the next, so its size costs nothing."""

WINDOW_CHARACTERS = 8_000_000
"""A window of long prompts ends earlier."""


def open_local(scheme: str, path: str, options: dict[str, str], uri: str) -> Model:
    """Open a local model. Nothing is loaded yet.

    Args:
        scheme: `smollm2`, `gguf` or `hf`.
        path: what follows the colon; empty for `smollm2`.
        options: `dtype`, `device`, `memory`, `revision`, `threads`.
        uri: as the user named the model.

    Raises:
        ModelError: an option means nothing, or there is no such file or folder.
        MissingExtra: the package that holds SmolLM2 is not installed.
        UsageError: an unknown scheme.
    """
    if scheme not in ("smollm2", "gguf", "hf"):
        raise UsageError(f"{uri}: '{scheme}' is not a kind of local model (smollm2, gguf, hf)")
    parsed = Options.parse(options, uri)
    return LocalModel(find_files(scheme, path, parsed, uri), parsed, uri)


class LocalModel(Model):
    """A language model in this process, on one device or several."""

    kinds: frozenset[Kind] = frozenset({"generate", "likelihood"})
    free = True

    def __init__(self, files: Files, options: Options, uri: str) -> None:
        self.uri = uri
        self.files = files
        self.options = options
        self.fingerprint = content_hash([ENGINE, fingerprint(files, options.revision), default_dtype(options)])

    # what is loaded when it is needed

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.files, self.options)

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.tokenizer)

    @cached_property
    def engines(self) -> list[Engines]:
        """One for each device."""
        budget = Budget(self.options.memory) if self.options.memory else None
        return [Engines(load_model(self.files, self.options, device), self, budget) for device in devices(self.options)]

    @property
    def model(self) -> Any:
        return self.engines[0].model

    @property
    def likelihood(self) -> LikelihoodEngine:
        return self.engines[0].likelihood

    @cached_property
    def max_length(self) -> int:
        """Tokens the model can read at once (lm-evaluation-harness's rule: configuration, else tokenizer, else 2,048)."""
        config = self.model.config.get_text_config(decoder=True)
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            if isinstance(getattr(config, name, None), int):
                return int(getattr(config, name))
        stated = getattr(self.tokenizer, "model_max_length", None)
        return int(stated) if stated and stated < 10**9 else 2048

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        stated = self.model.generation_config.eos_token_id if self.model.generation_config is not None else None
        ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
        return self.renderer.end_tokens | frozenset(int(i) for i in ids)

    def decode(self, tokens: list[int]) -> str:
        """Tokens as text, without special tokens.

        White space is left as it is; only, a sentencepiece tokenizer itself takes the blank off the first word of a text.
        """
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    # the protocol

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        asks = iter(asks)
        windows = iter(lambda: _window(asks), [])
        if len(self.engines) > 1:  # what their threads share is made before they begin
            _ = self.renderer, self.max_length, self.end_tokens
        return shared_out([engines.answer for engines in self.engines], windows)

    def to_score(self, request: Likelihood) -> list[list[Scored]]:
        """Of each prompt × continuation, the sequences to score. Raises `CannotRenderError`."""
        if not request.prompts or not request.continuations:
            raise CannotRenderError("a likelihood request needs at least one prompt and one continuation")
        found = []
        for prompt in request.prompts:
            rendered = self.renderer.render(prompt)
            found += self.renderer.scored_all(rendered, request.continuations, self.max_length)
        return found

    def to_write(self, request: Generate) -> Wanted:
        """The text to be generated, from the last tokens of the prompt that leave room for it. Raises `CannotRenderError`."""
        if request.max_tokens < 1:
            raise CannotRenderError("max_tokens must be at least 1")
        room = self.max_length - request.max_tokens
        if room < 1:
            raise CannotRenderError(
                f"max_tokens {request.max_tokens} leaves no room for a prompt: the model reads {self.max_length} tokens"
            )
        whole = self._prompt_tokens(request.prompt)
        tokens = whole[-room:]
        if not tokens:
            raise CannotRenderError("an empty prompt cannot be continued: the tokenizer has neither a BOS nor an EOS token")
        # A stop text that is one of the model's special tokens never shows in the decoded text.
        special = {s: self.tokenizer.convert_tokens_to_ids(s) for s in request.stop if s in self.tokenizer.all_special_tokens}
        seed = request.seed if request.seed is not None else seeded("unseeded", canonical_json(request).decode())
        return Wanted(
            tuple(tokens),
            request.max_tokens,
            tuple(s for s in request.stop if s and s not in special),
            self.end_tokens | frozenset(special.values()),
            request.temperature,
            request.top_p,
            seed,
            len(whole) - len(tokens),
        )

    def _prompt_tokens(self, prompt: Prompt) -> list[int]:
        rendered = self.renderer.render(prompt)
        tokens = self.renderer.encode(rendered.text, rendered.special) if rendered.text else []
        if not tokens and self.renderer.prefix_token is not None:
            tokens = [self.renderer.prefix_token]
        return tokens

    def preview(self, request: Request) -> Preview:
        """The rendered contexts, special tokens and all, and their tokens; what follows them is the answer or the continuations."""
        prompts = prompts_of(request)
        texts: list[str] = []
        tokens: list[tuple[str, ...]] = []
        chat = False
        for prompt in prompts:
            try:
                rendered = self.renderer.render(prompt)
            except CannotRenderError as error:
                raise UsageError(f"{self.uri}: {error}") from error
            ids = self._prompt_tokens(prompt)
            added = ids[: self._added(ids, rendered.text)]
            texts.append("".join(self.tokenizer.convert_ids_to_tokens(added)) + rendered.text)
            tokens.append(tuple(self._token_text(i) for i in ids))
            chat = chat or not rendered.special
        return Preview(tuple(texts), tuple(tokens), "chat template of the model" if chat else "as running text")

    def _token_text(self, token: int) -> str:
        """A token as text; one that is only part of a character as the vocabulary writes it."""
        text: str = self.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return f"⟨{self.tokenizer.convert_ids_to_tokens(token)}⟩" if "\ufffd" in text else text

    def _added(self, ids: list[int], text: str) -> int:
        """How many of the first tokens are special ones that the text itself does not show."""
        bos = self.renderer.prefix_token
        return int(bool(ids) and ids[0] == bos and not text.startswith(self.tokenizer.convert_ids_to_tokens(bos)))

    def count_tokens(self, text: str) -> int | None:
        return len(self.renderer.encode(text, special=False))

    def describe(self) -> dict[str, Any]:
        import torch
        import transformers

        model, engines = self.model, self.engines
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "architecture": type(model).__name__,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": ",".join(str(one.model.device) for one in engines),
            "max_length": self.max_length,
            "vocabulary": len(self.tokenizer),
            "chat_template": self.renderer.template_hash,
            "tokenizer": type(self.tokenizer).__name__,
            "commit": self.files.commit or None,
            "prefix_tree": self.likelihood.tree,
            "decoder": type(self.likelihood.decoder).__name__ if self.likelihood.decoder else None,
            "threads": torch.get_num_threads(),
            "engine": ENGINE,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def close(self) -> None:
        self.__dict__.pop("engines", None)


def _window(asks: Iterator[Ask]) -> list[Ask]:
    """The next asks, at most `WINDOW` of them."""
    window: list[Ask] = []
    characters = 0
    for ask in asks:
        window.append(ask)
        characters += sum(len(m.content) for p in prompts_of(ask.request) for m in p.messages)
        if len(window) == WINDOW or characters > WINDOW_CHARACTERS:
            break
    return window
