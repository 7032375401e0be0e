"""How sure a task's number is: standard errors of means and of corpus metrics.

The items of a task count as a sample from all the items the task could have had; items of one group (a shared passage) as one draw.
Epochs are averaged within items first: asking again tells nothing about other items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Clusters = Sequence[str] | Sequence[int] | NDArray[np.integer] | NDArray[np.str_] | None

CELLS = 4_000_000  # resampling weights held at once: 32 MB


class Estimate(Struct, frozen=True):
    """A number with its uncertainty.

    Attributes:
        value: None where undefined (nothing to average, correlation of constants).
        stderr: its standard error; None where undefined (one item, one group).
        n: items that counted.
        groups: independent draws among them; equal to `n` where nothing is clustered.
    """

    value: float | None
    stderr: float | None
    n: int
    groups: int


def mean_with_stderr(values: ArrayLike, clusters: Clusters = None) -> Estimate:
    """The mean of `values` and its standard error.

    Without clusters: sd(ddof=1)/√n. Where some cluster has more than one item: cluster-robust, √(Σ_c (Σ_{i∈c} (s_i − s̄))²)/n
    (Miller 2024, "Adding error bars to evals") × √(G/(G−1)).

    Args:
        values: shape (n,); NaN entries do not count.
        clusters: shape (n,), the cluster of each item, as names or whole numbers; an item with an empty name is a cluster of its own.
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    kept = ~np.isnan(array)
    codes, n_groups = cluster_codes(clusters, len(array), kept)
    array = array[kept]
    n = len(array)
    if n == 0:
        return Estimate(None, None, 0, 0)
    mean = float(array.mean())
    if n_groups < 2:
        return Estimate(mean, None, n, n_groups)
    sums = np.bincount(codes, weights=array - mean, minlength=n_groups)
    stderr = math.sqrt(float(sums @ sums) * n_groups / (n_groups - 1)) / n  # groups of one: exactly sd(ddof=1)/√n
    return Estimate(mean, stderr, n, n_groups)


def item_means(values: ArrayLike, item_index: ArrayLike, n_items: int) -> NDArray[np.float64]:
    """Means over epochs.

    Args:
        values: shape (attempts,); NaN entries do not count.
        item_index: shape (attempts,), the item of each attempt, 0 … n_items − 1.
        n_items: how many items there are.

    Returns:
        shape (n_items,); NaN for an item without values.
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    index = np.asarray(item_index, dtype=np.int64)
    kept = ~np.isnan(array)
    sums = np.bincount(index[kept], weights=array[kept], minlength=n_items)
    counts = np.bincount(index[kept], minlength=n_items)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def metric_estimate(
    statistics: ArrayLike,
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    clusters: Clusters = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Estimate:
    """A metric of summed statistics (F1, BLEU, correlation, perplexity), with a bootstrap standard error.

    Clusters, or items where nothing is clustered, are drawn with replacement. The spread of the resampled metric is widened by
    √(G/(G−1)), so that a mean gets the standard error `mean_with_stderr` gives it.

    Args:
        statistics: shape (n, k), additive statistics of each attempt; rows with a NaN do not count.
        value: array (..., k) of summed statistics -> array (...) of the metric; NaN where undefined.
        clusters: shape (n,); with epochs, the item (or its cluster) of each attempt. An empty name is a cluster of its own.
        seed, resamples: of the bootstrap; the same seed gives the same standard error.
    """
    return metric_estimates(statistics, [value], clusters, seed=seed, resamples=resamples)[0]


def metric_estimates(
    statistics: ArrayLike,
    values: Sequence[Callable[[NDArray[np.float64]], NDArray[np.float64]]],
    clusters: Clusters = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> list[Estimate]:
    """Several metrics of the same summed statistics (accuracy, F1 and kappa of one table of counts): the sample is drawn once for all.

    Each gets what `metric_estimate` gives it alone. Arguments as there; `values` are its `value`s.
    """
    import numpy as np

    array = np.asarray(statistics, dtype=np.float64)
    kept = np.asarray(~np.isnan(array).any(axis=1))
    codes, n_groups = cluster_codes(clusters, len(array), kept)
    array = array[kept]
    n, k = array.shape
    if n == 0:
        return [Estimate(None, None, 0, 0) for _ in values]
    sums = np.zeros((n_groups, k))
    np.add.at(sums, codes, array)
    total = sums.sum(axis=0)
    with np.errstate(all="ignore"):
        numbers = [float(value(total)) for value in values]
    wanted = [place for place, number in enumerate(numbers) if math.isfinite(number) and n_groups > 1]
    drawn: dict[int, list[NDArray[np.float64]]] = {place: [] for place in wanted}
    for weights in bootstrap_weights(n_groups, resamples, seed) if wanted else ():
        resampled = weights @ sums
        with np.errstate(all="ignore"):
            for place in wanted:
                drawn[place].append(np.asarray(values[place](resampled), dtype=np.float64))
    found = []
    for place, number in enumerate(numbers):
        stderr = _spread(np.concatenate(drawn[place]), n_groups, resamples) if place in drawn else None
        found.append(Estimate(number if math.isfinite(number) else None, stderr, n, n_groups))
    return found


def _spread(values: NDArray[np.float64], groups: int, resamples: int) -> float | None:
    import numpy as np

    values = values[np.isfinite(values)]
    if len(values) < max(2, resamples // 2):  # mostly undefined: what is left says little about the spread
        return None
    return float(values.std(ddof=1)) * math.sqrt(groups / (groups - 1))


def bootstrap_weights(groups: int, resamples: int, seed: int, width: int = 0) -> Iterator[NDArray[np.float64]]:
    """How often each group is drawn, with replacement, in each resample.

    Args:
        groups: independent draws in the data.
        resamples, seed: the same seed gives the same draws.
        width: numbers the caller holds per resample where more than `groups`; bounds a block's size.

    Yields:
        shape (rows, groups), whole numbers that add up to `groups` in each row; `resamples` rows in all.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    block = max(1, CELLS // max(groups, width))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        picks = rng.integers(0, groups, size=(rows, groups))
        picks += np.arange(rows)[:, None] * groups
        yield np.bincount(picks.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def cluster_codes(clusters: Clusters, n: int, kept: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.int64], int]:
    """The clusters of n items as numbers 0 … G−1, and G; every empty name a cluster of its own.

    Args:
        clusters: shape (n,): names or numbers; None: each item is one.
        n: how many items there are.
        kept: shape (n,): the items that count; only theirs are numbered. None: all.

    Raises:
        ValueError: `clusters` has another length.
    """
    import numpy as np

    if clusters is None:
        count = n if kept is None else int(kept.sum())
        return np.arange(count), count
    if len(clusters) != n:
        raise ValueError(f"{n} values but {len(clusters)} clusters")
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind in "iu":
        numbers, codes = np.unique(clusters if kept is None else clusters[kept], return_inverse=True)
        return codes, len(numbers)
    seen: dict[str | int, int] = {}
    keys = (-1 - position if name == "" else name for position, name in enumerate(clusters))  # an empty name is nobody else's
    codes = np.fromiter((seen.setdefault(key, len(seen)) for key in keys), dtype=np.int64, count=n)
    if kept is None or kept.all():
        return codes, len(seen)
    numbers, codes = np.unique(codes[kept], return_inverse=True)
    return codes, len(numbers)
