"""The harness's aggregations: from what the documents are worth to a task's number, with a standard error.

A mean is a mean; what is a function of sums (perplexity, F1, BLEU) says which sums, so that it is resampled without being computed anew
from texts; a median and a function of the task's own see all documents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError, MissingExtra
from proctor.scoring.base import Columns, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AGGREGATIONS = (
    *("mean", "nanmean", "median", "perplexity", "weighted_perplexity", "bits_per_byte", "f1", "matthews_corrcoef"),
    *("bleu", "chrf", "chrf++", "ter", "brier_score", "bypass"),
)
MEANS = ("mean", "nanmean", "brier_score")  # in which a document has a number of its own
_BOUNDS = {"bleu": (0.0, 100.0), "chrf": (0.0, 100.0), "chrf++": (0.0, 100.0), "matthews_corrcoef": (-1.0, 1.0), "f1": (0.0, 1.0)}
# Those for which the harness resamples, and how often we do: sacrebleu computes each of its resamples in Python.
_RESAMPLED = {
    "nanmean": 20_000,
    "f1": 20_000,
    "matthews_corrcoef": 20_000,
    "perplexity": 20_000,
    "bleu": 1_000,
    "chrf": 1_000,
    "chrf++": 1_000,
    "ter": 1_000,
}
_MEDIANS = 20_000
_CELLS = 4_000_000  # resampling weights held at once: 32 MB


def make_metric(
    name: str,
    aggregation: str | Callable[[list[Any]], Any],
    *,
    higher_is_better: bool,
    bounds: tuple[float, float] | None,
    compat: bool = False,
) -> Metric:
    """A metric whose documents' values are in `Columns.raw` under its name.

    Args:
        name: as printed, with its filter.
        aggregation: one of AGGREGATIONS, or a function of the task's own over the list of values.
        higher_is_better: direction.
        bounds: of a mean; those of other aggregations are known.
        compat: standard errors as the harness has them: from resamples that are not widened, and none where it has none.
    """
    if callable(aggregation):
        return Metric(name, higher_is_better, bounds, whole=lambda columns: (_number(aggregation, _present(columns, name)), None))
    bounds = _BOUNDS.get(aggregation, bounds if aggregation in MEANS else None)
    if aggregation in MEANS and not (compat and aggregation == "nanmean"):  # of which the harness resamples the mean
        # The harness gives the mean of Brier scores no standard error.
        return Metric(name, higher_is_better, bounds, stderr=not (compat and aggregation == "brier_score"))
    if aggregation == "bypass":
        return Metric(name, higher_is_better, None, whole=lambda columns: (999.0, None))  # the harness's word for no number
    if aggregation == "median":
        return Metric(name, higher_is_better, None, whole=lambda columns: _median(_present(columns, name)))
    statistics, value = _sums(aggregation)
    if compat:
        return Metric(
            name, higher_is_better, bounds, whole=lambda columns: _resampled(aggregation, statistics, value, _present(columns, name))
        )
    return Metric(name, higher_is_better, bounds, lambda columns: _rows(statistics, columns, name), value)


def own_number(aggregation: Any, value: Any) -> float | None:
    """What a document's value is as a number of its own; None where it has none."""
    if aggregation == "brier_score":
        gold, shares = value
        return float(sum((share - (index == gold)) ** 2 for index, share in enumerate(shares)))
    if isinstance(value, bool | int | float) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0):
        number = float(value)
        return None if math.isnan(number) else number
    return None


def _present(columns: Columns, name: str) -> list[Any]:
    return [one[name] for one in columns.raw if name in one]


def _number(function: Callable[[list[Any]], Any], values: list[Any]) -> float | None:
    if not values:
        return None
    try:
        return float(function(values))
    except Exception as error:
        raise DataError(f"the aggregation {getattr(function, '__name__', function)} failed: {type(error).__name__}: {error}") from error


def _median(values: list[Any]) -> tuple[float | None, float | None]:
    """The upper one of the two in the middle; its standard error by resampling."""
    import numpy as np

    if not values:
        return None, None
    array = np.sort(np.asarray(values, dtype=np.float64))
    middle, count = len(array) // 2, len(array)
    if count < 2:
        return float(array[middle]), None
    rng = np.random.default_rng(0)
    # The k-th smallest of n uniform draws from n sorted values is the value at a place with a beta distribution.
    places = np.minimum((rng.beta(middle + 1, count - middle, _MEDIANS) * count).astype(np.int64), count - 1)
    return float(array[middle]), float(array[places].std(ddof=1))


def _resampled(aggregation: str, statistics: Statistics, value: Value, values: list[Any]) -> tuple[float | None, float | None]:
    """The number, and the sample standard deviation of what it is over documents drawn with replacement, all draws at once."""
    import numpy as np

    if not values:
        return None, None
    rows = statistics(values)
    with np.errstate(all="ignore"):
        number = float(value(rows.sum(axis=0)))
        if aggregation not in _RESAMPLED or len(rows) < 2:
            return number, None
        count, resamples = len(rows), _RESAMPLED[aggregation]
        rng, block, drawn = np.random.default_rng(0), max(1, _CELLS // len(rows)), []
        for start in range(0, resamples, block):
            size = min(block, resamples - start)
            picks = rng.integers(0, count, size=(size, count)) + np.arange(size)[:, None] * count
            weights = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
            drawn.append(value(weights @ rows))
        return number, float(np.concatenate(drawn).std(ddof=1))


Statistics = Callable[[Sequence[Any]], "NDArray[np.float64]"]
Value = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


def _rows(statistics: Statistics, columns: Columns, name: str) -> NDArray[np.float64]:
    """Statistics of each attempt; NaN where it has none, so that it does not count."""
    import numpy as np

    there = [index for index, one in enumerate(columns.raw) if name in one]
    if not there:
        return np.full((len(columns.raw), 1), np.nan)
    rows = statistics([columns.raw[index][name] for index in there])
    found = np.full((len(columns.raw), rows.shape[1]), np.nan)
    found[there] = rows
    return found


def _sums(aggregation: str) -> tuple[Statistics, Value]:
    if aggregation == "nanmean":
        return _with_one, lambda sums: sums[..., 0] / sums[..., 1]
    if aggregation == "perplexity":
        return _with_one, lambda sums: _exp(-sums[..., 0] / sums[..., 1])
    if aggregation == "weighted_perplexity":
        return _pairs, lambda sums: _exp(-sums[..., 0] / sums[..., 1])
    if aggregation == "bits_per_byte":
        return _pairs, lambda sums: -sums[..., 0] / sums[..., 1] / math.log(2)
    if aggregation == "f1":
        return _binary_counts, _binary_f1
    if aggregation == "matthews_corrcoef":
        return _class_counts, _matthews
    return _corpus(aggregation)


def _exp(value: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.exp(value))


def _with_one(values: Sequence[Any]) -> NDArray[np.float64]:
    import numpy as np

    rows = np.asarray([[value, 1.0] for value in values], dtype=np.float64)
    rows[np.isnan(rows[:, 0])] = 0.0
    return rows


def _pairs(values: Sequence[Any]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray([list(value) for value in values], dtype=np.float64)


def _classes(values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    golds, said = [value[0] for value in values], [value[1] for value in values]
    if any(isinstance(one, list) for one in golds):
        raise DataError("a document has several right choices, of which F1 and Matthews' correlation know only one")
    return golds, said


def _binary_counts(values: Sequence[Any]) -> NDArray[np.float64]:
    """Of class 1: right, said, both. Raises `DataError` for other classes than 0 and 1, as scikit-learn's default does."""
    import numpy as np

    golds, said = _classes(values)
    if not {*golds, *said} <= {0, 1}:
        raise DataError(f"the aggregation f1 takes two classes, 0 and 1, and here there are {sorted({*golds, *said}, key=str)[:8]}")
    return np.asarray([[gold == 1, pred == 1, gold == 1 and pred == 1] for gold, pred in zip(golds, said, strict=True)], dtype=np.float64)


def _binary_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 · hits / (right + said); 0 where there is nothing to hit."""
    import numpy as np

    both = sums[..., 0] + sums[..., 1]
    return np.asarray(np.divide(2 * sums[..., 2], both, out=np.zeros_like(both), where=both > 0))


def _class_counts(values: Sequence[Any]) -> NDArray[np.float64]:
    """One-hot over k classes: right (k), said (k), both (1)."""
    import numpy as np

    golds, said = _classes(values)
    names = {name: index for index, name in enumerate(sorted({*golds, *said}, key=lambda one: (str(type(one)), one)))}
    k = len(names)
    rows = np.zeros((len(values), 2 * k + 1))
    for row, gold, pred in zip(rows, golds, said, strict=True):
        row[names[gold]] = 1
        row[k + names[pred]] = 1
        row[2 * k] = gold == pred
    return rows


def _matthews(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's R_K (2004), as scikit-learn computes it; 0 where truth or prediction is constant."""
    import numpy as np

    k = (sums.shape[-1] - 1) // 2
    right, said, hits = sums[..., :k], sums[..., k : 2 * k], sums[..., 2 * k]
    n = right.sum(axis=-1)
    covariance = hits * n - (right * said).sum(axis=-1)
    spread = np.sqrt((n * n - (said**2).sum(axis=-1)) * (n * n - (right**2).sum(axis=-1)))
    return np.asarray(np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0))


def _corpus(aggregation: str) -> tuple[Statistics, Value]:
    """sacrebleu's metrics by its own statistics of sentences, which it adds up."""
    metric: Any = None

    def made() -> Any:
        nonlocal metric
        if metric is None:
            try:
                from sacrebleu import metrics
            except ImportError:
                raise MissingExtra(f"the metric {aggregation}", "metrics") from None
            metric = {
                "bleu": metrics.BLEU,
                "chrf": metrics.CHRF,
                "chrf++": lambda: metrics.CHRF(word_order=2),
                "ter": metrics.TER,
            }[aggregation]()
        return metric

    def statistics(values: Sequence[Any]) -> NDArray[np.float64]:
        import numpy as np

        rows = []
        for references, said in values:
            texts = [references] if isinstance(references, str) else list(references)
            answer = said[0] if isinstance(said, list | tuple) else said
            rows.append(made()._extract_corpus_statistics([answer], [[one] for one in texts])[0])
        return np.asarray(rows, dtype=np.float64)

    def value(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        flat: Iterable[Any] = sums.reshape(-1, sums.shape[-1])
        if aggregation == "ter":
            # Edits over the references' length, which is a mean and need not be whole.
            scores = [float(made()._compute_score_from_stats(row.tolist()).score) for row in flat]
        else:
            scores = [float(made()._compute_score_from_stats([round(number) for number in row]).score) for row in flat]
        return np.asarray(scores, dtype=np.float64).reshape(sums.shape[:-1])

    return statistics, value
