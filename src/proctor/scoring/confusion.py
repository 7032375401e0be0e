"""Counts of true and predicted classes as additive rows, and what is made of their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def confusion_rows(pairs: list[tuple[Any, Any]], classes: list[Any]) -> NDArray[np.float64]:
    """One-hot counts of (true, predicted) pairs, shape (pairs, 3k + 1): true class, predicted class (k, then "no class"), both (hits)."""
    import numpy as np

    places = {label: index for index, label in enumerate(classes)}
    k = len(places)
    rows = np.zeros((len(pairs), 3 * k + 1))
    for row, (true, said) in zip(rows, pairs, strict=True):
        row[places[true]] = 1
        row[k + places.get(said, k)] = 1
        if true == said:
            row[2 * k + 1 + places[true]] = 1
    return rows


def _parts(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """True counts (…, k), predicted counts (…, k + 1) and hits (…, k)."""
    k = (sums.shape[-1] - 1) // 3
    return sums[..., :k], sums[..., k : 2 * k + 1], sums[..., 2 * k + 1 :]


def _f1(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """F1 of each class (0 where it has no hit), and which classes occur."""
    import numpy as np

    true, predicted, hits = _parts(sums)
    total = true + predicted[..., :-1]
    return np.divide(2 * hits, total, out=np.zeros_like(hits, dtype=float), where=total > 0), total > 0


def macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    f1, occurs = _f1(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(f1.sum(axis=-1) / occurs.sum(axis=-1))


def weighted_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    true = _parts(sums)[0]
    with np.errstate(invalid="ignore"):
        return np.asarray((_f1(sums)[0] * true).sum(axis=-1) / true.sum(axis=-1))


def micro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    true, predicted, hits = _parts(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits.sum(axis=-1) / (true.sum(axis=-1) + predicted[..., :-1].sum(axis=-1)))


def one_f1(sums: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    import numpy as np

    f1, occurs = _f1(sums)
    return np.asarray(np.where(occurs[..., place], f1[..., place], np.nan))


def balanced_accuracy(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of recall over the classes that occur in truth."""
    import numpy as np

    true, _, hits = _parts(sums)
    recall = np.divide(hits, true, out=np.zeros_like(hits, dtype=float), where=true > 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(recall.sum(axis=-1) / (true > 0).sum(axis=-1))


def kappa(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen (1960): (p_o − p_e)/(1 − p_e); undefined where truth and prediction are one constant class."""
    import numpy as np

    true, predicted, hits = _parts(sums)
    n = true.sum(axis=-1)
    with np.errstate(all="ignore"):
        observed, chance = hits.sum(axis=-1) / n, (true * predicted[..., :-1]).sum(axis=-1) / (n * n)
        return np.asarray(np.where(chance < 1, (observed - chance) / (1 - chance), np.nan))


def mcc(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's R_K (2004), as scikit-learn computes it; 0 where truth or prediction is constant."""
    import numpy as np

    true, predicted, hits = _parts(sums)
    correct, n = hits.sum(axis=-1), true.sum(axis=-1)
    covariance = correct * n - (true * predicted[..., :-1]).sum(axis=-1)
    spread = np.sqrt((n * n - (predicted**2).sum(axis=-1)) * (n * n - (true**2).sum(axis=-1)))
    return np.asarray(np.divide(covariance, spread, out=np.zeros_like(covariance, dtype=float), where=spread > 0))
