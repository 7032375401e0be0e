"""Segmentation against scikit-learn over the pixels of all images."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

import proctor
from proctor.errors import DataError, ModelError, TaskError
from proctor.models.open import open_model
from proctor.scoring.masks import file_text, map_text, read_map
from proctor.scoring.segmentation import Segmentation
from proctor.types import Item


def drawn(seed, n=6):
    draw = np.random.default_rng(seed)
    truth = [np.kron(draw.integers(0, 4, (3, 4)), np.ones((5, 6), dtype=int)) for _ in range(n)]
    said = [np.where(draw.random(one.shape) < 0.7, one, draw.integers(0, 4, one.shape)) for one in truth]
    return truth, said


def reference(truth, said, labels):
    y, x = (np.concatenate([one.ravel() for one in each]) for each in (truth, said))
    return {
        "miou": jaccard_score(y, x, labels=labels, average="macro"),
        "dice": f1_score(y, x, labels=labels, average="macro"),
        "pixel_accuracy": accuracy_score(y, x),
    }


@pytest.mark.parametrize("write", [map_text, lambda labels: json.dumps(labels.tolist())])
def test_against_scikit_learn(task_values, write):
    truth, said = drawn(0)
    items = [Item(str(place), {}, target=one.tolist() if place % 2 else map_text(one)) for place, one in enumerate(truth)]
    found = task_values(Segmentation(each=[2]), [write(one) for one in said], items)
    y, x = (np.concatenate([one.ravel() for one in each]) for each in (truth, said))
    assert found.pop("iou_2") == pytest.approx(jaccard_score(y, x, labels=[2], average=None)[0])
    assert found == pytest.approx(reference(truth, said, [0, 1, 2, 3]))


def test_ignored_pixels_and_labels_that_are_never_true(task_values):
    truth, said = [np.array([[0, 1, 255], [1, 1, 255]])], [np.array([[0, 1, 1], [0, 7, 0]])]
    found = task_values(Segmentation(ignore=255), [map_text(said[0])], [Item("1", {}, target=truth[0].tolist())])
    assert found == pytest.approx(reference([truth[0][:, :2]], [said[0][:, :2]], [0, 1]))


def test_no_map_and_a_map_of_another_size_are_wrong_everywhere(task_values):
    items = [Item(str(place), {}, target=[[0, 1]]) for place in range(3)]
    found = task_values(Segmentation(), ["[[0, 1]]", "[[0], [1]]", None], items)
    assert found == pytest.approx({"miou": 1 / 3, "dice": 0.5, "pixel_accuracy": 1 / 3})
    scorer = Segmentation()
    assert scorer.measure("[[0], [1]]", items[0], None).reason == "a map of 2 × 1, not 1 × 2"
    assert scorer.measure("all of it", items[0], None).reason.startswith("no label map")


def test_files_on_both_sides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, said = drawn(1, 3)
    (tmp_path / "data").mkdir()
    (tmp_path / "mine").mkdir()
    for place, (one, other) in enumerate(zip(truth, said, strict=True)):
        Image.fromarray(one.astype(np.uint8)).save(f"data/{place}.png")
        np.save(f"mine/{place}.npy", other)
    (tmp_path / "data" / "task.yaml").write_text(
        "task: streets\ndata:\n  items: [{id: 0, map: 0.png}, {id: 1, map: 1.png}, {id: 2, map: 2.png}]\n"
        "item: {target: map, target_as: file}\nprompt: Label each pixel.\nscoring: segmentation\n"
    )
    (tmp_path / "mine" / "p.jsonl").write_text(
        "".join(json.dumps({"item": str(place), "file": f"{place}.npy"}) + "\n" for place in range(3))
    )
    (run,) = proctor.run("data/task.yaml", "predictions:mine/p.jsonl", out="st")
    found = {metric.name: metric.value for metric in run.manifest.tasks[0].metrics}
    assert found == pytest.approx(reference(truth, said, [0, 1, 2, 3]))
    assert all(metric.stderr > 0 for metric in run.manifest.tasks[0].metrics)
    before = open_model("predictions:mine/p.jsonl").fingerprint
    np.save("mine/0.npy", truth[0])
    assert open_model("predictions:mine/p.jsonl").fingerprint != before


def test_what_cannot_be_read_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (3, 2)).save("colour.png")
    with pytest.raises(DataError, match="a label for each pixel"):
        file_text(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png: cannot be read"):
        file_text(tmp_path / "broken.png")
    (tmp_path / "p.jsonl").write_text('{"item": "1", "file": "absent.npy"}\n')
    with pytest.raises(ModelError, match=r"p\.jsonl, line 1: cannot read .*absent\.npy"):
        open_model("predictions:p.jsonl")
    with pytest.raises(DataError, match=r"data\.items row 1: item\.target: cannot read"):
        proctor.Task(task="t", data=[{"target": "x.png"}], item={"target_as": "file"}, prompt="?", scoring="segmentation")
    assert "label map" in Segmentation().check(Item("1", {}, target="cat"))
    assert "fill it" in Segmentation().check(Item("1", {}, target={"size": [1, 2], "runs": [[1, 1]]}))
    with pytest.raises(TaskError, match="each once"):
        Segmentation(each=[1, 1])
    assert read_map("[[1, 2]]").tolist() == [[1, 2]]
