"""The side of the tests: it runs them on what the program answers, and says what came of it.

The program is in another process, in a sandbox of its own. Its functions are called through `Remote`; what they return is data, and is
compared here. This module runs inside a sandbox too (tests come from data sets) and imports the standard library alone.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys
import types

from proctor.scoring.sandbox.confine import confine, own_descriptors
from proctor.scoring.sandbox.values import Channel, Codec

TYPE_CHECKING = False  # `typing` takes long to import
if TYPE_CHECKING:
    from typing import Any

_NOT_IMPORTED = {"antigravity", "this"}


class ProgramError(Exception):
    """An error of the program that is none of Python's own."""


class ProgramGone(BaseException):
    """The process of the program has ended, or talks nonsense."""


class Client:
    """The program, as the tests' side sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._codec = Codec(self._refer, self._resolve)
        self._functions: list[Any] = []
        self._errors: dict[str, type[Exception]] = {}
        self.gone = ""

    def ask(self, request: dict[str, Any]) -> Any:
        """The program's answer to one request; its errors are raised here."""
        try:
            self._channel.send(request)
            while "back" in (answer := self._channel.receive()):
                self._channel.send(self._called_back(answer))
            if "error" in answer:
                base, name, text = map(str, answer["error"])
            else:
                return answer
        except (EOFError, BrokenPipeError):
            raise self._lost("the program ended before its tests did") from None
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise self._lost(f"the program's process answered with nonsense: {error}") from None
        raise self._error(base, name, text)

    def call(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        encode = self._codec.encode
        request = {"of": number, "args": [encode(one) for one in args], "kwargs": {name: encode(one) for name, one in kwargs.items()}}
        answer = self.ask({"do": "call", **request})
        for index, after in answer.get("changed", {}).items():
            _change(args[int(index)], self.decode(after))
        return self.decode(answer["ok"])

    def method(self, number: int, name: str, *args: Any) -> Any:
        answer = self.ask({"do": "method", "of": number, "name": name, "args": [self._codec.encode(one) for one in args]})
        return self.decode(answer["ok"])

    def names(self, wanted: list[str]) -> dict[str, Any]:
        """What the program defines of the names, as the tests will see it."""
        found: dict[str, Any] = {}
        given = self.ask({"do": "names", "names": wanted})["ok"]
        for name in wanted:  # and nothing else that it may offer
            if name not in given:
                continue
            kind, value = given[name]
            if kind == "value":
                found[name] = self.decode(value)
            elif str(value).partition(".")[0] in sys.stdlib_module_names - _NOT_IMPORTED:
                __import__(str(value))
                found[name] = sys.modules[str(value)]
        return found

    def decode(self, data: Any) -> Any:
        try:
            return self._codec.decode(data)
        except Exception as error:
            raise self._lost(f"the program's process answered with nonsense: {error}") from None

    def _lost(self, why: str) -> ProgramGone:
        self.gone = why  # kept, as tests may catch everything
        return ProgramGone(why)

    def _called_back(self, request: dict[str, Any]) -> dict[str, Any]:
        function = self._functions[request["back"]]
        args = [self.decode(one) for one in request["args"]]
        kwargs = {str(name): self.decode(one) for name, one in request["kwargs"].items()}
        try:
            return {"ok": self._codec.encode(function(*args, **kwargs))}
        except Exception as error:
            return {"error": [type(error).__name__, str(error)[:500]]}

    def _refer(self, value: Any) -> list[Any]:
        if isinstance(value, Remote):
            return ["yours", object.__getattribute__(value, "_number")]
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type):
            self._functions.append(value)
            return ["mine", len(self._functions) - 1]
        raise TypeError(f"the tests give the program a {type(value).__name__}, which cannot be sent to it")

    def _resolve(self, reference: list[Any]) -> Any:
        number, kind, base, name = reference
        if not (isinstance(number, int) and all(isinstance(one, str) for one in (kind, base, name))):
            raise ValueError("no reference")
        if base and base != "class":
            return self._error_class(base, name)
        return Remote(self, number, kind)

    def _error_class(self, base: str, name: str) -> type[Exception]:
        own = getattr(builtins, base, None)
        kind = own if isinstance(own, type) and issubclass(own, Exception) else ProgramError
        if kind.__name__ == name:
            return kind
        return self._errors.setdefault(name, type(name, (kind,), {}))

    def _error(self, base: str, name: str, text: str) -> Exception:
        try:
            error = self._error_class(base, name)(text)
        except TypeError:  # a UnicodeDecodeError takes five arguments
            error = ProgramError(f"{name}: {text}")
        error.of_program = True  # type: ignore[attr-defined]
        return error


class Remote:
    """A function, class or object of the program. Whatever is done to it is done over there; what comes back is data where it can be."""

    def __init__(self, client: Client, number: int, kind: str) -> None:
        for name, value in (("_client", client), ("_number", number), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._client.call(self._number, args, kwargs)

    def _method(self, name: str, *args: Any) -> Any:
        return self._client.method(self._number, name, *args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._method("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._method("set", name, value)

    def __eq__(self, other: object) -> bool:
        # Equal to data is only data; of two of its objects the program itself must say.
        if not isinstance(other, Remote):
            return False
        return self._number == other._number or self._method("equal", other) is True

    def __hash__(self) -> int:
        return hash(self._number)

    def __iter__(self) -> Any:
        iterator = self._method("iterator")
        while values := iterator._method("take"):
            yield from values

    def __next__(self) -> Any:
        return self._method("next")

    def __len__(self) -> int:
        return int(self._method("len"))

    def __bool__(self) -> bool:
        return self._method("bool") is True

    def __contains__(self, value: Any) -> bool:
        return self._method("contains", value) is True

    def __getitem__(self, key: Any) -> Any:
        return self._method("item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._method("set_item", key, value)

    def __str__(self) -> str:
        return str(self._method("str"))

    def __repr__(self) -> str:
        return str(self._method("repr"))


def _change(arg: Any, after: Any) -> None:
    """Do to the tests' own argument what the program did to its copy."""
    if isinstance(arg, list | bytearray) and isinstance(after, list | bytearray):
        arg[:] = after
    elif isinstance(arg, dict | set) and type(arg) is type(after):
        arg.clear()
        arg.update(after)


def unbound(tree: ast.Module) -> set[str]:
    """Names that a module reads and nowhere binds."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
    return read - bound


def from_program(tests: ast.Module, known: dict[str, Any], entry_point: str | None, client: Client) -> dict[str, Any]:
    """What the tests take from the program: the names that nothing else gives them.

    Modules that the tests use and forgot to import (`math.isclose`) are Python's. Python's own functions stay Python's own, whatever the
    program calls its functions, so that it cannot put an `abs` of its own under the tests. Only where they name nothing else that could
    be the program's (tests of a function called `sum`) is it such a name.
    """
    names = unbound(tests) - known.keys()
    modules = {name for name in names & (sys.stdlib_module_names - _NOT_IMPORTED) if only_has_attributes_taken(tests, name)}
    found = {name: __import__(name) for name in modules}
    names -= modules
    others = {name for name in names if not hasattr(builtins, name)}
    return found | client.names(sorted(names if not others and not entry_point else others))


def only_has_attributes_taken(tree: ast.Module, name: str) -> bool:
    """Whether a name stands nowhere but before a dot, as that of a module does."""
    bases = sum(isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name for node in ast.walk(tree))
    return bases == sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def run_tests(job: dict[str, Any], client: Client) -> str:
    """Why the tests failed; empty where they ran to their end."""
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    try:
        client.ask({"do": "load", "program": job["program"]})
        exec(compile(job["helpers"], "helpers", "exec"), module.__dict__)
        tree = ast.parse(job["tests"])
        entry = job["entry_point"]
        if entry:
            given = client.names([entry])
            if entry not in given:
                return f"NameError: the program does not define '{entry}'"
            module.__dict__.update(given)
        module.__dict__.update(from_program(tree, module.__dict__, entry, client))
        exec(compile(tree, "tests", "exec"), module.__dict__)
    except ProgramGone as error:
        return str(error)
    except BaseException as error:
        return _why(error, job["tests"])
    return client.gone


def _why(error: BaseException, tests: str) -> str:
    """The error, and the line of the tests it happened at."""
    import traceback

    said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "tests" and frame.lineno]
    at = tests.splitlines()[lines[-1] - 1].strip() if lines else ""
    return f"{said[:200]}, at: {at[:200]}" if at else said[:300]


def main() -> None:
    verdicts = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def say(verdict: dict[str, Any]) -> None:
        os.write(verdicts, json.dumps(verdict).encode() + b"\n")

    confine()
    channel = Channel(*own_descriptors())
    say({"began": True})
    job = channel.receive()
    try:
        channel.send("hello")
        channel.receive()
    except (EOFError, BrokenPipeError):
        os._exit(1)
    say({"met": True})
    why = run_tests(job, Client(channel))
    say({"passed": not why, "reason": why})
    os._exit(0)
