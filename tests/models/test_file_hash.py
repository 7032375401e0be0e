import hashlib
import os
from pathlib import Path

import pytest

from proctor.models import file_hash as module
from proctor.models.file_hash import file_hash
from proctor.models.weights import Options, find_files, fingerprint

MIB = 1 << 20


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "proctor" / "hashes.json"


def write(file, content, at=1_000_000_000):
    file.write_bytes(content)
    os.utime(file, ns=(at, at))


def test_every_byte_of_a_large_file_counts(tmp_path):
    large = tmp_path / "large.gguf"
    seen = set()
    for second, place in enumerate((None, 4, MIB + 1, 5 * MIB + 77_777, 9 * MIB + 3, 12 * MIB - 1)):
        content = bytearray(b"GGUF") + bytearray(12 * MIB - 4)
        if place is not None:
            content[place] = 1
        write(large, content, (second + 1) * 10**9)
        seen.add(fingerprint(find_files("gguf", str(large), Options(), "gguf:x")))
    assert len(seen) == 6


def test_a_large_file_is_read_once(tmp_path, monkeypatch, cache):
    large, link = tmp_path / "large", tmp_path / "link"
    write(large, bytes(2 * MIB))
    expected = hashlib.blake2b(bytes(2 * MIB), digest_size=16).hexdigest()
    assert file_hash(large) == expected
    link.symlink_to(large)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert file_hash(large) == file_hash(link) == expected
    assert [p.name for p in cache.parent.iterdir()] == ["hashes.json"]
    write(large, b"1" + bytes(2 * MIB - 1), at=1_000_000_001)
    changed = file_hash(large)
    assert changed == file_hash(link) != expected
    write(tmp_path / "other", bytes(2 * MIB), at=1_000_000_001)
    (tmp_path / "other").replace(large)  # same size and time, another inode
    assert file_hash(large) == expected


def test_a_file_just_written_is_read_again(tmp_path, cache):
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * MIB))
    file_hash(large)
    assert not cache.exists()


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"\xff", None])
def test_a_broken_or_unwritable_memory_costs_only_time(tmp_path, cache, broken):
    cache.parent.parent.mkdir()
    if broken is None:
        Path(cache.parent).write_text("a file where the folder should be")
    else:
        cache.parent.mkdir()
        cache.write_bytes(broken)
    large = tmp_path / "large"
    write(large, bytes(MIB))
    assert file_hash(large) == file_hash(large) == hashlib.blake2b(bytes(MIB), digest_size=16).hexdigest()


def test_only_the_latest_are_remembered(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    for name in "abc":
        write(tmp_path / name, bytes(MIB))
        file_hash(tmp_path / name)
    assert b"/a" not in cache.read_bytes()
    assert all(f"/{name}".encode() in cache.read_bytes() for name in "bc")
