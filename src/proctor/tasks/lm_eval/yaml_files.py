"""Task files of lm-evaluation-harness as plain values: `include` merged, `!function` kept as a reference, nothing executed.

They are YAML 1.1, as PyYAML's safe loader reads it (`no` is false), because that is how the harness reads them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from proctor.errors import TaskError, nearest

MAX_BYTES = 20_000_000
MAX_DEPTH = 100
MAX_VALUES = 1_000_000  # with every alias written out
_DEEP = re.compile(rb"^[ \t\-?:]{400,}", re.MULTILINE)


class FunctionRef(Struct, frozen=True):
    """A `!function` of a task file: code that runs only when it is trusted.

    Attributes:
        name: as written, `module.function`.
        base: the folder of the file that says it; the module is looked for there first.
    """

    name: str
    base: str

    @property
    def file(self) -> Path:
        """Where the module would lie beside the task file; it need not exist."""
        return Path(self.base) / (self.name.rpartition(".")[0].replace(".", "/") + ".py")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    base = ""


def _function(loader: Any, node: Any) -> FunctionRef:
    if not isinstance(node, yaml.ScalarNode) or "." not in node.value.strip():
        raise yaml.constructor.ConstructorError(None, None, "expected !function module.function", node.start_mark)
    return FunctionRef(node.value.strip(), loader.base)


def _unknown(loader: Any, node: Any) -> Any:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not read here", node.start_mark)


_Loader.add_constructor("!function", _function)
_Loader.add_constructor(None, _unknown)


class Loaded(Struct):
    """A task file with what it includes.

    Attributes:
        config: its keys, those of included files under its own.
        files: every file that was read, itself first; their state says whether this is still what they say.
    """

    config: dict[str, Any]
    files: list[Path]


def load(path: Path, cache: dict[Path, dict[str, Any]] | None = None) -> Loaded:
    """The keys of a task file.

    Args:
        path: the file.
        cache: single files that were read before, by path; of many tasks that include one template it is read once.

    Raises:
        TaskError: a file that cannot be read, is no YAML mapping, is nested or aliased beyond measure, or includes itself.
    """
    files: list[Path] = []
    config = _merged(path, cache if cache is not None else {}, files, ())
    return Loaded(config, files)


def _merged(path: Path, cache: dict[Path, dict[str, Any]], files: list[Path], above: tuple[Path, ...]) -> dict[str, Any]:
    # As in the harness a file may be included once in all: a second time is a cycle, or as good as one.
    if path in files:
        chain = " > ".join(one.name for one in (*above, path))
        raise TaskError(f"{above[0] if above else path}: include: '{path.name}' is included twice or includes itself: {chain}")
    files.append(path)
    own = cache.get(path)
    if own is None:
        own = _single(path, above)
        cache[path] = own
    if "include" not in own:
        return dict(own)
    own = dict(own)
    includes = own.pop("include")
    merged: dict[str, Any] = {}
    for one in includes if isinstance(includes, list) else [includes]:
        if not isinstance(one, str):
            raise TaskError(f"{path}: include: expected a path or a list of paths, got {one!r:.80}")
        part = _merged(_resolved(path.parent / one), cache, files, (*above, path))
        part.pop("task_list", None)  # names the tasks of that file alone
        merged.update(part)
    merged.update(own)
    return merged


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return path


def _single(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TaskError(f"{path}: larger than {MAX_BYTES:,} bytes: not a task file")
        data = path.read_bytes()
    except FileNotFoundError:
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        by = f"{above[-1]}: include: " if above else ""
        raise TaskError(f"{by}{path}: no such file{nearest(path.name, beside)}") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from None
    value = parse(data, str(path), str(path.parent))
    if not isinstance(value, dict):
        raise TaskError(f"{path}: expected a mapping (`key: value` lines), got {type(value).__name__}")
    return {str(key): one for key, one in value.items()}


def parse(data: bytes, where: str, base: str) -> Any:
    """The value of a YAML text; `!function` references start from the folder `base`. Raises `TaskError`, which opens with `where`."""
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH or _DEEP.search(data):
        _check_depth(data, where)
    try:
        loader = _Loader(data)
        try:
            loader.base = base
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TaskError(f"{where}{f':{mark.line + 1}' if mark else ''}: not a task file: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise TaskError(f"{where}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if b"&" in data and b"*" in data:
        _check_size(value, where)
    return value


def _check_depth(data: bytes, where: str) -> None:
    """The parser recurses without a bound where it builds values, and not where it tells of them one by one."""
    depth = 0
    try:
        for event in yaml.parse(data, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                at = event.start_mark.line + 1 if event.start_mark else 1
                raise TaskError(f"{where}:{at}: nested deeper than {MAX_DEPTH} levels")
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TaskError(f"{where}{line}: not a task file: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TaskError(f"{where}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _check_size(value: Any, where: str) -> None:
    """Aliases cost nothing until their values are written out; a few lines can stand for more than fits in any memory."""
    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(one: Any, depth: int) -> int:
        if not isinstance(one, dict | list):
            return 1
        key = id(one)
        if key in sizes:
            return sizes[key]
        if key in under_way or depth > MAX_DEPTH:
            raise TaskError(f"{where}: an alias contains itself, or values are nested deeper than {MAX_DEPTH} levels")
        under_way.add(key)
        total = 1 + sum(size(child, depth + 1) for child in (one.values() if isinstance(one, dict) else one))
        under_way.discard(key)
        if total > MAX_VALUES:
            raise TaskError(f"{where}: aliases expand to more than {MAX_VALUES:,} values")
        sizes[key] = total
        return total

    size(value, 0)
