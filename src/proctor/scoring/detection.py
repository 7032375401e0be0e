"""Finding objects in images: average precision and recall as COCO computes them, of boxes or masks."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from proctor.errors import DataError
from proctor.scoring.average_precision import Image, mean_precision
from proctor.scoring.base import Columns, Measured, Metric, Scorer, cluster_numbers
from proctor.scoring.masks import decode_mask
from proctor.scoring.structured import json_list
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_METRICS = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "mar")


class Detection(Scorer):
    """COCO's average precision: map over overlaps of .5 to .95, map50 and map75 at one, map_small, map_medium and map_large of objects of
    up to 32² pixels, to 96², and beyond; and mar, the mean average recall with 100 detections an image.

    Target and answer are lists of objects, `{label, box: [x, y, width, height]}` or `{label, mask}` (see `decode_mask`), an answer's with
    a `score`; a target's may have `area` and `iscrowd`. COCO's own names `category_id`, `bbox` and `segmentation` do too. Labels that
    occur in no target do not count. An attempt without an answer finds nothing. The numbers are those of pycocotools; the standard error
    is from 100 resamples of the images.

    Args:
        of: `box` or `mask`: what is compared.
        corners: boxes are [left, top, right, bottom].
    """

    name = "detection"

    def __init__(self, *, of: Literal["box", "mask"] = "box", corners: bool = False) -> None:
        self._of, self._corners = of, corners
        self._last: tuple[Columns, dict[str, tuple[float | None, float | None]]] | None = None
        self.metrics = tuple(Metric(name, whole=partial(self._whole, name=name)) for name in _METRICS)

    def check(self, item: Item) -> str | None:
        target = json_list(item.target) if isinstance(item.target, str) else item.target
        if not isinstance(target, list | tuple):
            return f"the target must be a list of objects, not {item.target!r}"
        for one in target:
            try:
                _ = _object(one, self._of, self._corners)
            except (ValueError, TypeError) as error:
                return f"{error}: {json.dumps(one)[:100]}"
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        found, wrong = self._found(answer)
        return Measured({}, f"{len(found)} objects" + (f"; {wrong} entries are none" if wrong else ""))

    def unanswered(self, item: Item) -> dict[str, float]:
        return {}

    def _found(self, answer: str | None) -> tuple[list[_Object], int]:
        read = json_list(answer) if answer is not None else []
        found: list[_Object] = []
        for one in read or ():
            try:
                found.append(_object(one, self._of, self._corners))
            except (ValueError, TypeError):
                continue
        return found, len(read or ()) - len(found)

    def _whole(self, columns: Columns, name: str) -> tuple[float | None, float | None]:
        import numpy as np

        if self._last is None or self._last[0] is not columns:
            images = [self._image(answer, target) for answer, target in zip(columns.answers, columns.targets, strict=True)]
            clusters = cluster_numbers(columns, np.ones(len(images), dtype=bool))
            self._last = columns, mean_precision(images, clusters)
        return self._last[1][name]

    def _image(self, answer: str | None, target: Any) -> Image:
        read = json_list(target) if isinstance(target, str) else target
        try:
            given = [_object(one, self._of, self._corners) for one in read or ()]
        except (ValueError, TypeError) as error:
            raise DataError(f"a target of detection: {error}") from None
        found = self._found(answer)[0]
        crowd = [one.crowd for one in given]
        overlaps = _mask_overlaps(found, given, crowd) if self._of == "mask" else _box_overlaps(found, given, crowd)
        return Image(
            labels=[one.label for one in found],
            scores=[one.score for one in found],
            areas=[one.area for one in found],
            true_labels=[one.label for one in given],
            true_areas=[one.area for one in given],
            crowd=crowd,
            overlaps=overlaps,
        )


class _Object(Struct, frozen=True):
    label: str
    score: float
    area: float
    crowd: bool
    box: tuple[float, float, float, float] | None = None  # left, top, width, height
    mask: Any = None


def _object(one: Any, of: str, corners: bool) -> _Object:
    """Raises `ValueError` or `TypeError` for what is no object."""
    if not isinstance(one, dict):
        raise ValueError("an object is a mapping with label and box, or label and mask")
    label = one.get("label", one.get("category_id", one.get("category")))
    if label is None:
        raise ValueError("an object has no label")
    score, crowd = float(one.get("score", 1.0)), bool(one.get("iscrowd", False))
    if of == "mask":
        mask = decode_mask(one.get("mask", one.get("segmentation")))
        return _Object(str(label), score, float(one.get("area", mask.sum())), crowd, None, mask)
    box = one.get("box", one.get("bbox"))
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise ValueError("a box is four numbers")
    left, top, width, height = (float(side) for side in box)
    if corners:
        width, height = width - left, height - top
    if not (width >= 0 and height >= 0):
        raise ValueError("a box has a width and height of 0 or more")
    return _Object(str(label), score, float(one.get("area", width * height)), crowd, (left, top, width, height))


def _box_overlaps(found: list[_Object], given: list[_Object], crowd: list[bool]) -> NDArray[np.float64]:
    import numpy as np

    a, b = np.array([one.box for one in found]).reshape(-1, 1, 4), np.array([one.box for one in given]).reshape(1, -1, 4)
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = np.prod(np.maximum(sides, 0.0), axis=-1)
    return _shares(both, np.prod(a[..., 2:], axis=-1), np.prod(b[..., 2:], axis=-1), crowd)


def _mask_overlaps(found: list[_Object], given: list[_Object], crowd: list[bool]) -> NDArray[np.float64]:
    import numpy as np

    if not found or not given:
        return np.zeros((len(found), len(given)))
    if len({one.mask.shape for one in (*found, *given)}) > 1:
        raise DataError("the masks of an image must all have its size")
    a, b = (np.stack([one.mask.ravel() for one in each]).astype(np.float64) for each in (found, given))
    return _shares(a @ b.T, a.sum(axis=1)[:, None], b.sum(axis=1)[None, :], crowd)


def _shares(
    both: NDArray[np.float64], of_found: NDArray[np.float64], of_given: NDArray[np.float64], crowd: list[bool]
) -> NDArray[np.float64]:
    """Intersection over union; of a crowd over the found alone."""
    import numpy as np

    either = np.where(np.array(crowd, dtype=bool)[None, :], of_found, of_found + of_given - both)
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)
