"""The hash of a large file's whole content, worked out once: about a second per gigabyte."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

SMALL = 1 << 20
"""Files smaller than this are hashed anew each time."""

_REMEMBERED = 1000
_SETTLED = 2 * 10**9  # ns; a file written later than that may change again without another time of change


def cache_folder() -> Path:
    """Where Proctor keeps what it could work out again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "proctor"


def file_hash(path: Path) -> str:
    """BLAKE2b of the file's content, 32 hexadecimal digits.

    Remembered in `hashes.json` of the cache folder by real path, size, time of the last change (ns) and inode, so that only the first look
    at a large file reads it.
    """
    path = Path(os.path.realpath(path))
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        if stat.st_size >= SMALL:
            known = _read(cache_folder() / "hashes.json").get(str(path))
            if isinstance(known, list) and known[:-1] == state and isinstance(known[-1], str):
                return known[-1]
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        after = os.fstat(file.fileno())
    unchanged = state == [after.st_size, after.st_mtime_ns, after.st_ino]
    if stat.st_size >= SMALL and unchanged and time.time_ns() - stat.st_mtime_ns > _SETTLED:
        _remember(str(path), [*state, digest])
    return digest


def _read(file: Path) -> dict[str, object]:
    """What is remembered; nothing where the file is missing or broken."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(path: str, entry: list[object]) -> None:
    """Write the file anew and put it in place at once. Where that fails, only time is lost."""
    file = cache_folder() / "hashes.json"
    found = _read(file)
    found.pop(path, None)  # the latest stands last
    found[path] = entry
    with contextlib.suppress(OSError, UnicodeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix=".hashes-", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(dict(list(found.items())[-_REMEMBERED:]), out)
            Path(new).replace(file)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
