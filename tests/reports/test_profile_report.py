"""A model's profile: who is meant, what stands out, and that every format says so."""

import csv
import io
import json

import pytest

from proctor.errors import UsageError
from proctor.reports.profile import bar, profile, profile_text


@pytest.fixture
def uneven(run, task):
    """One strong and one weak task among average ones; one guessed."""
    tasks = [task(f"t{i}", 0.6, 100, domain="average", capabilities=["reasoning"]) for i in range(6)]
    tasks += [
        task("reading", 0.9, 100, domain="language", capabilities=["reading"]),
        task("sums", 0.1, 100, domain="mathematics", states={"scored": 90, "unparsed": 10}),
        task("guessed", 0.30, 40, chance=0.25, domain="average"),
    ]
    return run("smollm2", tasks)


@pytest.mark.parametrize("name", ["smollm2", "mollm", "SmolLM", "abcd1234"])
def test_a_model_is_found_by_name_part_or_fingerprint(run, task, name):
    runs = [run("smollm2", [task("t", 0.5)], fingerprint="abcd123400000000"), run("baseline:random", [task("t", 0.5)])]
    found = profile(runs, name)
    assert (found.model, found.fingerprint) == ("smollm2", "abcd123400000000")


def test_an_exact_name_wins_over_longer_ones(run, task):
    runs = [run("qwen", [task("t", 0.5)]), run("qwen-large", [task("t", 0.5)])]
    assert profile(runs, "qwen").model == "qwen"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2", "no model 'smolm2' among the runs; did you mean 'smollm2'? There are: baseline:majority, baseline:random, smollm2"),
        ("zzz", "no model 'zzz' among the runs. There are: baseline:majority, baseline:random, smollm2"),
        ("baseline", "'baseline' could be any of baseline:majority, baseline:random: write more of the name"),
    ],
)
def test_an_unclear_name_is_one_message(run, task, name, message):
    runs = [run(model, [task("t", 0.5)]) for model in ("smollm2", "baseline:random", "baseline:majority")]
    with pytest.raises(UsageError) as caught:
        profile(runs, name)
    assert str(caught.value) == message


def test_two_fingerprints_of_one_name_are_not_mixed(run, task):
    runs = [run("m", [task("t", 0.5)], fingerprint="aaaa000000000000"), run("m", [task("t", 0.9)], fingerprint="bbbb000000000000")]
    with pytest.raises(UsageError, match=r"different weights or settings.*aaaa00000000, bbbb00000000"):
        profile(runs, "m")
    assert profile(runs, "bbbb").parts[0].row.tasks["t"].main.value == 0.9


def test_no_runs_is_one_message():
    with pytest.raises(UsageError, match="no runs here yet"):
        profile([], "smollm2")


def test_a_profile_has_a_part_per_board(run, task):
    found = profile([run("m", [task("t", 0.5)]), run("m", [task("u", 0.5)], suite="other"), run("n", [task("t", 0.1)])], "m")
    assert [part.board.suite for part in found.parts] == ["core", "other"]
    assert {part.row.model for part in found.parts} == {"m"}


def test_words_say_what_stands_out(uneven):
    shown = profile_text(profile([uneven], "smollm2"), width=300)
    mean = (6 * 0.6 + 0.1 + 0.05 / 0.75) / 8
    assert f"Strong for this model: reading 90.0 ± 3.0, {100 * (0.9 - mean):.0f} points above its other tasks." in shown
    below = (6 * 0.6 + 0.9 + 0.05 / 0.75) / 8 - 0.1
    assert f"sums 10.0 ± 3.0, {100 * below:.0f} points below its other tasks" in shown
    assert "Not distinguishable from guessing: guessed." in shown
    assert "reading ▲" in shown
    assert "sums ▼" in shown
    assert "u10" in shown
    assert uneven.signature in shown


def test_json_and_csv_hold_the_same_profile(uneven):
    (told,) = json.loads(profile_text(profile([uneven], "smollm2"), "json"))
    assert told["strengths"] == ["reading"]
    assert "sums" in told["weaknesses"]
    assert told["at_chance"] == ["guessed"]
    assert told["tasks"]["reading"]["difference"]["p_value"] < 1e-6
    rows = list(csv.DictReader(io.StringIO(profile_text(profile([uneven], "smollm2"), "csv"))))
    tasks = {row["name"]: row for row in rows if row["kind"] == "task"}
    assert float(tasks["reading"]["difference"]) == told["tasks"]["reading"]["difference"]["value"]
    assert float(tasks["guessed"]["chance_corrected"]) == pytest.approx(0.05 / 0.75)
    domains = {row["name"]: float(row["chance_corrected"]) for row in rows if row["kind"] == "domain"}
    assert domains["average"] == pytest.approx((6 * 0.6 + 0.05 / 0.75) / 7)
    assert {row["name"] for row in rows if row["kind"] == "capability"} == {"reasoning", "reading"}


def test_an_incomplete_run_has_a_profile_without_composite(uneven):
    uneven.state = "stopped"
    shown = profile_text(profile([uneven], "smollm2"), width=100)
    assert "No composite: the run is not complete." in shown


@pytest.mark.parametrize(
    ("value", "stderr", "drawn"),
    [
        (0.5, 0.0, "█████"),
        (0.5, 0.1, "████▒▒"),
        (1.0, 0.1, "█████████▒"),
        (0.0, 0.2, "▒▒"),
        (-0.3, 0.01, "<"),
        (-0.3, 0.2, "<"),
        (-0.3, 0.5, "▒▒"),
        (None, None, ""),
        (0.3, None, "███"),
        (1.0, 0.0, "█" * 10),
    ],
)
def test_bars(value, stderr, drawn):
    assert bar(value, stderr, 10) == drawn


def test_bars_never_overflow():
    for tenth in range(-20, 21):
        for stderr in (0.0, 0.3, 5.0):
            assert len(bar(tenth / 10, stderr, 10)) <= 10
