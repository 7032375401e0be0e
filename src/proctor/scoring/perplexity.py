"""How well a model predicts a text: bits_per_byte, byte_perplexity, word_perplexity."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from proctor.errors import DataError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Perplexity(Scorer):
    """Likelihood of the target text, per UTF-8 byte and per word, over the whole sample (lower is better).

    bits_per_byte = −Σ ll / Σ bytes / ln 2; byte_perplexity = exp(−Σ ll / Σ bytes); word_perplexity the same over words, where words are
    the pieces between white space, empty ones at the ends included. Source: lm-evaluation-harness, whose numbers these are. There is none
    per token: tokens differ between models. An attempt's own value is the metric of that text alone. Attempts without an answer (errors)
    have no value and are not part of the sums; their number stands beside the score as failed.
    """

    name = "perplexity"

    def __init__(self) -> None:
        self.metrics = (
            Metric("bits_per_byte", False, None, lambda columns: _sums(columns, "bytes"), _bits),
            Metric("byte_perplexity", False, None, lambda columns: _sums(columns, "bytes"), _perplexity),
            Metric("word_perplexity", False, None, lambda columns: _sums(columns, "words"), _perplexity),
        )

    def check(self, item: Item) -> str | None:
        return None if isinstance(item.target, str) and item.target else f"the target must be the text to predict, not {item.target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """`response.loglikelihoods[0][0]` is the log-likelihood of `item.target`; `answer` does not matter."""
        complaint = self.check(item)
        if complaint or not response.loglikelihoods or len(response.loglikelihoods[0]) != 1:
            raise DataError(f"item '{item.id}': {complaint or 'expected the log-likelihood of one text'}")
        loglikelihood = response.loglikelihoods[0][0]
        n_bytes, n_words = len(item.target.encode()), len(re.split(r"\s+", item.target))
        return Measured(
            {
                "bits_per_byte": -loglikelihood / n_bytes / math.log(2),
                "byte_perplexity": _exp(-loglikelihood / n_bytes),
                "word_perplexity": _exp(-loglikelihood / n_words),
                "loglikelihood": loglikelihood,
                "bytes": float(n_bytes),
                "words": float(n_words),
            }
        )


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


def _sums(columns: Columns, unit: str) -> NDArray[np.float64]:
    import numpy as np

    rows = np.stack([columns.values["loglikelihood"], columns.values[unit]], axis=1)
    rows[np.isnan(rows).any(axis=1)] = 0.0
    return rows


def _perplexity(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):  # no text at all: NaN
        return np.asarray(np.exp(-sums[..., 0] / sums[..., 1]))


def _bits(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(all="ignore"):
        return np.asarray(-sums[..., 0] / sums[..., 1] / math.log(2))
