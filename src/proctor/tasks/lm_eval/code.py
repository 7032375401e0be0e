"""The Python code of task files: found and run only where the user said that it may.

Its modules see the `datasets` and `lm_eval` that are installed. Where `datasets` is not, a stand-in offers what task code commonly takes of
it; where `lm_eval` is not, but the task files lie in its package, the modules of that package that need nothing else can be imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proctor.canonical import content_hash
from proctor.errors import TaskError, nearest
from proctor.tasks.lm_eval.code_eval import evaluate_in_the_sandbox
from proctor.tasks.lm_eval.table import Documents, concatenate_datasets
from proctor.tasks.lm_eval.yaml_files import FunctionRef


def untrusted(refs: list[FunctionRef] | tuple[FunctionRef, ...], where: str) -> TaskError:
    """The error that says what would run."""
    by_file: dict[str, list[str]] = {}
    for ref in refs:
        by_file.setdefault(str(ref.file) if ref.file.exists() else ref.name.rpartition(".")[0], []).append(ref.name.rpartition(".")[2])
    listed = "; ".join(f"{file}: {', '.join(dict.fromkeys(names))}" for file, names in by_file.items())
    return TaskError(f"{where}: the task runs Python code of its own, which is not run unless you say --trust-task-code: {listed}")


def load_function(ref: FunctionRef, where: str) -> Any:
    """The function or class behind a reference; its module is imported. Raises `TaskError` where that fails, opened by `where`."""
    module_name, _, name = ref.name.rpartition(".")
    try:
        module = _module(ref.file) if ref.file.exists() else importlib.import_module(module_name)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        advice = f"; install it: pip install {missing}" if missing and importlib.util.find_spec(missing) is None else ""
        raise TaskError(f"{where}: !function {ref.name}: its module cannot be imported: {error}{advice}") from None
    except Exception as error:
        raise TaskError(f"{where}: !function {ref.name}: its module cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise TaskError(f"{where}: !function {ref.name}: '{module_name}' has no '{name}'{nearest(name, dir(module))}")
    return getattr(module, name)


def code_hash(refs: list[FunctionRef] | tuple[FunctionRef, ...]) -> dict[str, str]:
    """A hash of each file that holds code of the task, by its name; nothing is run."""
    found: dict[str, str] = {}
    for ref in refs:
        path = ref.file
        if path.exists():
            found[path.name] = content_hash(path.read_text(encoding="utf-8", errors="replace"))
        else:
            found[ref.name.rpartition(".")[0]] = ""
    return found


def _module(path: Path) -> types.ModuleType:
    """The module of a file: one of `lm_eval.tasks` where it lies there, so that its imports find what is beside it."""
    path = path.resolve()
    package = next((one for one in path.parents if one.name == "tasks" and one.parent.name == "lm_eval"), None)
    if package is not None:
        relative = path.relative_to(package).with_suffix("")
        if all("." not in part for part in relative.parts):
            with _packages(package), evaluate_in_the_sandbox(path):
                return importlib.import_module(".".join(("lm_eval.tasks", *relative.parts)))
    # Of another folder: a package of its own name, so that `from .other import …` works as well.
    folder = f"proctor_task_code_{content_hash(str(path.parent), 12)}"
    if folder not in sys.modules:
        sys.modules[folder] = _package(folder, path.parent)
    name = f"{folder}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    with _packages(None), evaluate_in_the_sandbox(path):
        return importlib.import_module(name)


def _package(name: str, folder: Path) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # others look whether a package is there, and stumble over none
    module.__path__ = [str(folder)]
    return module


@contextmanager
def _packages(tasks: Path | None) -> Iterator[None]:
    """Stand-ins: for `datasets` while a module is imported, for `lm_eval` where the files lie in a package that is not installed here."""
    stand_in = "datasets" not in sys.modules and importlib.util.find_spec("datasets") is None
    if stand_in:
        sys.modules["datasets"] = _datasets()
    if tasks is not None and "lm_eval" not in sys.modules and importlib.util.find_spec("lm_eval") is None:
        sys.modules["lm_eval"] = _package("lm_eval", tasks.parent)
    ours = "lm_eval" in sys.modules and not hasattr(sys.modules["lm_eval"], "__file__")
    if tasks is not None and ours and "lm_eval.tasks" not in sys.modules:
        # Its own __init__ imports all of the harness, of which the code of a task needs little.
        sys.modules["lm_eval.tasks"] = _package("lm_eval.tasks", tasks)
    try:
        yield
    finally:
        if stand_in:
            del sys.modules["datasets"]


def _datasets() -> types.ModuleType:
    module = types.ModuleType("datasets")
    module.__spec__ = importlib.machinery.ModuleSpec("datasets", None)

    def missing(name: str) -> Any:
        raise AttributeError(f"the code of the task uses datasets.{name}, which needs the library: pip install datasets")

    made: dict[str, Any] = {
        "Dataset": Documents,
        "DatasetDict": dict,
        "concatenate_datasets": concatenate_datasets,
        "__getattr__": missing,
        "__version__": "4.0.0",
    }
    for name, value in made.items():
        setattr(module, name, value)
    return module


def run_documents(function: Callable[..., Any], documents: Documents, what: str, where: str) -> Documents:
    """What a `process_docs` makes of documents. Raises `TaskError` where it fails or gives no documents."""
    try:
        made = function(documents)
        if isinstance(made, Documents):
            return made
        return Documents([dict(row) for row in made])
    except Exception as error:
        raise TaskError(f"{where}: {what} failed: {type(error).__name__}: {error}") from error
