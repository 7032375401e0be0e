"""Whether the code that a task file names is there, found without running any of it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from proctor.errors import nearest
from proctor.tasks.lm_eval.yaml_files import FunctionRef


def missing(ref: FunctionRef) -> str:
    """What is wrong with a reference, found without running anything; empty where nothing is, or where it cannot be known."""
    name = ref.name.rpartition(".")[2]
    try:
        changed = ref.file.stat().st_mtime_ns
    except OSError:
        return ""  # a module that is installed, perhaps: known when it is imported
    names = _names(str(ref.file), changed)
    if names is None:
        return ""
    if isinstance(names, str):
        return names
    return "" if name in names or "*" in names else f"{ref.file.name} has no '{name}'{nearest(name, names)}"


@functools.lru_cache(maxsize=4096)
def _names(path: str, changed: int) -> frozenset[str] | str | None:
    """The names a module defines; None where it cannot be read, a text where it is no Python. `changed` is when it was, as it may again."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except OSError:
        return None
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"{Path(path).name} is not Python: {error}"
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((one.asname or one.name).partition(".")[0] for one in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Call) and "globals" in ast.dump(node)[:200]:
            found.add("*")  # made while it runs
    return frozenset(found)
