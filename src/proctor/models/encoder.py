"""Texts through an encoder in batches of like length: what embedding models and cross-encoders have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.models.weights import Files, Options, default_dtype, devices, from_transformers, keep_freed_memory, physical_cores, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 8192
"""Texts that are tokenised, put into order of length and computed before the next are looked at; bounds memory besides the result."""

CPU_TOKENS, GPU_TOKENS = 4096, 65536
"""Padded tokens in a batch: on a CPU what stays near its caches, on a GPU what keeps it busy."""


class Encoder:
    """A tokenizer and a model of `transformers` on one device.

    Args:
        files: of the model, for messages.
        folder: that holds configuration, tokenizer and weights.
        options: device, dtype, threads.
        automatic: the class that reads the weights, such as `transformers.AutoModel`, by name.
        max_length: tokens that a text, or pair of texts, is cut to; None for what the tokenizer and the model take.
    """

    def __init__(self, files: Files, folder: Path, options: Options, automatic: str, max_length: int | None = None) -> None:
        from_transformers(files.uri)
        import torch
        import transformers

        self.device = devices(options)[0]
        if self.device == "cpu":
            torch.set_num_threads(options.threads or physical_cores())
            keep_freed_memory()
        dtype = default_dtype(options)
        with reading(files, "tokenizer"):
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
        with reading(files, "weights"):
            wanted = dtype if dtype == "auto" else getattr(torch, dtype)
            self.model = getattr(transformers, automatic).from_pretrained(str(folder), dtype=wanted).to(self.device).eval()
        limits = [max_length, self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", None)]
        self.max_length = min(limit for limit in limits if limit and limit < 10**9)
        self.names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in self.tokenizer.model_input_names]
        self._room = CPU_TOKENS if self.device == "cpu" else GPU_TOKENS

    def encode(self, texts: Sequence[Any], reduce: Callable[[Any, Any], Any], counts: list[int] | None = None) -> NDArray[np.float32]:
        """Rows of numbers for texts, or for pairs of texts.

        Args:
            texts: each a text or a pair.
            reduce: from the model's output and the attention mask (batch × tokens) of a batch to a tensor (batch × width).
            counts: gets the number of tokens of each text.

        Returns:
            float32, shape (texts, width), in the order given.
        """
        import numpy as np
        import torch

        whole: NDArray[np.float32] | None = None
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            tokens = self._tokens(chunk)
            lengths = [len(ids) for ids in tokens["input_ids"]]
            if counts is not None:
                counts += lengths
            with torch.inference_mode():
                for batch in _batches(lengths, self._room):
                    rows = self._batch(tokens, batch, max(lengths[i] for i in batch), reduce)
                    if whole is None:
                        whole = np.empty((len(texts), rows.shape[1]), dtype=np.float32)
                    whole[[start + i for i in batch]] = rows
        return whole if whole is not None else np.zeros((0, 1), dtype=np.float32)

    def _tokens(self, texts: Sequence[Any]) -> Any:
        pairs = bool(texts) and not isinstance(texts[0], str)
        # Of a pair the document, which stands second, gives way.
        cut = {"truncation": "only_second" if pairs else True, "max_length": self.max_length}
        try:
            return self.tokenizer([list(one) for one in texts] if pairs else list(texts), padding=False, **cut)
        except Exception:  # a query that alone is longer than the model takes
            if not pairs:
                raise
            return self.tokenizer([list(one) for one in texts], padding=False, truncation=True, max_length=self.max_length)

    def _batch(self, tokens: Any, batch: list[int], width: int, reduce: Callable[[Any, Any], Any]) -> Any:
        import torch

        fill = {"input_ids": self.tokenizer.pad_token_id or 0, "token_type_ids": 0, "attention_mask": 0}
        left = self.tokenizer.padding_side == "left"
        given = {}
        for name in self.names:
            rows = [tokens[name][i] for i in batch]
            padded = [[fill[name]] * (width - len(r)) + r if left else r + [fill[name]] * (width - len(r)) for r in rows]
            given[name] = torch.tensor(padded, device=self.device)
        mask = given["attention_mask"]
        if bool(mask.all()):  # nothing is padded: the model need not look at a mask
            given.pop("attention_mask")
        return reduce(self.model(**given), mask).float().cpu().numpy()


def _batches(lengths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Texts by length, longest first, in batches of at most `room` tokens when padded, at least one text each."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    at = 0
    while at < len(order):
        size = max(1, room // max(1, lengths[order[at]]))
        yield order[at : at + size]
        at += size
