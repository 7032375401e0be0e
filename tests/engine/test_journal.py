"""The journal: whole lines survive anything, one writer at a time."""

import errno
import os
import threading

import pytest

from proctor.engine import journal as journal_module
from proctor.engine.journal import Entry, Journal
from proctor.errors import StoreError
from proctor.types import Response


def entry(k: int, text: str = "yes", **keys) -> Entry:
    return Entry("t", f"i{k}", 0, f"h{k}", Response(text=text, **keys))


def test_what_was_appended_is_there_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    entries = [entry(k, "é\n" * k * 5000, latency=0.1 * k) for k in range(5)]
    with Journal(path) as journal:
        for one in entries:
            journal.append(one)
        assert [journal.get(("t", f"i{k}", 0)) for k in range(5)] == entries
    with Journal(path) as journal:
        assert [journal.get(("t", f"i{k}", 0)) for k in range(5)] == entries
        assert len(journal) == 5
        assert journal.get(("t", "i9", 0)) is None


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_short_is_dropped_and_written_over(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(entry(0))
        journal.append(entry(1))
    os.truncate(path, path.stat().st_size - cut)
    with Journal(path) as journal:
        assert journal.answered(("t", "i0", 0))
        assert not journal.answered(("t", "i1", 0))
        journal.append(entry(2))
    with Journal(path) as journal:
        assert len(journal) == 2
        assert journal.get(("t", "i2", 0)) == entry(2)


def test_a_failed_attempt_is_not_answered_until_it_is(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(Entry("t", "i0", 0, "h0", Response(finish="error", error="HTTP 500")))
        assert (len(journal), journal.failed, journal.answered(("t", "i0", 0))) == (1, 1, False)
        journal.append(entry(0))
        assert (len(journal), journal.failed, journal.answered(("t", "i0", 0))) == (1, 0, True)


def test_two_processes_cannot_write_one_run(tmp_path):
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(StoreError, match="another process is running this run"):
        Journal(tmp_path / "journal.jsonl")
    with Journal(tmp_path / "journal.jsonl"):
        pass


def test_damage_in_the_middle_is_said_and_nothing_is_thrown_away(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(entry(0))
        journal.append(entry(1))
    before = path.read_bytes().replace(b'"item":"i0"', b'"item":"i0')
    path.write_bytes(before)
    with pytest.raises(StoreError, match="line at byte 0 is damaged"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    real = os.write
    with Journal(path) as journal:
        journal.append(entry(0))
        room = [40]

        def little_room(file: int, data: bytes) -> int:
            if room[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = real(file, data[: room[0]])
            room[0] -= written
            return written

        monkeypatch.setattr(os, "write", little_room)
        with pytest.raises(StoreError, match="No space left on device; everything answered before is kept"):
            journal.append(entry(1))
        monkeypatch.undo()
        journal.append(entry(2))
    with Journal(path) as journal:
        assert [journal.get(("t", f"i{k}", 0)) for k in range(3)] == [entry(0), None, entry(2)]


def test_no_answer_waits_for_the_disk(tmp_path, monkeypatch):
    """Lines are written at once while an earlier group of them is being brought to the disk."""
    go_on, begun = threading.Event(), threading.Event()
    synced = []

    def slow_disk(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        begun.set()
        assert go_on.wait(20)

    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(os, "fsync", slow_disk)
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(entry(0))
        assert begun.wait(20)
        for k in range(1, 5):
            journal.append(entry(k))
        assert path.read_bytes().count(b"\n") == 5
        assert synced == [path.read_bytes().index(b"\n") + 1]
        go_on.set()
        journal.sync()
        assert synced[-1] == path.stat().st_size


def test_a_disk_that_fails_behind_the_back_is_said_at_the_next_answer(tmp_path, monkeypatch):
    def broken_disk(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        monkeypatch.setattr(journal_module, "SYNC_SECONDS", 0.0)
        monkeypatch.setattr(os, "fsync", broken_disk)
        journal.append(entry(0))
        for thread in threading.enumerate():
            if thread.name == "proctor-journal":
                thread.join()
        with pytest.raises(StoreError, match="Input/output error; everything answered before is kept"):
            journal.append(entry(1))
        monkeypatch.undo()
        journal.sync()
    with Journal(path) as journal:
        assert journal.answered(("t", "i0", 0))


def test_tasks_and_epochs_are_told_apart(tmp_path):
    path = tmp_path / "journal.jsonl"
    keys = [("t", "i", 0), ("t", "i", 1), ("u", "i", 0)]
    with Journal(path) as journal:
        for number, key in enumerate(keys):
            journal.append(Entry(*key, f"h{number}", Response(text=str(number))))
        journal.append(Entry(*keys[0], "h9", Response(text="again")))
        assert len(journal) == 3
    with Journal(path) as journal:
        assert [journal.get(key).response.text for key in keys] == ["again", "1", "2"]
        assert journal.get(("u", "i", 1)) is None
        assert not journal.answered(("v", "i", 0))
