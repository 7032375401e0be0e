"""Rows from a Python function of the user's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from proctor.errors import DataError, ProctorError, nearest
from proctor.tasks.sources import Table, plain_rows
from proctor.tasks.spec import DataSpec


def read_python(spec: DataSpec, base: Path) -> tuple[Table, str]:
    """The rows that `module:function` yields when called with `args` (and `seed`, `size` where given), and their origin.

    A parameter `base` gets the folder of the task file.

    The module is looked for beside the task file first, then among the installed ones. `sys.path` is as before afterwards, and modules
    found beside the task file do not stay imported, so that two folders may use one name.

    Raises:
        DataError: no such module or function, wrong arguments, an exception in it, or rows that are not mappings of JSON values.
    """
    reference = spec.python or ""
    module_name, _, attribute = reference.partition(":")
    label = f"data.python: '{reference}'"
    with importable(base):
        function = find_function(module_name, attribute, base, label)
        arguments = dict(spec.args)
        for key in ("seed", "size"):
            if getattr(spec, key) is not None:
                arguments.setdefault(key, getattr(spec, key))
        folder = {"base": str(base)} if "base" not in arguments and _takes_base(function) else {}
        _check_arguments(function, arguments | folder, label)
        try:
            result = function(**arguments, **folder)
            rows = list(result) if not isinstance(result, Mapping | str | bytes) and hasattr(result, "__iter__") else None
        except ProctorError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may fail with anything
            raise DataError(f"{label} failed: {_reason(error)}") from None
    if rows is None:
        raise DataError(f"{label} returned {type(result).__name__}; expected it to yield (or return a list of) mappings, one per item")
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return Table(reference, plain_rows(rows, reference)), f"{reference}({given})"


@contextmanager
def importable(base: Path) -> Iterator[None]:
    """The folder first on `sys.path`; on leaving, the path and what was imported from the folder are undone."""
    path, modules = list(sys.path), set(sys.modules)
    folder = base.resolve()
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).resolve().parent.is_relative_to(folder) and "site-packages" not in Path(file).parts:
                del sys.modules[name]


def find_function(module_name: str, attribute: str, base: Path, label: str) -> Callable[..., Any]:
    try:
        module = _beside(module_name, base) or importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            hint = nearest(module_name, [one.stem for one in base.glob("*.py")])
            raise DataError(f"{label}: there is no module '{error.name}', neither installed nor beside the task file{hint}") from None
        raise DataError(f"{label} cannot be imported: {_reason(error)}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs the user's code
        raise DataError(f"{label} cannot be imported: {_reason(error)}") from None
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            hint = nearest(name, [one for one in vars(found) if not one.startswith("_")])
            raise DataError(f"{label}: module '{module_name}' has no '{name}'{hint}")
        found = getattr(found, name)
    if not callable(found):
        raise DataError(f"{label} is a {type(found).__name__}; expected a function")
    return found  # type: ignore[no-any-return]


def _beside(module_name: str, base: Path) -> ModuleType | None:
    """A module file beside the task file, under a name of its own so that it neither shadows nor is shadowed by another module."""
    if "." in module_name:
        return None
    path = (base / f"{module_name}.py").resolve()
    if not path.is_file():
        return None
    name = f"_proctor_{module_name}_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _takes_base(function: Callable[..., Any]) -> bool:
    """Whether it wants the task file's folder, which its paths start from."""
    try:
        return "base" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _check_arguments(function: Callable[..., Any], arguments: dict[str, Any], label: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in C; the call itself will tell
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise DataError(f"{label}: {error}; it takes {signature}; it is called with data.args (and data.seed, data.size)") from None


def _reason(error: BaseException) -> str:
    """The exception in one line, with the file and line of the innermost frame that is not the import system's."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or '?').name} line {error.lineno})"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename and one.filename != __file__]
    place = f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"
