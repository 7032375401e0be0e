"""A model that always takes the first option, over a task and its variants: every number follows."""

import csv
import io
import json

import pytest

import proctor
from proctor import Suite, Task
from proctor.models.base import Model
from proctor.reports.profile import full_profile, profile_text
from proctor.results.store import open_store
from proctor.tasks.suite import Weighted
from proctor.tasks.variants.build import with_variants
from proctor.types import Likelihood, Response

ROWS = [{"id": f"q{k}", "q": f"Which one is number {k}?", "c": [f"w{k}", f"x{k}", f"y{k}", f"z{k}"], "target": k % 4} for k in range(24)]
CHOICE = {"task": "picks", "data": ROWS, "item": {"choices": "c"}, "prompt": "{{ q }}\n{{ options }}", "response": "choice"}
SAY = {
    "task": "say",
    "data": [{"id": f"s{k}", "q": f"say word {k} loudly", "target": "LOUD"} for k in range(8)],
    "prompt": "{{ q }}",
    "scoring": "exact_match",
}


class First(Model):
    """Prefers the first place; says LOUD to what is written in capitals, and something else every other time otherwise."""

    uri = "test:first"
    fingerprint = "first"
    kinds = frozenset({"likelihood", "generate"})

    def answer(self, asks):
        for ask in asks:
            if isinstance(ask.request, Likelihood):
                n = len(ask.request.continuations)
                yield ask, Response(loglikelihoods=(tuple(-1.0 - k for k in range(n)),), greedy=((False,) * n,), token_counts=(1,) * n)
            else:
                text = ask.request.prompt.messages[-1].content
                loud = text.isupper() or int(ask.item.id[1:]) % 2
                yield ask, Response(text="LOUD" if loud else "quiet")


@pytest.fixture
def store(tmp_path):
    suite = Suite("both", [Weighted(Task(**CHOICE)), Weighted(Task(**SAY))])
    proctor.run(with_variants(suite, ["rotations", "distractor_added", "upper_case"]), [First(), "baseline:random"], out=tmp_path)
    return tmp_path


def told(store):
    return json.loads(profile_text(full_profile(open_store(store).runs(), "test:first"), "json"))[0]["variants"]


def test_a_model_that_takes_the_first_option(store):
    picks, say = told(store)
    assert (picks["task"], picks["items"]) == ("picks", 24)
    assert list(picks["variants"]) == [
        f"picks@{name}" for name in ("rotation_1", "rotation_2", "rotation_3", "distractor_added", "upper_case")
    ]
    rotated = [picks["variants"][f"picks@rotation_{by}"] for by in (1, 2, 3)]
    assert [one["score"]["value"] for one in rotated] == [0.25] * 3
    assert [(one["lost"]["value"], one["won"]["value"], one["same"]["value"]) for one in rotated] == [(0.25, 0.25, 0)] * 3
    assert picks["variants"]["picks@upper_case"]["same"]["value"] == 1
    assert (picks["worst"]["value"], picks["consistency"]["value"]) == (0, 0)
    # Over the four orders and the casing, where the right option is first each time it is first in the original.
    places = picks["positions"]
    assert [one["value"] for one in places["chosen"]] == [1, 0, 0, 0]
    assert [one["value"] for one in places["recall"]] == [1, 0, 0, 0]
    assert places["right"] == [0.25] * 4
    assert places["recall_deviation"] == pytest.approx(0.4330127)
    assert say["positions"] is None
    assert list(say["variants"]) == ["say@upper_case"]
    changed = say["variants"]["say@upper_case"]
    assert (changed["won"]["value"], changed["lost"]["value"], changed["same"]["value"]) == (0.5, 0, 0.5)
    assert say["spread"]["value"] == 0.5
    assert say["score_sensitivity"]["value"] == 0.5
    assert say["mean"]["value"] == 0.75


def test_tables_and_records_say_the_same(store):
    whole = profile_text(full_profile(open_store(store).runs(), "test:first"))
    assert "test:first: the same items put otherwise" in whole
    assert "test:first: what each variant changes" in whole
    assert "(RStd, Zheng 2024) 43.3" in whole
    rows = list(csv.DictReader(io.StringIO(profile_text(full_profile(open_store(store).runs(), "test:first"), "csv"))))
    found = {(row["name"], row["metric"]): row for row in rows if row["kind"] == "variants"}
    assert float(found["say", "spread"]["value"]) == 0.5
    assert float(found["say@upper_case", "wrong to right"]["value"]) == 0.5
    assert ("say", "answer sensitivity") not in found


def test_the_leaderboard_shows_every_model(store, capsys):
    from click.testing import CliRunner

    from proctor.cli.main import cli

    said = CliRunner().invoke(cli, ["leaderboard", "--robustness", "--out", str(store)]).output
    assert "the same items put otherwise" in said
    assert "picks, test:first" in said
    assert "picks, baseline:random" in said
    data = json.loads(CliRunner().invoke(cli, ["leaderboard", "--robustness", "--format", "json", "--out", str(store)]).output)
    assert [(one["model"], one["task"]) for one in data[0]["variants"]][:2] == [
        ("test:first", "picks"),
        ("baseline:random", "picks"),
    ] or len(data[0]["variants"]) == 4


def test_items_of_their_own_are_no_variants_of_these(tmp_path):
    fresh = Task(**{**CHOICE, "task": "fresh", "variant_of": "picks", "data": [{**row, "id": f"new{row['id']}"} for row in ROWS]})
    proctor.run(Suite("s", [Weighted(Task(**CHOICE)), Weighted(fresh)]), First(), out=tmp_path)
    assert told(tmp_path) == []
