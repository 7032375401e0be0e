"""Of which of two questions a model is surer: from comparisons to a confidence for each question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proctor.analysis.bradley_terry import bradley_terry, comparison_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

DRAWS = 0.1  # of a drawn comparison that each comparison counts beside itself, so that nobody is ever beyond all others


def preference_confidence(first: ArrayLike, second: ArrayLike, share: ArrayLike, items: int) -> NDArray[np.float64]:
    """Bradley–Terry strengths of the questions as numbers between 0 and 1, ½ for one of mean strength (Shrivastava 2025).

    An order and no probabilities: it can be judged by AUROC and AUGRC, not by calibration. Questions that no chain of comparisons
    connects have no common scale; a few comparisons each, with opponents drawn at random, connect all.

    Args:
        first, second: shape (n,), the questions compared, 0 … items − 1.
        share: shape (n,), the probability that the model is surer of the first.
        items: how many questions there are.

    Returns:
        shape (items,); NaN for a question that was not compared.

    Raises:
        ValueError: as `comparison_counts`.
    """
    import numpy as np

    outcome = (np.asarray(share, dtype=np.float64) + DRAWS / 2) / (1 + DRAWS)
    wins, draws = comparison_counts(first, second, outcome, players=items, ties="half")
    found = 1 / (1 + np.exp(-bradley_terry(wins, draws).strengths))
    compared = np.zeros(items, dtype=bool)
    compared[np.asarray(first, dtype=np.int64)] = compared[np.asarray(second, dtype=np.int64)] = True
    return np.where(compared, found, np.nan)
