"""Heat maps of runs: of our own grid, and of the published ones of needle in a haystack, beside pandas."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner

from proctor.cli.main import cli
from proctor.engine.session import run
from proctor.errors import UsageError
from proctor.reports.heat_maps import heat_maps, heat_tables, page_maps
from proctor.reports.render import render
from proctor.results.store import Store
from proctor.tasks.task import Task

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"
NEEDLES = SHARED / "needle_haystack"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A model that knows the answer in short texts, and where the fact stands first."""
    rows = [
        {"id": f"{n}-{d}-{w}", "q": f"{n} {d} {w}", "length": n, "depth": d, "wording": w, "target": "yes"}
        for n in (100, 2000)
        for d in (0, 50, 100)
        for w in ("a", "b")
    ]
    task = Task(task="grid", data=rows, item={"dimensions": ["length", "depth", "wording"]}, prompt="{{ q }}", scoring="exact_match")
    plain = Task(task="plain", data=[{"q": "?", "target": "yes"}], prompt="{{ q }}", scoring="exact_match")

    def short(prompt):
        length, depth, wording = prompt.split()
        return "yes" if int(length) < 1000 or (depth == "0" and wording == "a") else "no"

    out = tmp_path_factory.mktemp("store")
    run(task, short, out=out)
    run(plain, lambda prompt: "yes", out=out)
    return out


def test_a_grid_and_its_parts(store):
    found = heat_maps(list(Store(store).runs()), "short", by="wording")
    assert [one.part for one in found] == [None, ("wording", "a"), ("wording", "b")]
    assert found[0].map.means.tolist() == [[1, 1, 1], [0.5, 0, 0]]
    assert found[1].map.means.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert found[0].map.counts.tolist() == [[2, 2, 2], [2, 2, 2]]
    text = render(heat_tables(found[:1]))
    assert "exact_match by length (down) and depth (across)" in text
    assert "100 █" in text
    assert "50 ▒" in text
    turned = heat_maps(list(Store(store).runs()), "short", "grid", ["wording", "length"])[0]
    assert turned.map.rows == ("a", "b")
    assert turned.map.means.tolist() == [[1, 1 / 3], [1, 0]]


def test_the_command_in_csv_and_json(store):
    said = CliRunner().invoke(cli, ["heatmap", "short", "--store", str(store), "--format", "csv"])
    assert said.exit_code == 0, said.output
    rows = list(csv.DictReader(io.StringIO(said.output)))
    assert len(rows) == 6
    assert (rows[3]["length"], rows[3]["depth"], rows[3]["mean"], rows[3]["count"]) == ("2000", "0", "0.5", "2")
    said = CliRunner().invoke(cli, ["heatmap", "short", "--store", str(store), "--format", "json", "--axes", "length,wording"])
    assert json.loads(said.output)[0]["means"] == [[1, 1], [1 / 3, 0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "no model 'nobody'"),
        (("short", "gird"), "did you mean 'grid'"),
        (("short", "grid", ["length"]), "expected the names of two properties"),
        (("short", "grid", ["length", "width"]), "have no property 'width'"),
        (("short", "grid", ["length", "depth"], "colour"), "have no property 'colour'"),
        (("lambda",), "says by which two properties"),
    ],
)
def test_what_cannot_be_laid_out(store, arguments, message):
    with pytest.raises(UsageError, match=message):
        heat_maps(list(Store(store).runs()), *arguments)


def test_the_page_draws_it(store, tmp_path):
    said = CliRunner().invoke(cli, ["report", "--store", str(store), "-o", str(tmp_path)])
    assert said.exit_code == 0, said.output
    page = (tmp_path / "index.html").read_text()
    assert page.count('<table class="heat">') == 1  # only the task that has dimensions, and they are numbers
    assert '<th scope="row">2000</th><td class="h5">50</td><td class="h0">0</td>' in page
    assert page_maps(None, None) == []


@pytest.mark.skipif(not NEEDLES.exists(), reason="the published grids of needle in a haystack are not here")
def test_the_published_grids(tmp_path):
    """LLMTest_NeedleInAHaystack's results: Claude 2.1 by Greg Kamradt (2023), GPT-4 Turbo in two parts."""
    claude = pd.read_csv(NEEDLES / "anthropic_results.csv")
    folder = NEEDLES / "original_results" / "OpenAI_Original_Results"
    gpt = pd.concat(pd.DataFrame(json.loads((folder / f"OpenAI_OriginalResults{part}.json").read_text())) for part in ("", "_2"))
    gpt = gpt.rename(columns={"token_limit": "context_length"}).assign(model="gpt-4-1106-preview", version=range(len(gpt)))
    both = pd.concat([claude, gpt])[["model", "context_length", "depth_percent", "version", "score"]]
    assert (len(claude), len(gpt)) == (1376, 330)
    assert ((claude["score"] == 10).sum(), (claude["score"] == 1).sum()) == (819, 540)
    table = pl.DataFrame(
        {
            "model": both["model"].to_list(),
            "task": ["needle_in_a_haystack"] * len(both),
            "item": [f"{a}-{b}-{c}" for a, b, c in zip(both["context_length"], both["depth_percent"], both["version"], strict=True)],
            "score": both["score"].astype(float).to_list(),
            "metadata": [
                json.dumps({"context_length": int(a), "depth_percent": float(b)})
                for a, b in zip(both["context_length"], both["depth_percent"], strict=True)
            ],
        }
    )
    table.write_csv(tmp_path / "needles.csv")
    out = str(tmp_path / "store")
    runner = CliRunner()
    said = runner.invoke(cli, ["import", "table", str(tmp_path / "needles.csv"), "--bounds", "1", "10", "--store", out])
    assert said.exit_code == 0, said.output
    for model, rows in both.groupby("model"):
        [found] = heat_maps(list(Store(out).runs()), model, "needle_in_a_haystack", ["context_length", "depth_percent"])
        pivot = rows.pivot_table(index="context_length", columns="depth_percent", values="score", aggfunc="mean")
        assert found.map.rows == tuple(pivot.index)
        assert found.map.columns == tuple(pivot.columns)
        np.testing.assert_allclose(found.map.means, pivot.to_numpy())
        assert found.bounds == (1.0, 10.0)
        if model.startswith(
            "gpt-4"
        ):  # as published: nothing is lost up to 64k tokens, nor at the beginning; beyond 73k, facts at 7 to 50 %
            assert (found.map.row_means[np.array(found.map.rows) <= 64_500] == 10).all()
            assert found.map.column_means[0] == 10
            weak = [depth for depth, mean in zip(found.map.columns, found.map.column_means, strict=True) if mean < 9.5]
            assert weak == [7, 14, 21, 29, 36, 43, 50]
        else:
            assert found.map.mean == pytest.approx(6.4208, abs=1e-4)
