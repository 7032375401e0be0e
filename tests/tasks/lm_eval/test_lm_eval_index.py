"""The index of task files: what is in it, and when it is renewed."""

from __future__ import annotations

import os

import pytest

from proctor.errors import UsageError
from proctor.tasks.lm_eval import index as index_module
from proctor.tasks.lm_eval.index import read_index

TASK = "dataset_path: d\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index_module, "installed", lambda: None)
    place = tmp_path / "tasks"
    (place / "deep").mkdir(parents=True)
    (place / "one.yaml").write_text(f"task: one\ntag: [odd, small]\ninclude: base\n{TASK}")
    (place / "base").write_text("output_type: generate_until\n")
    (place / "deep" / "two.yaml").write_text(f"task: two\ntag: small\nprocess_docs: !function utils.f\n{TASK}")
    (place / "deep" / "utils.py").write_text("def f(docs): return docs\n")
    (place / "all.yaml").write_text("group: all\ntask: [one, two]\n")
    (place / "py.yaml").write_text("task: py\nclass: !function task.T\n")
    (place / "broken.yaml").write_text("task: [")
    return place


def test_tasks_groups_tags_and_what_is_broken(folder):
    found = read_index((str(folder),))
    assert {name: entry.kind for name, entry in found.tasks.items()} == {"one": "task", "two": "task", "py": "class"}
    assert list(found.groups) == ["all"]
    assert found.tags == {"odd": ["one"], "small": ["one", "two"]}
    assert [entry.path.rpartition("/")[2] for entry in found.broken] == ["broken.yaml"]
    assert found.tasks["two"].code == ["utils.py: f"]
    assert found.find("o*") == ["odd", "one"]
    with pytest.raises(UsageError, match="no task, group or tag 'onee'; did you mean 'one'"):
        found.find("onee")


def touch(path, text):
    path.write_text(text)
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))


def test_only_what_changed_is_read_again(folder, monkeypatch):
    read_index((str(folder),))
    read: list[str] = []
    load = index_module.load
    monkeypatch.setattr(index_module, "load", lambda path, cache: read.append(path.name) or load(path, cache))

    def renewed():
        read.clear()
        found = read_index((str(folder),))
        return found, list(read)

    assert renewed()[1] == ["broken.yaml"]  # which may be mended by another file
    (folder / "broken.yaml").unlink()
    assert renewed()[1] == []
    touch(folder / "base", "output_type: loglikelihood_rolling\n")
    found, again = renewed()
    assert again == ["one.yaml"]
    assert found.tasks["one"].output == "loglikelihood_rolling"
    (folder / "new.yaml").write_text(f"task: new\n{TASK}")
    assert renewed()[1] == ["new.yaml"]
    (folder / "new.yaml").unlink()
    found, again = renewed()
    assert again == []
    assert "new" not in found.tasks
    touch(folder / "deep" / "utils.py", "def g(docs): return docs\n")
    found, again = renewed()
    assert again == ["two.yaml"]
    assert "has no 'f'" in found.tasks["two"].problem


def test_what_was_missing_is_found_when_it_is_there(folder):
    (folder / "late.yaml").write_text("task: late\ninclude: nowhere\n" + TASK)
    assert "late" not in read_index((str(folder),)).tasks
    (folder / "nowhere").write_text("num_fewshot: 1\n")
    assert "late" in read_index((str(folder),)).tasks


def test_a_damaged_index_is_made_anew(folder):
    read_index((str(folder),))
    [kept] = (folder.parent / "cache" / "proctor" / "lm-eval").glob("*.index")
    kept.write_bytes(b"\x00nonsense")
    assert set(read_index((str(folder),)).tasks) == {"one", "two", "py"}


def test_a_later_folder_overrides_an_earlier_one(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.yaml").write_text(f"task: one\ninclude: {folder / 'one.yaml'}\nnum_fewshot: 3\n")
    found = read_index((str(folder), str(other)))
    assert found.tasks["one"].path == str(other / "mine.yaml")
    assert read_index((str(other), str(folder))).tasks["one"].path == str(folder / "one.yaml")


def test_without_an_installed_lm_eval_a_folder_must_be_named(folder):
    with pytest.raises(UsageError, match=r"lm_eval is not installed here.*--lm-eval-path"):
        read_index(())
    with pytest.raises(UsageError, match="no such folder"):
        read_index(("/nowhere/at/all",))
