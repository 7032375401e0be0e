"""`--variants` and `--confidence` on the command line: run, show, rescore, profile."""

import json

from proctor.tasks.load import load_suite

TASK = """
task: exam
data:
  items:
    - {id: a, q: "Which number is smaller than the others?", c: ["1", "2", "3"], target: 0}
    - {id: b, q: "And which is larger?", c: ["1", "2", "3"], target: 2}
item: {choices: c, target_as: index}
prompt: "{{ q }}\\n{{ options }}"
response: choice
confidence: verbal
variants: {name: curt, prompt: "{{ q }} {{ options }}"}
"""


def test_variants_are_run_shown_scored_anew_and_profiled(tmp_path, monkeypatch, type_in):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.yaml").write_text(TASK)
    out = type_in(
        "run", "exam.yaml", "-m", "baseline:random", "--variants", "declared, option_order", "--confidence", "p_true", "--out", "s"
    )
    assert "exam@curt" in out
    assert "exam@option_order" in out
    manifest = json.loads(next((tmp_path / "s").glob("*/manifest.json")).read_text())
    assert manifest["suite_source"] == "exam.yaml@declared,option_order"
    assert manifest["settings"] == {"confidence": ["p_true"]}
    assert [one["variant_of"] for one in manifest["tasks"]] == ["", "exam", "exam"]
    assert [one["weight"] for one in manifest["tasks"]] == [1, 0, 0]
    assert manifest["tasks"][2]["protocol"]["variant"]["order"] == "shuffle"
    assert [one["name"] for one in manifest["tasks"][1]["metrics"]] == ["acc", "p_true", "confidence_p_true"]
    assert manifest["tasks"][1]["metrics"][2]["stderr"] is not None
    assert len(load_suite(manifest["suite_source"]).tasks) == 3
    type_in("rescore", manifest["run"], "--out", "s", code=2)  # scored as before: nothing to do
    (tmp_path / "exam.yaml").write_text(TASK + "scoring: {metrics: [choice, {exact_match: {}}]}\n")
    anew = type_in("rescore", manifest["run"], "--out", "s")
    assert "exam@option_order" in anew
    profile = type_in("profile", "random", "--out", "s")
    assert "what each variant changes" in profile
    assert "exam@curt: P(True)" in profile
    shown = json.loads(type_in("show", "exam.yaml@curt", "--json"))
    assert shown["task"] == "exam@curt"
