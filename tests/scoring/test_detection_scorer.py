"""Detection against pycocotools, the code of COCO's authors."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from proctor.scoring.detection import Detection
from proctor.scoring.masks import decode_mask
from proctor.types import Item

NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


def drawn(seed, masks=False):
    """Objects of two labels in 25 images, found with errors; some are crowds."""
    draw = np.random.default_rng(seed)
    images, given, found = [], [], []
    for image in range(25):
        images.append({"id": image, "height": 160, "width": 160})
        for _ in range(draw.integers(0, 7)):
            size = draw.choice([12, 60, 120])
            box = [float(draw.integers(0, 160 - size)), float(draw.integers(0, 160 - size)), float(size), float(size)]
            label = int(draw.integers(1, 3))
            given.append(
                {"id": len(given) + 1, "image_id": image, "category_id": label, "bbox": box, "iscrowd": int(draw.random() < 0.1)}
                | {"area": box[2] * box[3]}
            )
            for _ in range(draw.integers(0, 3)):
                moved = [max(0.0, side + draw.normal() * size * 0.08) for side in box]
                said = label if draw.random() < 0.85 else 3 - label
                found.append({"image_id": image, "category_id": said, "bbox": moved, "score": round(float(draw.random()), 2)})
        for _ in range(draw.integers(0, 3)):
            box = [float(one) for one in draw.integers(1, 80, 4)]
            found.append({"image_id": image, "category_id": int(draw.integers(1, 3)), "bbox": box, "score": round(float(draw.random()), 2)})
    if masks:
        for one in (*given, *found):
            x, y, w, h = (int(side) for side in one["bbox"])
            shape = np.zeros((160, 160), dtype=np.uint8, order="F")
            shape[y : y + h, x : x + max(1, w - 3)] = 1
            encoded = coco_mask.encode(shape)
            one["segmentation"] = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
            if "area" in one:
                one["area"] = float(shape.sum())
    return images, given, found


def reference(images, given, found, kind):
    """The twelve numbers of COCOeval that are asked for."""
    truth = COCO()
    truth.dataset = {"images": images, "annotations": given, "categories": [{"id": 1}, {"id": 2}], "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if kind == "segm":
            found = [{key: value for key, value in one.items() if key != "bbox"} for one in found]
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats[:6], strict=True)) | {"mar": evaluation.stats[8]}


def scored(task_values, scorer, images, given, found, keys=("category_id", "bbox", "segmentation", "iscrowd", "area", "score")):
    def of(image, rows):
        return [{key: one[key] for key in keys if key in one} for one in rows if one["image_id"] == image["id"]]

    items = [Item(str(image["id"]), {}, target=of(image, given)) for image in images]
    return task_values(scorer, [json.dumps(of(image, found)) for image in images], items)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_against_pycocotools(task_values, seed):
    images, given, found = drawn(seed)
    expected = reference(images, given, found, "bbox")
    assert 0.1 < expected["map"] < 0.95
    assert scored(task_values, Detection(), images, given, found) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_masks_against_pycocotools(task_values, seed):
    images, given, found = drawn(seed, masks=True)
    expected = reference(images, given, found, "segm")
    assert scored(task_values, Detection(of="mask"), images, given, found) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_masks_are_read_as_pycocotools_reads_them(share):
    shape = np.asfortranarray(np.random.default_rng(0).random((37, 53)) < share, dtype=np.uint8)
    encoded = coco_mask.encode(shape)
    np.testing.assert_array_equal(decode_mask({"size": encoded["size"], "counts": encoded["counts"].decode()}), shape)
    runs = np.diff(np.flatnonzero(np.diff(shape.ravel(order="F"), prepend=0, append=2)), prepend=0)
    runs = [int(run) for run in runs]
    np.testing.assert_array_equal(decode_mask({"size": [37, 53], "counts": runs}), shape)


def test_own_names_corners_and_nothing(task_values):
    items = [
        Item("1", {}, target=[{"label": "cat", "box": [10, 10, 50, 60]}]),
        Item("2", {}, target='[{"label": "cat", "box": [0, 0, 9, 9]}]'),
    ]
    found = task_values(
        Detection(corners=True), ['Found: [{"label": "cat", "box": [10, 10, 50, 60], "score": 0.9}, {"label": "x"}]', None], items
    )
    assert found["map"] == pytest.approx(51 / 101)  # half of the objects: recall is reached up to .5
    assert found["mar"] == 0.5
    assert np.isnan(found["map_large"])
    assert Detection().measure('[{"label": "a", "box": [1, 2, 3, 4]}, 5]', items[0], None).reason == "1 objects; 1 entries are none"


def test_standard_error_is_the_spread_over_samples(task_values):
    """Samples of 60 images drawn anew: the error estimated from one is the spread between them."""
    from proctor.scoring.base import Columns

    scorer, draw, values = Detection(), np.random.default_rng(5), []
    for _ in range(25):
        targets, answers = [], []
        for _ in range(60):
            targets.append([{"label": "a", "box": [0, 0, 40, 40]}])
            shift = draw.exponential(3)
            answers.append(json.dumps([{"label": "a", "box": [shift, 0, 40, 40], "score": float(draw.random())}]))
        values.append(scorer.metrics[0].whole(Columns(answers, targets, {})))
    value, stderr = np.array(values).T
    assert stderr.mean() == pytest.approx(value.std(ddof=1), rel=0.3)


def test_targets_are_checked():
    check = Detection().check
    assert check(Item("1", {}, target=[{"label": "a", "bbox": [1, 2, 3, 4]}])) is None
    assert "list of objects" in check(Item("1", {}, target="cat"))
    assert "four numbers" in check(Item("1", {}, target=[{"label": "a", "box": [1, 2, 3]}]))
    assert "no label" in check(Item("1", {}, target=[{"box": [1, 2, 3, 4]}]))
    assert "do not fill" in Detection(of="mask").check(Item("1", {}, target=[{"label": "a", "mask": {"size": [2, 2], "counts": [1]}}]))
