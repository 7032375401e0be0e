"""Questions with several right answers, each judged by itself, scored as SuperGLUE scores MultiRC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from proctor.canonical import content_hash
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.choice import right_choices
from proctor.scoring.letters import choice_index
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_YES = 1  # the place of yes among the choices


class AnswerSets(Scorer):
    """Each item is an answer to a question, right or wrong (choices: no, yes), and `item.group` names the question.

    - `f1a`: F1 of yes over all answers (of answers named right, those that are, and of those that are, those named);
    - `em`: the share of questions all of whose answers are judged rightly, over all epochs.

    After Khashabi et al. 2018, "Looking Beyond the Surface" (MultiRC), in the definition of SuperGLUE (Wang et al. 2019), which averages
    the two.
    The standard error of `em` is that of a share of questions.
    """

    name = "answer_sets"
    default_extract = ("letter",)
    metrics = (
        Metric("f1a", statistics=lambda columns: _outcomes(columns), value=lambda sums: _f1(sums)),
        Metric("em", whole=lambda columns: _all_right(columns)),
    )

    def check(self, item: Item) -> str | None:
        if len(item.choices) != 2 or type(item.target) is not int:
            return "needs two choices, no and yes, and which of them is right"
        return None if item.group else "needs item.group, the question that the answer belongs to"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        predicted = choice_index(answer, 2)
        return Measured({**self.unanswered(item), **({} if predicted is None else {"predicted": float(predicted)})})

    def unanswered(self, item: Item) -> dict[str, float]:
        return {"expected": float(right_choices(item)[0]), "question": float(int(content_hash(item.group, 12), 16))}


def _columns(columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected and predicted choices; NaN where nothing was predicted."""
    import numpy as np

    expected = columns.values["expected"]
    return expected, columns.values.get("predicted", np.full(len(expected), np.nan))


def _outcomes(columns: Columns) -> NDArray[np.float64]:
    """(attempts, 3): true yes, false yes, missed yes."""
    import numpy as np

    expected, predicted = _columns(columns)
    right, said = expected == _YES, predicted == _YES
    return np.stack([right & said, ~right & said, right & ~said], axis=1).astype(float)


def _f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    both = 2 * sums[..., 0]
    with np.errstate(invalid="ignore"):
        return np.asarray(both / (both + sums[..., 1] + sums[..., 2]))


def _all_right(columns: Columns) -> tuple[float | None, float | None]:
    expected, predicted = _columns(columns)
    right: dict[float, bool] = {}
    for question, true, said in zip(columns.values["question"], expected, predicted, strict=True):
        right[float(question)] = right.get(float(question), True) and bool(true == said)
    if not right:
        return None, None
    share, count = sum(right.values()) / len(right), len(right)
    return share, math.sqrt(share * (1 - share) / (count - 1)) if count > 1 else None
