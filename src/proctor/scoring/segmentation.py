"""A label for each pixel: mean intersection over union, Dice, pixel accuracy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from proctor.errors import DataError, TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.masks import read_map
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ORDER = ("miou", "dice", "pixel_accuracy")


class Segmentation(Scorer):
    """Mean intersection over union (miou), mean Dice and pixel accuracy over all pixels of the sample.

    Target and answer are label maps: a list of rows of whole numbers, or `{size: [height, width], runs: [[label, count], …]}`; files (.png,
    .npy) become such by `item.target_as: file` and the column `file` of predictions. A class counts where it occurs in a target; its
    IoU = |both|/|either| and Dice = 2|both|/(|said| + |true|) are over all images together, and the means over classes are plain. Pixels an
    attempt says nothing about (no answer, a map of another size) are wrong.

    Args:
        ignore: the label of pixels that do not count, such as 255.
        main: the main metric; default miou.
        each: labels whose own IoU is reported too, as `iou_LABEL`.
    """

    name = "segmentation"

    def __init__(
        self, *, ignore: int | None = None, main: Literal["miou", "dice", "pixel_accuracy"] = "miou", each: list[int] | None = None
    ) -> None:
        if len(set(each or ())) < len(each or ()):
            raise TaskError(f"segmentation.each must name labels, each once, not {each}")
        always = tuple(each or ())
        counts = partial(_counts, ignore=ignore, always=always)
        self._ignore = ignore
        made = {
            "miou": Metric("miou", statistics=counts, value=_miou),
            "dice": Metric("dice", statistics=counts, value=_dice),
            "pixel_accuracy": Metric("pixel_accuracy", statistics=counts, value=_accuracy),
        }
        self.metrics = (
            made[main],
            *(made[name] for name in _ORDER if name != main),
            *(Metric(f"iou_{label}", statistics=counts, value=partial(_one, place=place)) for place, label in enumerate(always)),
        )

    def check(self, item: Item) -> str | None:
        try:
            _ = read_map(item.target)
        except (ValueError, TypeError, AttributeError) as error:
            return f"the target must be a label map: {error}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """Each metric's own value for this image."""
        try:
            row = _count(answer, item.target, self._ignore)
        except (ValueError, TypeError) as error:
            raise DataError(f"item '{item.id}': {error}") from None
        sums = _row(row, sorted(row))
        values = {metric: float(of(sums)) for metric, of in (("miou", _miou), ("dice", _dice), ("pixel_accuracy", _accuracy))}
        return Measured(values, _complaint(answer, item.target))


def _complaint(answer: str, target: Any) -> str:
    import json

    try:
        said = read_map(answer)
    except (ValueError, TypeError, json.JSONDecodeError) as error:
        return f"no label map: {error}"
    true = read_map(target)
    return "" if said.shape == true.shape else f"a map of {said.shape[0]} × {said.shape[1]}, not {true.shape[0]} × {true.shape[1]}"


def _count(answer: str | None, target: Any, ignore: int | None) -> dict[int, tuple[int, int, int]]:
    """For each label its pixels in both, in the answer and in the target."""
    import numpy as np

    true = read_map(target)
    try:
        said = None if answer is None else read_map(answer)
    except (ValueError, TypeError):
        said = None
    counts = true != ignore if ignore is not None else np.ones(true.shape, dtype=bool)
    right = said is not None and said.shape == true.shape
    found: dict[int, list[int]] = {}
    tables = [true[counts]]
    if said is not None and right:
        tables = [true[counts][said[counts] == true[counts]], said[counts], true[counts]]
    for place, table in zip((0, 1, 2) if right else (2,), tables, strict=True):
        for label, count in zip(*np.unique(table, return_counts=True), strict=True):
            found.setdefault(int(label), [0, 0, 0])[place] = int(count)
    return {label: (one[0], one[1], one[2]) for label, one in found.items()}


def _row(counted: dict[int, tuple[int, int, int]], labels: list[int]) -> NDArray[np.float64]:
    """Shape (3k,): both, said, true of each label."""
    import numpy as np

    table = np.array([counted.get(label, (0, 0, 0)) for label in labels], dtype=np.float64).reshape(-1, 3)
    return np.asarray(table.T.ravel())


def _counts(columns: Columns, ignore: int | None, always: tuple[int, ...]) -> NDArray[np.float64]:
    import numpy as np

    rows = [_count(answer, target, ignore) for answer, target in zip(columns.answers, columns.targets, strict=True)]
    known = set().union(*rows) - set(always)
    return np.stack([_row(row, [*always, *sorted(known)]) for row in rows])


def _parts(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    k = sums.shape[-1] // 3
    return sums[..., :k], sums[..., k : 2 * k], sums[..., 2 * k :]


def _mean(values: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes that occur in targets."""
    import numpy as np

    occurs = true > 0
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(occurs, values, 0.0).sum(axis=-1) / occurs.sum(axis=-1))


def _iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    both, said, true = _parts(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(both / (said + true - both))


def _miou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return _mean(_iou(sums), _parts(sums)[2])


def _one(sums: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.where(_parts(sums)[2][..., place] > 0, _iou(sums)[..., place], np.nan))


def _dice(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    both, said, true = _parts(sums)
    with np.errstate(invalid="ignore"):
        return _mean(np.asarray(2 * both / (said + true)), true)


def _accuracy(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    both, _, true = _parts(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(both.sum(axis=-1) / true.sum(axis=-1))
