"""What asking the items of a right-or-wrong task K times gives beyond its mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from proctor.analysis.epochs import majority_by_item, pass_at_k, pass_hat_k
from proctor.analysis.uncertainty import mean_with_stderr
from proctor.results.manifest import MetricResult

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def epoch_metrics(
    main: MetricResult,
    scores: ArrayLike,
    item_index: ArrayLike,
    groups: Sequence[str],
    epochs: int,
    *,
    answers: Sequence[str | None] | None = None,
    taken: Collection[str] = (),
) -> list[MetricResult]:
    """pass@k and pass^k for k = 2, 4, … and 10 and 100 (which papers print) below K and for K itself, and maj@K.

    Each is the mean over the items that were asked k times or more.

    Args:
        main: the metric of the scores. Only one of 0 to 1 where higher is better has these; of others the list is empty.
        scores: shape (attempts,), NaN where there is none. The list is empty too where one of them is neither 0 nor 1.
        item_index: shape (attempts,), the item of each attempt, 0 … items − 1.
        groups: shape (items,), as in `mean_with_stderr`.
        epochs: K; below 2 the list is empty.
        answers: shape (attempts,), what was extracted; None: answers that cannot be counted against each other, and no maj@K.
        taken: names of metrics that the task has already; none of these is made.
    """
    import numpy as np

    if epochs < 2 or main.bounds is None or tuple(main.bounds) != (0.0, 1.0) or not main.higher_is_better:
        return []
    values, index, items = np.asarray(scores, dtype=np.float64), np.asarray(item_index, dtype=np.int64), len(groups)
    given = ~np.isnan(values)
    if not np.isin(values[given], (0.0, 1.0)).all():
        return []
    asked = np.bincount(index[given], minlength=items)
    right = np.bincount(index[given], weights=values[given], minlength=items)
    found = {}
    for k in sorted({k for k in (*(2**power for power in range(1, epochs.bit_length())), 10, 100) if k < epochs} | {epochs}):
        often = asked >= k
        for name, measure in ((f"pass@{k}", pass_at_k), (f"pass^{k}", pass_hat_k)):
            found[name] = np.full(items, np.nan)
            found[name][often] = measure(asked[often], right[often], k)
    if answers is not None:
        found[f"maj@{epochs}"] = majority_by_item(answers, values, index, items, epochs)
    made = []
    for name, of_items in found.items():
        if name not in taken:
            estimate = mean_with_stderr(of_items, groups)
            made.append(MetricResult(name, estimate.value, estimate.stderr, main.higher_is_better, main.bounds))
    return made
