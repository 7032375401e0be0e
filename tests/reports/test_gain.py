"""Δm of stored runs, against the formula worked by hand."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from proctor.cli.main import main
from proctor.reports.compare import compare
from proctor.reports.gain import gain_of
from proctor.results.store import open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Accuracy of items, an error where lower is better of items, and a correlation of 0 or below."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["model,task,metric,item,score,higher_is_better"]
    items = {}
    for task, metric, higher in (("acc", "accuracy", True), ("err", "mae", False), ("none", "accuracy", True)):
        base = rng.uniform(0.3, 0.6, 40).round(3) if task != "none" else np.zeros(40)
        items[task] = base, np.clip(base + rng.normal(0.1, 0.1, 40), 0, 1).round(3)
        for model, values in zip(("single", "joint"), items[task], strict=True):
            rows += [f"{model},{task},{metric},i{place},{value},{str(higher).lower()}" for place, value in enumerate(values)]
    Path("scores.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr("sys.argv", ["proctor", "import", "table", "scores.csv", "--suite", "s", "--out", "st"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return items


def test_gains_and_their_errors(store):
    (pair,) = compare(open_store("st").runs(), "single", ["joint"], items=0)
    found = gain_of(pair)
    assert found.without == ["none"]
    assert [one.task for one in found.tasks] == ["acc", "err"]
    gains, errors = [], []
    for task, sign in (("acc", 1), ("err", -1)):
        base, ours = store[task]
        ratio = ours.mean() / base.mean()
        gains.append(sign * (ratio - 1))
        # Linearised: the standard error of the mean of (m − r b)/B over items.
        errors.append(((ours - ratio * base) / base.mean()).std(ddof=1) / math.sqrt(40))
    assert found.gain.per_task == pytest.approx(gains)
    assert found.gain.per_task_stderr == pytest.approx(errors)
    assert found.gain.value == pytest.approx(np.mean(gains))
    assert found.gain.stderr == pytest.approx(math.hypot(*errors) / 2)


def typed(monkeypatch, capsys, *more):
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["proctor", "compare", "single", "joint", "--delta-m", "--store", "st", *more])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_command(store, monkeypatch, capsys):
    out = typed(monkeypatch, capsys)
    assert out.startswith("Δm of joint over single on s")
    assert "Without a gain, as single scores 0 or less: none." in out
    (document,) = json.loads(typed(monkeypatch, capsys, "--format", "json"))
    assert document["delta_m"] == pytest.approx(np.mean([one["gain"] for one in document["tasks"].values()]))
    rows = list(csv.DictReader(io.StringIO(typed(monkeypatch, capsys, "--format", "csv"))))
    assert [row["task"] for row in rows] == ["", "acc", "err"]
    assert float(rows[0]["gain"]) == pytest.approx(document["delta_m"])
