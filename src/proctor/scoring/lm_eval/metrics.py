"""The harness's metrics: what one document is worth, before all are brought together.

`VALUE` of a metric is a number, or a pair that its aggregation brings together over documents: what is right and what was said.
Formulas: `docs/reference/lm-eval-tasks.md`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proctor.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHOICE = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "brier_score", "f1", "mcc", "likelihood")
# Metric -> the output types in which it means something.
METRICS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_CHOICE, ("multiple_choice",)),
    "acc": ("multiple_choice", "loglikelihood"),
    "exact_match": ("multiple_choice", "generate_until"),
    "perplexity": ("loglikelihood",),
    "word_perplexity": ("loglikelihood_rolling",),
    "byte_perplexity": ("loglikelihood_rolling",),
    "bits_per_byte": ("loglikelihood_rolling",),
    **dict.fromkeys(("bleu", "chrf", "chrf++", "ter"), ("generate_until",)),
    "bypass": ("generate_until",),
}
# In generated text these only hand on what is right and what was said, to an aggregation of the task's own.
METRICS["acc"] += ("generate_until",)
METRICS["f1"] += ("generate_until",)

DEFAULT_METRICS = {
    "loglikelihood": ("perplexity", "acc"),
    "loglikelihood_rolling": ("word_perplexity", "byte_perplexity", "bits_per_byte"),
    "multiple_choice": ("acc", "acc_norm"),
    "generate_until": ("exact_match",),
}
_AGGREGATION = {
    "perplexity": "perplexity",
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
    "bleu": "bleu",
    "chrf": "chrf",
    "chrf++": "chrf++",
    "ter": "ter",
    "f1": "f1",
    "mcc": "matthews_corrcoef",
    "brier_score": "brier_score",
    "bypass": "bypass",
    "acc_all": "mean",
}
LOWER_IS_BETTER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ter", "brier_score")


def default_aggregation(metric: str) -> str | None:
    """How a metric is brought together where a task does not say; None for one that is not the harness's."""
    return _AGGREGATION.get(metric, "mean" if metric in METRICS else None)


def default_direction(metric: str) -> bool:
    """Whether higher is better where a task does not say."""
    return metric not in LOWER_IS_BETTER


class Gold(Struct, frozen=True):
    """What counts as right in multiple choice.

    Attributes:
        indices: of the right choices; −100 stands for none of them, as in the harness.
        several: whether any of several is right, and not one alone.
    """

    indices: tuple[int, ...]
    several: bool

    @property
    def value(self) -> Any:
        """As it goes into aggregations."""
        return list(self.indices) if self.several else self.indices[0]


NO_CHOICE = -100


def choice_values(wanted: Sequence[str], choices: Sequence[str], gold: Gold, results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """The metrics of multiple choice.

    Args:
        wanted: names of metrics.
        choices: their texts, without the delimiter before them.
        gold: what is right.
        results: (log-likelihood, greedy) of each choice; those without context after them, where `acc_mutual_info` is wanted.

    Returns:
        metric to number or pair; of equally likely choices the first counts.
    """
    import numpy as np

    count = len(choices)
    lls = np.array([result[0] for result in results[:count]], dtype=np.float64)
    greedy = [result[1] for result in results[:count]]

    def right(values: NDArray[np.float64]) -> float:
        return float(int(np.argmax(values)) in gold.indices)

    def per(lengths: list[int]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):  # an empty choice
            return np.asarray(lls / np.array(lengths, dtype=np.float64))

    found: dict[str, Any] = {}
    for name in wanted:
        if name == "acc":
            found[name] = right(lls)
        elif name == "acc_norm":
            found[name] = right(per([len(choice) for choice in choices]))
        elif name == "acc_bytes":
            found[name] = right(per([len(choice.encode()) for choice in choices]))
        elif name == "exact_match":
            found[name] = int(any(greedy[index] for index in gold.indices if index != NO_CHOICE))
        elif name in ("f1", "mcc"):
            found[name] = (gold.value, int(np.argmax(lls)))
        elif name == "brier_score":
            shifted = np.exp(lls - lls.max())
            found[name] = (gold.value, shifted / shifted.sum())
        elif name == "likelihood":
            found[name] = (gold.value, tuple(lls.tolist()))
        elif name == "acc_mutual_info":
            if len(results) < 2 * count:
                raise DataError("acc_mutual_info needs the log-likelihoods of the choices without the question")
            alone = np.array([result[0] for result in results[count : 2 * count]], dtype=np.float64)
            # Of several right choices none counts here, as in the harness.
            found[name] = float(not gold.several and int(np.argmax(lls - alone)) == gold.indices[0])
    return found


def loglikelihood_values(wanted: Sequence[str], loglikelihood: float, greedy: bool) -> dict[str, Any]:
    """The metrics of a text after a context."""
    return {name: value for name, value in (("perplexity", loglikelihood), ("acc", int(greedy))) if name in wanted}


def rolling_values(wanted: Sequence[str], loglikelihood: float, text: str) -> dict[str, Any]:
    """The metrics of a text alone: its log-likelihood with its number of words (pieces between white space) or of UTF-8 bytes."""
    words, size = len(re.split(r"\s+", text)), len(text.encode())
    pairs = {"word_perplexity": (loglikelihood, words), "byte_perplexity": (loglikelihood, size), "bits_per_byte": (loglikelihood, size)}
    return {name: pair for name, pair in pairs.items() if name in wanted}


def exact_match(
    predictions: Sequence[Any],
    references: Sequence[Any],
    regexes_to_ignore: list[str] | None = None,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
) -> float:
    """The share of predictions that equal their reference, both without what is ignored: patterns, case, punctuation, digits."""

    def cleaned(text: Any) -> Any:
        for pattern in regexes_to_ignore or ():
            text = re.sub(pattern, "", text)
        if ignore_case:
            text = text.lower()
        if ignore_punctuation:
            text = text.translate(_WITHOUT_PUNCTUATION)
        return text.translate(_WITHOUT_DIGITS) if ignore_numbers else text

    def deep(value: Any) -> Any:
        return [deep(one) for one in value] if isinstance(value, list | tuple) else cleaned(value)

    return _share_equal(deep(list(predictions)), deep(list(references)))


_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WITHOUT_DIGITS = str.maketrans("", "", string.digits)


def _share_equal(predictions: list[Any], references: list[Any]) -> float:
    if not any(isinstance(one, list) for one in (*predictions, *references)):
        return sum(bool(one == other) for one, other in zip(predictions, references, strict=True)) / len(predictions)
    # Lists against texts: compared as NumPy does, each with each, as the harness's arrays are.
    import numpy as np

    try:
        equal = np.asarray(np.asarray(predictions) == np.asarray(references))
    except ValueError:  # lists of unlike lengths are no array
        return float(predictions == references)
    return float(equal.mean())
