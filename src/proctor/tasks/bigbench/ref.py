"""How tasks of BIG-bench are named: `bigbench:FOLDER-OR-FILE?compat=bigbench`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

from proctor.errors import UsageError, nearest

PREFIX = "bigbench:"


def is_ref(ref: str) -> bool:
    """Whether a name is that of BIG-bench tasks."""
    return ref.startswith(PREFIX)


def read_ref(ref: str, base: Path | None = None) -> tuple[Path, bool]:
    """(path, whether BIG-bench's own rules are kept to the letter) of a reference; paths start from `base`, by default the current folder.

    Raises:
        UsageError: no path, an unknown key or value.
    """
    path, _, query = ref.removeprefix(PREFIX).partition("?")
    said = dict(parse_qsl(query, keep_blank_values=True))
    for key in said:
        if key != "compat":
            raise UsageError(f"{ref}: unknown key '{key}'{nearest(key, ('compat',)) or ';'} the one key is compat")
    if said.get("compat", "bigbench") != "bigbench":
        raise UsageError(f"{ref}: compat: expected 'bigbench', got '{said['compat']}'")
    if not path:
        raise UsageError(f"{ref}: names no folder; write bigbench:FOLDER, where FOLDER holds a task.json or folders that do")
    return (base or Path()) / Path(path).expanduser(), "compat" in said


def write_ref(path: Path, compat: bool) -> str:
    """The reference that `read_ref` reads so."""
    return f"{PREFIX}{path}{'?compat=bigbench' if compat else ''}"
