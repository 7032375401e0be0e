"""What a Python callable's answers depend on, as one hash: source and code, closures, defaults, arguments of partials, attributes, globals.

Two functions made by one factory share their source and differ in their closures; the hash tells them apart.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from proctor.canonical import canonical_json, content_hash

_SCALARS = (type(None), bool, int, str)
_NOT_STATE = ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__", "_abc_impl")


class _Plain:
    """An instance as large as this one keeps all it knows in `__dict__`; a larger one has slots or is written in C."""


def state_hash(function: Callable[..., Any]) -> str | None:
    """A hash of `function` and of what it reaches: see the module. None where it reaches something whose contents cannot be told: an open
    file, a lock, a client, an object of a C library.

    Functions and classes of other modules stand for the source of their module; those of the function's own module, and those made
    inside functions, are looked into.
    """
    owner = function if hasattr(function, "__code__") else type(function)
    if isinstance(function, functools.partial):
        owner = function.func
    try:
        return content_hash(_Walk(getattr(owner, "__module__", None)).value(function))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def source_hash(module_name: str | None) -> str:
    """Of the source of an imported module; "" where it has no file."""
    file = getattr(sys.modules.get(module_name or ""), "__file__", None)
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest() if file and Path(file).is_file() else ""


class _Walk:
    """Turns what it is given into JSON types. Raises `TypeError` for what it cannot look into.

    Args:
        home: the module whose functions and classes are looked into.
    """

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._seen: dict[int, tuple[int, Any]] = {}  # the object is held, so that its id stays its own

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind in (float, complex, bytes, type(...)):
            return [kind.__name__, repr(value)]
        if id(value) in self._seen:
            return ["seen", self._seen[id(value)][0]]
        self._seen[id(value)] = len(self._seen), value
        if kind in (list, tuple):
            return [kind.__name__, [self.value(v) for v in value]]
        if kind in (set, frozenset):
            # Each element on its own: the order of a set is chance, and must not show in what was seen when.
            return ["set", sorted(canonical_json(_Walk(self._home).value(v)).decode() for v in value)]
        if kind is dict or kind is types.MappingProxyType:
            return ["dict", [[self.value(k), self.value(v)] for k, v in value.items()]]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__, source_hash(value.__name__)]
        if isinstance(value, re.Pattern):
            return ["pattern", self.value(value.pattern), value.flags]
        if hasattr(value, "cache_info") and hasattr(value, "__wrapped__"):  # functools.cache
            return ["cached", self.value(value.__wrapped__)]
        if isinstance(value, types.BuiltinFunctionType):
            return ["builtin", value.__qualname__, self.value(value.__self__)]
        if isinstance(value, types.CodeType):
            # The names of arguments decide what a function is given.
            arguments = value.co_varnames[: value.co_argcount + value.co_kwonlyargcount]
            code = [value.co_code.hex(), list(value.co_names), list(arguments), value.co_flags]
            return ["code", *code, [self.value(c) for c in value.co_consts]]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return ["method", self.value(value.__func__), self.value(value.__self__)]
        if kind is functools.partial:
            return ["partial", self.value(value.func), self.value(value.args), self.value(value.keywords), self.value(vars(value))]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, (staticmethod, classmethod)):
            return [kind.__name__, self.value(value.__func__)]
        if isinstance(value, property):
            return ["property", self.value(value.fget), self.value(value.fset)]
        if kind.__basicsize__ <= _Plain.__basicsize__ and not kind.__itemsize__:
            return ["object", self.value(kind), self.value(vars(value))]
        return [kind.__qualname__, msgspec.Raw(canonical_json(value))]

    def _function(self, function: types.FunctionType) -> Any:
        where = ["function", function.__module__, function.__qualname__, source_hash(function.__module__)]
        if not self._looks_into(function):
            return where
        cells: list[Any] = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.value(cell.cell_contents))
            except ValueError:  # assigned to later
                cells.append("empty")
        return [
            *where,
            self.value(function.__code__),
            cells,
            self.value(function.__defaults__),
            self.value(function.__kwdefaults__),
            self.value(vars(function)),
            sorted((name, str(kind)) for name, kind in function.__annotations__.items()),
            [[n, self.value(function.__globals__[n])] for n in sorted(set(_globals(function.__code__))) if n in function.__globals__],
        ]

    def _class(self, found: type) -> Any:
        where = ["class", found.__module__, found.__qualname__, source_hash(found.__module__)]
        if not self._looks_into(found):
            return where
        members = [
            [name, self.value(member)]
            for name, member in vars(found).items()
            if name not in _NOT_STATE and not inspect.ismemberdescriptor(member) and not inspect.isgetsetdescriptor(member)
        ]
        return [*where, [self.value(base) for base in found.__bases__], members]

    def _looks_into(self, found: Any) -> bool:
        return found.__module__ == self._home or "<locals>" in found.__qualname__ or "<lambda>" in found.__qualname__


def _globals(code: types.CodeType) -> Iterator[str]:
    """The names of globals that `code`, and what is defined in it, reads."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant)
