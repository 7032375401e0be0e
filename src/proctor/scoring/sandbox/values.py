"""Values that cross between a program and its tests, as JSON: what is decoded is plain data, whoever wrote it.

This module runs inside the sandbox and imports the standard library alone.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections import Counter, OrderedDict, defaultdict, deque

TYPE_CHECKING = False  # `typing` takes long to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEPTH = 200  # of nested values
MESSAGE = 32 * 1024**2  # bytes of one message
_DIGITS = 4000  # bits above which a whole number is written in hexadecimal: Python refuses to print long decimals

_DICTS: dict[str, type[Any]] = {"counter": Counter, "ordered": OrderedDict, "default": defaultdict, "dict": dict}  # the most special first
_LISTS: dict[str, type[Any]] = {"list": list, "tuple": tuple, "set": set, "frozen": frozenset, "deque": deque}
_TYPES = {id(value): name for name, value in vars(builtins).items() if isinstance(value, type)}


class Codec:
    """Encodes values of one side and decodes those of the other.

    Instances of subclasses are encoded as the plain value they hold, by the methods of its type and not by their own, so that an answer's
    own `__eq__` stays behind.

    Args:
        refer: what stands for a value that is no data (a function, an object); raises TypeError where nothing may.
        resolve: what such a reference stands for on this side; raises ValueError for one that it does not know.
    """

    def __init__(self, refer: Callable[[Any], list[Any]], resolve: Callable[[list[Any]], Any]) -> None:
        self._refer = refer
        self._resolve = resolve

    def encode(self, value: Any, depth: int = 0) -> Any:
        """JSON for `value`. Raises ValueError where it is nested too deeply."""
        if depth > DEPTH:
            raise ValueError("a value is nested too deeply to be given to the tests")
        value = _scalar_of_numpy(value)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            whole = int.__int__(value)
            return whole if whole.bit_length() < _DIGITS else ["int", hex(whole)]
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, dict):
            name = next(name for name, kind in _DICTS.items() if isinstance(value, kind))
            return [name, *(self.encode(one, depth + 1) for pair in dict.items(value) for one in pair)]
        for name, kind in _LISTS.items():
            if isinstance(value, kind):
                return [name, *(self.encode(one, depth + 1) for one in kind.__iter__(value))]
        if isinstance(value, type) and id(value) in _TYPES:
            return ["type", _TYPES[id(value)]]
        plain = _rare(value)
        return plain if plain is not None else ["ref", *self._refer(value)]

    def decode(self, data: Any) -> Any:
        """The value behind JSON that the other side wrote. Raises ValueError or TypeError for what `encode` would not have written."""
        if data is None or isinstance(data, bool | int | float | str):
            return data
        if not (isinstance(data, list) and data and isinstance(data[0], str)):
            raise ValueError("no value")
        name, rest = data[0], data[1:]
        if name == "ref":
            return self._resolve(rest)
        if name in _LISTS:
            return _LISTS[name](map(self.decode, rest))
        if name in _DICTS:
            pairs = dict(zip(map(self.decode, rest[::2]), map(self.decode, rest[1::2]), strict=True))
            return defaultdict(None, pairs) if name == "default" else _DICTS[name](pairs)
        return _read_rare(name, rest)


def _scalar_of_numpy(value: Any) -> Any:
    """A number of numpy's as a number of Python's."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and not isinstance(value, int | float | str | bytes):
        return value.item()
    return value


def _rare(value: Any) -> list[Any] | None:
    if isinstance(value, bytes):
        return ["bytes", bytes.hex(value)]
    if isinstance(value, bytearray):
        return ["bytearray", bytearray.hex(value)]
    if isinstance(value, complex):
        return ["complex", repr(complex.__complex__(value).real), repr(complex.__complex__(value).imag)]
    if type(value) is range:
        return ["range", value.start, value.stop, value.step]
    if value is ...:
        return ["ellipsis"]
    # Of modules that were not imported there can be no value.
    if (decimal := sys.modules.get("decimal")) and isinstance(value, decimal.Decimal):
        return ["decimal", decimal.Decimal.__str__(value)]
    if (fractions := sys.modules.get("fractions")) and isinstance(value, fractions.Fraction):
        return ["fraction", hex(value.numerator), hex(value.denominator)]
    if datetime := sys.modules.get("datetime"):
        if isinstance(value, datetime.timedelta):
            return ["timedelta", value.days, value.seconds, value.microseconds]
        for name in ("datetime", "date", "time"):  # a datetime is a date too
            kind = getattr(datetime, name)
            if isinstance(value, kind):
                return [name, str(kind.isoformat(value))]
    return None


def _read_rare(name: str, rest: list[Any]) -> Any:
    if name in ("decimal", "fraction"):
        from decimal import Decimal
        from fractions import Fraction

        return Decimal(*rest) if name == "decimal" else Fraction(*(int(text, 16) for text in rest))
    if name in ("timedelta", "datetime", "date", "time"):
        import datetime

        return datetime.timedelta(*rest) if name == "timedelta" else getattr(datetime, name).fromisoformat(*rest)
    if name == "type" and rest[0] in _TYPES.values():
        return getattr(builtins, rest[0])
    readers: dict[str, Callable[..., Any]] = {
        "int": lambda text: int(text, 16),
        "bytes": bytes.fromhex,
        "bytearray": bytearray.fromhex,
        "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
        "range": range,
        "ellipsis": lambda: ...,
    }
    if name not in readers:
        raise ValueError("no value")
    return readers[name](*rest)


class Channel:
    """Messages to and from the other side, one line of JSON each.

    Args:
        source, sink: file descriptors to read from and to write to.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._held = bytearray()

    def send(self, message: Any) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(self._sink, data) :]

    def receive(self) -> Any:
        """The next message. Raises EOFError where the other side has gone, ValueError for what is no message or one too long."""
        seen = 0
        while (end := self._held.find(b"\n", seen)) < 0:
            seen = len(self._held)
            if seen > MESSAGE:
                raise ValueError("a message is too long")
            chunk = os.read(self._source, 1 << 16)
            if not chunk:
                raise EOFError
            self._held += chunk
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        try:
            return json.loads(line)
        except RecursionError:
            raise ValueError("a value is nested too deeply") from None
