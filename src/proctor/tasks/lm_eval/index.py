"""What tasks, groups and tags there are: an index over folders of task files, kept between runs and renewed where a file has changed.

Of a renewed index only the changed files are read again. The index lies in `$XDG_CACHE_HOME/proctor/lm-eval`, or `~/.cache/…`; where it
cannot be written every command reads all files anew.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from proctor.canonical import content_hash
from proctor.errors import TaskError, UsageError, nearest
from proctor.tasks.lm_eval.yaml_files import FunctionRef, load

FORMAT = 2  # raised when an index is made otherwise
_SKIPPED = ("__pycache__", ".ipynb_checkpoints")

Kind = Literal["task", "class", "group"]
Stamp = tuple[int, int]  # time of change in nanoseconds, and size


class Entry(Struct):
    """A task file.

    Attributes:
        name: of the task or group; empty for a file that is neither.
        kind: `task`, `class` (a Python task) or `group`.
        path: the file.
        files: every file it rests on, itself first; of a file that cannot be read, none.
        tags: the tags it carries.
        output: `output_type`.
        code: the files and functions of its own that would run, `utils.py: process_docs`.
        problem: why it cannot be run, in a line; empty where nothing speaks against it.
    """

    name: str
    kind: Kind
    path: str
    files: list[str]
    tags: list[str] = field(default_factory=list)
    output: str = ""
    code: list[str] = field(default_factory=list)
    problem: str = ""


class _Kept(Struct):
    """The index of a folder as it lies on disk: entries, and the state of each file when it was read."""

    format: int
    root: str
    entries: list[Entry]
    stamps: dict[str, Stamp]


class Index(Struct):
    """Everything that can be named.

    Attributes:
        tasks: leaf tasks by name, Python tasks among them.
        groups: groups by name.
        tags: names of the tasks of each tag.
        broken: files that are no task file, and why.
    """

    tasks: dict[str, Entry]
    groups: dict[str, Entry]
    tags: dict[str, list[str]]
    broken: list[Entry]

    def find(self, name: str) -> list[str]:
        """The tasks, groups and tags that a name or glob stands for. Raises `UsageError` where there is none."""
        if name in self.tasks or name in self.groups or name in self.tags:
            return [name]
        known = {**self.tasks, **self.groups, **self.tags}
        if any(sign in name for sign in "*?["):
            # As in the harness a glob is matched against groups and tags too; what one stands for already is not named again.
            found = [one for one in sorted(known) if fnmatchcase(one, name)]
            if found:
                return found
        raise UsageError(
            f"lm-eval has no task, group or tag '{name}'{nearest(name, known) or ';'} they are listed by: proctor list tasks lm-eval"
        )


def installed() -> Path | None:
    """The task files of the `lm_eval` that is installed here; it is not imported. None where there is none."""
    try:
        found = importlib.util.find_spec("lm_eval")
    except (ImportError, ValueError):
        return None
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "tasks").is_dir():
            return Path(place) / "tasks"
    return None


def folders(paths: Iterable[str]) -> list[Path]:
    """Where task files are looked for, earlier ones first. Raises `UsageError` for a path that is no folder, and where there is nothing."""
    found = [place] if (place := installed()) else []
    for path in map(Path, paths):
        if not path.is_dir():
            raise UsageError(f"{path}: no such folder; --lm-eval-path names folders of task files")
        # Named by the package's folder, as pip shows it, its tasks are meant.
        inside = path / "tasks"
        whole = path / "lm_eval" / "tasks"
        found.append(whole if whole.is_dir() else inside if inside.is_dir() and path.name == "lm_eval" else path)
    if not found:
        raise UsageError("lm_eval is not installed here: install it (pip install lm-eval), or name a folder of task files: --lm-eval-path")
    return [one.resolve() for one in dict.fromkeys(found)]


def read_index(paths: Iterable[str]) -> Index:
    """The index over an installed `lm_eval` and further folders; a later folder's names go before an earlier one's."""
    tasks: dict[str, Entry] = {}
    groups: dict[str, Entry] = {}
    tags: dict[str, list[str]] = {}
    broken: list[Entry] = []
    for root in folders(paths):
        of_root: dict[str, Entry] = {}
        for entry in _entries(root):
            if not entry.name:
                broken.append(entry)
            elif entry.name not in of_root:  # within a folder the first wins
                of_root[entry.name] = entry
        for name, entry in of_root.items():
            tasks.pop(name, None), groups.pop(name, None)
            (groups if entry.kind == "group" else tasks)[name] = entry
            for tag in entry.tags if entry.kind != "group" else ():
                if name not in tags.setdefault(tag, []):
                    tags[tag].append(name)
    return Index(tasks, groups, {tag: sorted(names) for tag, names in tags.items()}, broken)


def _entries(root: Path) -> list[Entry]:
    place = _place(root)
    kept = _Kept(FORMAT, str(root), [], {})
    try:
        read = msgspec.msgpack.decode(place.read_bytes(), type=_Kept)
        if (read.format, read.root) == (FORMAT, str(root)):
            kept = read
    except (OSError, msgspec.MsgspecError):
        pass
    now: dict[str, Stamp] = dict(_walk(str(root)))
    paths = sorted(now)
    now |= {path: there for path in kept.stamps if path not in now and (there := _stamp(path))}
    known = {entry.path: entry for entry in kept.entries}
    if now == kept.stamps and len(paths) == len(known) and all(entry.files for entry in kept.entries):
        return kept.entries
    changed = {path for path in now.keys() | kept.stamps if now.get(path) != kept.stamps.get(path)}
    cache: dict[Path, dict[str, Any]] = {}
    entries: list[Entry] = []
    for path in paths:
        entry = known.get(path)
        entries.append(_entry(Path(path), cache) if entry is None or not entry.files or not changed.isdisjoint(entry.files) else entry)
    used = {*paths, *(file for entry in entries for file in entry.files)}
    _write(place, _Kept(FORMAT, str(root), entries, {file: there for file in used if (there := now.get(file) or _stamp(file))}))
    return entries


def _walk(folder: str) -> Iterator[tuple[str, Stamp]]:
    with os.scandir(folder) as inside:
        for one in inside:
            if one.is_dir():
                if one.name not in _SKIPPED:
                    yield from _walk(one.path)
            elif one.name.endswith(".yaml"):
                state = one.stat()
                yield one.path, (state.st_mtime_ns, state.st_size)


def _stamp(path: str) -> Stamp | None:
    try:
        state = os.stat(path)  # noqa: PTH116 - a path object for each of fifteen thousand files costs more than looking at them
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _entry(path: Path, cache: dict[Path, dict[str, Any]]) -> Entry:
    from proctor.tasks.lm_eval.config import functions_of, problem_of

    try:
        loaded = load(path, cache)
    except TaskError as error:
        return Entry("", "task", str(path), [], problem=str(error))  # looked at anew each time: what is missing may be there then
    config = loaded.config
    files = [str(one) for one in loaded.files]
    kind: Kind = "class" if "class" in config else "group" if "group" in config else "task"
    name = config.get("group" if kind == "group" else "task")
    if not isinstance(name, str):
        return Entry("", kind, str(path), files, problem="names no task: expected the key 'task', 'group' or 'class'")
    tags = config.get("tag") or []
    tags = [str(tag) for tag in (tags if isinstance(tags, list) else [tags])]
    refs = functions_of(config)
    problem = ""
    if kind == "task":
        problem = problem_of(config, str(path))
        files += [str(one.file) for one in refs]
    return Entry(
        name, kind, str(path), list(dict.fromkeys(files)), tags, str(config.get("output_type") or "generate_until"), _code(refs), problem
    )


def _code(refs: list[FunctionRef]) -> list[str]:
    return list(dict.fromkeys(f"{ref.file.name}: {ref.name.rpartition('.')[2]}" for ref in refs))


def _place(root: Path) -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "proctor" / "lm-eval" / f"{content_hash(str(root))}.index"


def _write(place: Path, kept: _Kept) -> None:
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.msgpack.encode(kept))
        part.replace(place)
    except OSError:
        pass  # what cannot be kept is read again next time
