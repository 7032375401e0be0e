"""Whole runs over pictures, sound and documents, on a server that looks at them."""

import base64
import json

import pytest
from looking_server import LookingServer

import proctor
from proctor.errors import ModelError
from proctor.suites.generators.drawing import blank, draw_shape, png


def run(server, tasks, tmp_path, options="?api=chat"):
    (found,) = proctor.run(tasks, f"{server.url}{options}#looker", out=tmp_path)
    return found


@pytest.mark.parametrize("name", ["shapes", "tones", "price_lists"])
def test_what_is_shown_arrives(tmp_path, name):
    with LookingServer() as server:
        seen = run(server, name, tmp_path)
        assert seen.manifest.tasks[0].main.value > 0.995, seen.attempts().select("item", "target", "text", "error").to_dicts()
    with LookingServer(blind=True) as server:
        assert run(server, name, tmp_path).manifest.tasks[0].main.value < 0.4


def test_anthropic_is_shown_documents(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk")
    with LookingServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1"))
        (seen,) = proctor.run("price_lists", "anthropic:looker", out=tmp_path)
    assert seen.manifest.tasks[0].main.value == 1.0


def test_where_a_shape_is_is_scored_by_its_box(tmp_path):
    with LookingServer() as server:
        attempts = run(server, "shapes", tmp_path).attempts()
    kinds = {json.loads(one)["kind"]: score for one, score in zip(attempts["metadata"], attempts["score"], strict=True)}
    assert len(kinds) == 7
    assert 0.97 < kinds["box"] <= 1
    assert all(score == 1 for kind, score in kinds.items() if kind != "box")


def test_a_runs_files_hold_hashes_and_no_bytes(tmp_path):
    with LookingServer() as server:
        seen = run(server, "tones", tmp_path)
        shown = json.loads(seen.attempts()["request"][0])["prompt"]["messages"][0]["media"]
        assert [sorted(one) for one in shown] == [["kind", "sha256", "size", "type"]]
        assert sum(path.stat().st_size for path in seen.folder.rglob("*") if path.is_file()) < 60_000
        asked = len(server.bodies)
        # The same sounds from another place are the same questions: nothing is asked again.
        built_in = proctor.load_task("tones")
        rows = [dict(item.fields) for item in built_in.items]
        for number, row in enumerate(rows):
            (tmp_path / f"{number}.wav").write_bytes(base64.b64decode(row["sound"]))
            row["sound"] = f"{number}.wav"
        keys = {
            "item": {"target": "answer"},
            "prompt": built_in.spec.prompt.template,
            "response": {"max_tokens": 16},
            "scoring": "contains",
        }
        reused = run(server, proctor.Task(task="other", base=tmp_path, data=rows, **keys), tmp_path)
        assert reused.attempts()["reused"].all()
        assert len(server.bodies) == asked


def test_a_choice_over_pictures_is_asked_for_its_letter(tmp_path):
    canvas = blank(40, 40)
    draw_shape(canvas, "circle", (4, 4, 36, 36), "blue")
    data = [{"id": "a", "photo": png(canvas), "colours": ["red", "blue"], "answer": "blue"}]
    item = {"choices": "colours", "target": "answer"}
    task = proctor.Task(task="t", data=data, item=item, prompt="{{ photo | image }} What colour is the circle?", response="choice")
    with LookingServer(reply={"choices": [{"message": {"content": "B"}}]}) as server:
        found = run(server, task, tmp_path)
    assert found.attempts()["answer"].to_list() == ["B"]
    assert found.manifest.tasks[0].main.value == 1.0
    assert "A. red" in str(server.bodies[-1])
    (guessed,) = proctor.run(task, "baseline:random", out=tmp_path)
    assert guessed.manifest.suite_hash == found.manifest.suite_hash


def test_a_model_of_text_alone_is_told_so_before_anything_is_asked(tmp_path):
    asked = []

    def blind(prompt):
        asked.append(prompt)
        return ""

    with pytest.raises(ModelError, match=r"task 'tones' shows sound, and .*blind takes text only; leave the task out for this model"):
        proctor.run(["arithmetic", "tones"], blind, out=tmp_path)
    assert not asked


def test_one_object_that_the_model_refuses_is_found_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    data = [{"id": "a", "sound": b"fLaC" + bytes(60), "target": "x"}]
    task = proctor.Task(task="t", data=data, prompt="{{ sound | audio }}", scoring="exact_match")
    with LookingServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        said = r"task 't', item 'a': \[audio/flac, 64 bytes.*\] cannot be shown to openai:m: the OpenAI API takes WAV and MP3"
        with pytest.raises(ModelError, match=said):
            proctor.run(task, "openai:m", out=tmp_path)
    assert not server.bodies
