"""A folder as sentence-transformers saves them, read without that library: `modules.json` says how tokens become one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import ModelError
from proctor.models.encoder import Encoder
from proctor.models.encoder_files import read_settings
from proctor.models.weights import Files, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUERY, _DOCUMENT = ("query",), ("document", "passage", "corpus")  # names of prompts, as sentence-transformers looks for them
_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
_SIMILARITIES = ("cosine", "dot")


class SentenceEncoder:
    """Texts as vectors.

    The folder's modules are a transformer, a pooling (mean, first, last token, or maximum) and possibly a normalisation to length 1. A
    folder without `modules.json` is a transformer whose tokens are averaged, as sentence-transformers takes it.

    Args:
        files: of the model, for messages.
        folder: that holds them.
        options: device, dtype, threads.

    Raises:
        ModelError: a module of another kind, or files that cannot be read.

    Attributes:
        prefixes: what the model's own settings put before a query and before a document.
        similarity: `cosine` or `dot`.
    """

    def __init__(self, files: Files, folder: Path, options: Options) -> None:
        uri = files.uri
        modules = read_settings(folder / "modules.json", uri) or [{"type": "Transformer", "path": ""}]
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        if kinds[0] != "Transformer" or set(kinds[1:]) - {"Pooling", "Normalize"}:
            raise ModelError(f"model {uri}: modules.json names {', '.join(kinds)}; expected Transformer, Pooling and Normalize only")
        place = folder / modules[0]["path"]
        self.pooling = "mean"
        if "Pooling" in kinds:
            self.pooling = _pooling(read_settings(folder / modules[kinds.index("Pooling")]["path"] / "config.json", uri), uri)
        settings = read_settings(folder / "config_sentence_transformers.json", uri)
        prompts = settings.get("prompts") or {}
        self.prefixes = _first(prompts, _QUERY), _first(prompts, _DOCUMENT)
        self.similarity = settings.get("similarity_fn_name") or "cosine"
        if self.similarity not in _SIMILARITIES:
            raise ModelError(f"model {uri}: its similarity is '{self.similarity}'; expected {' or '.join(_SIMILARITIES)}")
        self.normalise = "Normalize" in kinds or self.similarity == "cosine"
        bert = read_settings(place / "sentence_bert_config.json", uri)
        self._lower = bool(bert.get("do_lower_case"))
        self.encoder = Encoder(files, place, options, "AutoModel", bert.get("max_seq_length"))

    def encode(self, texts: Sequence[str], counts: list[int] | None = None) -> NDArray[np.float32]:
        """Texts as vectors.

        Args:
            texts: with whatever goes before them.
            counts: gets the number of tokens of each text.

        Returns:
            float32, shape (texts, dimensions); of length 1 where the model's similarity is the cosine.
        """
        import numpy as np

        texts = [text.strip().lower() if self._lower else text.strip() for text in texts]
        vectors = self.encoder.encode(texts, _reduction(self.pooling), counts)
        if self.normalise and len(texts):
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest."""
        encoder = self.encoder
        return {
            "parameters": sum(parameter.numel() for parameter in encoder.model.parameters()),
            "dtype": str(encoder.model.dtype).removeprefix("torch."),
            "device": encoder.device,
            "context": encoder.max_length,
            "pooling": self.pooling,
            "similarity": self.similarity,
        }


def _pooling(settings: dict[str, Any], uri: str) -> str:
    modes = [name for name, value in settings.items() if name.startswith("pooling_mode") and value is True]
    given = settings.get("pooling_mode")  # newer folders name it
    found = [given] if isinstance(given, str) else [_POOLING.get(mode, mode) for mode in modes] or ["mean"]
    if len(found) > 1 or found[0] not in _POOLING.values():
        raise ModelError(f"model {uri}: pools tokens by {' and '.join(found)}; expected one of {', '.join(_POOLING.values())}")
    return found[0]


def _first(prompts: dict[str, str], names: tuple[str, ...]) -> str:
    return next((prompts[name] for name in names if prompts.get(name)), "")


def _reduction(pooling: str) -> Callable[[Any, Any], Any]:
    """From the last hidden states (batch × tokens × width) and the mask to vectors (batch × width)."""

    def reduce(output: Any, mask: Any) -> Any:
        import torch

        states = output.last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        if pooling == "mean":
            return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        if pooling == "max":
            return states.masked_fill(weights == 0, -torch.inf).max(1).values
        places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        if pooling == "cls":
            at = torch.where(mask > 0, places, mask.shape[1]).min(1).values
        else:
            at = torch.where(mask > 0, places, -1).max(1).values
        return states[torch.arange(len(states), device=states.device), at]

    return reduce
