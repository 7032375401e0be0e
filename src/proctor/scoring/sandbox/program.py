"""The side of the program: it loads what the model wrote and does what the tests' side asks. It knows no tests.

Whatever the program does to this process, it can send nothing but values, and only as answers.
This module runs inside the sandbox and imports the standard library alone.
"""

from __future__ import annotations

import builtins
import itertools
import sys
import types

from proctor.scoring.sandbox.confine import confine, own_descriptors
from proctor.scoring.sandbox.values import Channel, Codec

TYPE_CHECKING = False  # `typing` takes long to import
if TYPE_CHECKING:
    from typing import Any

MANY = 1000  # values taken from an iterator at once


class Program:
    """The loaded program and the objects of it that the tests hold."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._codec = Codec(self._refer, self._resolve)
        self._objects: list[Any] = []
        self._module = types.ModuleType("program")
        sys.modules["program"] = self._module

    def serve(self) -> None:
        while True:
            request = self._channel.receive()
            try:
                answer = getattr(self, f"_do_{request['do']}")(request)
            except BaseException as error:
                answer = {"error": self._described(error)}
            try:
                self._channel.send(answer)
            except (RecursionError, ValueError) as error:
                self._channel.send({"error": self._described(error)})

    def _do_load(self, request: dict[str, Any]) -> dict[str, Any]:
        # Neither `__main__`, whose code a test should not run, nor a file.
        exec(compile(request["program"], "program", "exec"), self._module.__dict__)
        return {"ok": None}

    def _do_names(self, request: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name in request["names"]:
            if name in self._module.__dict__:
                value = self._module.__dict__[name]
                module = isinstance(value, types.ModuleType)
                found[name] = ["module", value.__name__] if module else ["value", self._codec.encode(value)]
        return {"ok": found}

    def _do_call(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._objects[request["of"]]
        args = [self._codec.decode(one) for one in request["args"]]
        kwargs = {name: self._codec.decode(one) for name, one in request["kwargs"].items()}
        value = self._codec.encode(function(*args, **kwargs))
        changed = {}
        for index, (arg, before) in enumerate(zip(args, request["args"], strict=True)):
            if isinstance(arg, list | dict | set | bytearray):
                after = self._codec.encode(arg)
                if after != before:
                    changed[index] = after
        return {"ok": value, "changed": changed} if changed else {"ok": value}

    def _do_method(self, request: dict[str, Any]) -> dict[str, Any]:
        """What Python calls by itself on an object: `len`, `str`, `==`, an attribute."""
        target = self._objects[request["of"]]
        args = [self._codec.decode(one) for one in request["args"]]
        return {"ok": self._codec.encode(_METHODS[request["name"]](target, *args))}

    def _refer(self, value: Any) -> list[Any]:
        self._objects.append(value)
        base = ""
        if isinstance(value, type):
            base = _builtin_base(value) if issubclass(value, BaseException) else "class"
        return [len(self._objects) - 1, type(value).__name__, base, getattr(value, "__name__", "")]

    def _resolve(self, reference: list[Any]) -> Any:
        kind, number = reference
        if kind == "yours":
            return self._objects[number]

        def call_back(*args: Any, **kwargs: Any) -> Any:
            encode = self._codec.encode
            self._channel.send(
                {"back": number, "args": [*map(encode, args)], "kwargs": {name: encode(one) for name, one in kwargs.items()}}
            )
            answer = self._channel.receive()
            if "error" in answer:
                raise getattr(builtins, answer["error"][0], Exception)(answer["error"][1])
            return self._codec.decode(answer["ok"])

        return call_back

    def _described(self, error: BaseException) -> list[str]:
        kind = type(error)
        try:
            text = str(error)[:500]
        except BaseException:
            text = ""
        return [_builtin_base(kind), kind.__name__, text]


def _builtin_base(kind: type[BaseException]) -> str:
    return next((base.__name__ for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base), "Exception")


_METHODS: dict[str, Any] = {
    "get": getattr,
    "set": setattr,
    "len": len,
    "str": str,
    "repr": repr,
    "bool": bool,
    "equal": lambda one, other: bool(one == other),
    "iterator": iter,
    "next": next,
    "take": lambda one: list(itertools.islice(one, MANY)),
    "contains": lambda one, value: value in one,
    "item": lambda one, key: one[key],
    "set_item": lambda one, key, value: one.__setitem__(key, value),
}


def main() -> None:
    confine()
    channel = Channel(*own_descriptors())
    channel.receive()
    channel.send("here")
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # what `site` adds, which is not loaded
    sys.setrecursionlimit(sys.getrecursionlimit() + 20)  # what stands below the program on the stack
    try:
        Program(channel).serve()
    except EOFError:
        pass
