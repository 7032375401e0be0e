"""Average precision of detections over images, by COCO's rules of matching and interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 100
MOST = 100  # detections of a label that count in an image
_SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}

Found = tuple[float | None, float | None]


class Image(Struct, frozen=True):
    """One image: what was found, what is there, and how the two overlap.

    Attributes:
        labels, scores, areas: of what was found, shape (found,).
        true_labels, true_areas, crowd: of what is there, shape (given,).
        overlaps: shape (found, given).
    """

    labels: list[str]
    scores: list[float]
    areas: list[float]
    true_labels: list[str]
    true_areas: list[float]
    crowd: list[bool]
    overlaps: NDArray[np.float64]


class _Matched(Struct, frozen=True):
    """The detections of one label and size over all images, best first.

    Attributes:
        hit, counts: shape (thresholds, detections): whether one matches an object, and whether it counts.
        image: shape (detections,).
        given: objects of each image, shape (images,).
    """

    hit: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    image: NDArray[np.int64]
    given: NDArray[np.float64]


def mean_precision(images: Sequence[Image], clusters: NDArray[np.int64] | None = None) -> dict[str, Found]:
    """map, map50, map75, map_small, map_medium, map_large and mar, each with its standard error; None where there is no such object.

    As `COCOeval` of pycocotools (Lin et al. 2014): greedy matching by score at overlaps of .5, .55, …, .95; crowds and objects of other
    sizes neither hits nor false alarms; precision made monotone and read at recalls of 0, .01, …, 1; means over labels and overlaps. The
    standard error is from resampling images, or clusters of them.
    """
    import numpy as np

    labels = sorted({label for image in images for label in image.true_labels})
    matched = {size: [_matched(images, label, bounds) for label in labels] for size, bounds in _SIZES.items()}
    codes = np.arange(len(images)) if clusters is None else clusters
    groups = int(codes.max()) + 1 if len(codes) else 0
    weights = np.ones((1, len(images)))
    if groups > 1:
        rng = np.random.default_rng(0)
        drawn = np.stack([np.bincount(rng.integers(0, groups, groups), minlength=groups) for _ in range(RESAMPLES)])
        weights = np.concatenate([weights, drawn[:, codes]])
    found: dict[str, Found] = {}
    for size, of_size in matched.items():
        each = [_areas(one, weights) for one in of_size]
        precision = _over_labels([one[0] for one in each], len(weights))
        if size == "all":
            found["map"] = _estimate(precision.mean(axis=0), groups)
            found["map50"], found["map75"] = _estimate(precision[0], groups), _estimate(precision[5], groups)
            found["mar"] = _estimate(_over_labels([one[1] for one in each], len(weights)).mean(axis=0), groups)
        else:
            found[f"map_{size}"] = _estimate(precision.mean(axis=0), groups)
    return found


def _matched(images: Sequence[Image], label: str, bounds: tuple[float, float]) -> _Matched:
    import numpy as np

    hits, counts, scores, places = [], [], [], []
    given = np.zeros(len(images))
    for place, image in enumerate(images):
        rows = [row for row, one in enumerate(image.labels) if one == label]
        rows = sorted(rows, key=lambda row: -image.scores[row])[:MOST]
        columns = [column for column, one in enumerate(image.true_labels) if one == label]
        outside = np.array([image.crowd[one] or not bounds[0] <= image.true_areas[one] <= bounds[1] for one in columns], dtype=bool)
        given[place] = len(columns) - int(outside.sum())
        if not rows:
            continue
        order = np.argsort(outside, kind="stable")
        columns = [columns[one] for one in order]
        crowd = np.array([image.crowd[column] for column in columns], dtype=bool)
        hit, ignored = _match(image.overlaps[np.ix_(rows, columns)], outside[order], crowd)
        other_size = np.array([not bounds[0] <= image.areas[row] <= bounds[1] for row in rows])
        hits.append(hit)
        counts.append(~(ignored | (~hit & other_size[None, :])))
        scores += [image.scores[row] for row in rows]
        places += [place] * len(rows)
    if not scores:
        nothing = np.zeros((10, 0), dtype=bool)
        return _Matched(nothing, nothing, np.zeros(0, dtype=np.int64), given)
    order = np.argsort(-np.array(scores), kind="stable")
    return _Matched(np.concatenate(hits, axis=1)[:, order], np.concatenate(counts, axis=1)[:, order], np.array(places)[order], given)


def _match(
    overlaps: NDArray[np.float64], outside: NDArray[np.bool_], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections match an object, and which match one that does not count, at each threshold, shape (thresholds, detections).

    In the order of the detections each takes the free object it overlaps most, one that counts before one that does not; a crowd is never
    taken. Objects that do not count stand last.
    """
    import numpy as np

    thresholds = np.linspace(0.5, 0.95, 10)
    hit = np.zeros((len(thresholds), len(overlaps)), dtype=bool)
    ignored = np.zeros_like(hit)
    for level, threshold in enumerate(thresholds):
        taken = np.zeros(len(outside), dtype=bool)
        for row, overlap in enumerate(overlaps):
            best, match = min(threshold, 1 - 1e-10), -1
            for column in range(len(outside)):
                if taken[column] and not crowd[column]:
                    continue
                if match > -1 and not outside[match] and outside[column]:
                    break
                if overlap[column] < best:
                    continue
                best, match = overlap[column], column
            if match > -1:
                taken[match] = hit[level, row] = True
                ignored[level, row] = outside[match]
    return hit, ignored


def _areas(of: _Matched, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision and recall at each threshold under each weighting of the images, shape (thresholds, weightings); NaN: no object."""
    import numpy as np

    given = weights @ of.given
    recalls = np.linspace(0, 1, 101)
    precision, recall = (np.full((10, len(weights)), np.nan) for _ in range(2))
    if not len(of.image):
        precision[:, given > 0] = recall[:, given > 0] = 0.0
        return precision, recall
    of_detection = weights[:, of.image]
    for level in range(10):
        right = np.cumsum(of_detection * (of.hit[level] & of.counts[level]), axis=1)
        wrong = np.cumsum(of_detection * (~of.hit[level] & of.counts[level]), axis=1)
        share = right / (right + wrong + np.spacing(1))
        share = np.maximum.accumulate(share[:, ::-1], axis=1)[:, ::-1]
        for place in np.flatnonzero(given > 0):
            reached = right[place] / given[place]
            at = np.searchsorted(reached, recalls, side="left")
            precision[level, place] = share[place][at[at < len(reached)]].sum() / len(recalls)
            recall[level, place] = reached[-1]
    return precision, recall


def _over_labels(each: list[NDArray[np.float64]], width: int) -> NDArray[np.float64]:
    """The mean over the labels that have an object, shape (thresholds, weightings)."""
    import numpy as np

    if not each:
        return np.full((10, width), np.nan)
    table = np.stack(each)
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, table, 0.0).sum(axis=0) / known.sum(axis=0))


def _estimate(values: NDArray[np.float64], groups: int) -> Found:
    """The first is of all images, the others of resamples."""
    import numpy as np

    if math.isnan(values[0]):
        return None, None
    drawn = values[1:][~np.isnan(values[1:])]
    if groups < 2 or len(drawn) < RESAMPLES // 2:
        return float(values[0]), None
    return float(values[0]), float(drawn.std(ddof=1)) * math.sqrt(groups / (groups - 1))
