"""Strict YAML: what a person reads in the file is what the program gets, and every value remembers its line.

YAML 1.2 core schema, so `no`, `on`, `12:30` and dates stay text. Errors instead of guesses: duplicate keys, tags (`!function`), cyclic
or exploding aliases, more than one document. Merge keys (`<<`) work. Built on PyYAML's C parser by way of its events, because its
composer recurses in C without a bound and a file of brackets would end the process.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

MAX_BYTES = 50_000_000
MAX_DEPTH = 100
MAX_ALIASED = 10_000  # nodes that aliases may add to those written out

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class YamlError(Exception):
    """What is wrong with a YAML text, and on which line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Node(Struct, eq=False):
    """A value with its line. `value` is a scalar, a list of nodes, or a dict of key to node; `key_lines` are the lines of a dict's keys."""

    line: int
    value: Any
    key_lines: dict[str, int] | None = None

    def line_of(self, path: tuple[str | int, ...], *, key: bool = False) -> int:
        """The line of the value at `path` (of its key, with `key`), or of the last node on the way that exists."""
        node, line = self, self.line
        for step in path:
            if isinstance(node.value, dict) and step in node.value and node.key_lines is not None:
                line = node.key_lines[str(step)]
                node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.line
            else:
                return line
        return line if key or isinstance(node.value, dict | list) else node.line


def read_nodes(path: Path) -> Node:
    """The tree of a YAML file. Raises `YamlError`, and `OSError` where the file cannot be read."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise YamlError(1, f"{size} bytes; expected at most {MAX_BYTES} (keep the items in a data file)")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, f"not UTF-8 at byte {error.start} (0x{data[error.start]:02x}); save the file as UTF-8") from None
    return parse(text)


def parse(text: str) -> Node:
    """The tree of one YAML document. Raises `YamlError`."""
    loader = _Loader(text)
    try:
        return _Composer(loader).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" ({error.context})" if error.context else ""
        line = min(mark.line + 1, len(text.splitlines()) or 1) if mark else 1  # the end of the file counts as a line of its own
        if error.problem and "nesting depth" in error.problem:  # newer parsers have a bound of their own
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels") from None
        raise YamlError(line, f"not YAML: {error.problem}{context}") from None
    except yaml.reader.ReaderError as error:
        # The C parser counts bytes, the other one characters: find the character itself.
        at = text.find(chr(error.character)) if isinstance(error.character, int) else error.position
        raise YamlError(text.count("\n", 0, max(at, 0)) + 1, f"not YAML: the character U+{ord(text[at]):04X} is not allowed") from None
    finally:
        loader.dispose()


def plain(root: Node) -> Any:
    """The values of a tree without their lines. Raises `YamlError` where aliases expand to too much."""
    seen: set[int] = set()
    aliased = 0

    def build(node: Node, depth: int) -> Any:
        nonlocal aliased
        if depth > MAX_DEPTH:
            raise YamlError(node.line, f"nested deeper than {MAX_DEPTH} levels")
        if id(node) in seen:
            aliased += 1
            if aliased > MAX_ALIASED:
                raise YamlError(node.line, f"aliases expand to more than {MAX_ALIASED} further values; write them out or use a data file")
        seen.add(id(node))
        if isinstance(node.value, dict):
            return {key: build(child, depth + 1) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [build(child, depth + 1) for child in node.value]
        return node.value

    return build(root, 0)


class _Composer:
    """Events to nodes."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.anchors: dict[str, Node] = {}
        self.unfinished: set[int] = set()
        self.merged = 0

    def document(self) -> Node:
        self.loader.get_event()  # start of the stream
        if self.loader.check_event(yaml.StreamEndEvent):
            raise YamlError(1, "the file is empty")
        self.loader.get_event()  # start of the document
        root = self.node(0)
        self.loader.get_event()  # end of the document
        if not self.loader.check_event(yaml.StreamEndEvent):
            raise YamlError(self.loader.get_event().start_mark.line + 1, "a second document begins; expected one per file")
        return root

    def node(self, depth: int) -> Node:
        event = self.loader.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise YamlError(line, f"alias '*{event.anchor}' has no anchor '&{event.anchor}' above it")
            node = self.anchors[event.anchor]
            if id(node) in self.unfinished:
                raise YamlError(line, f"alias '*{event.anchor}' stands inside the value it names")
            return node
        if depth > MAX_DEPTH:
            raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels")
        node = Node(line, None)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event.tag, "seq", line)
            node.value = []
            self.unfinished.add(id(node))
            while not self.loader.check_event(yaml.SequenceEndEvent):
                node.value.append(self.node(depth + 1))
            self.loader.get_event()
        else:
            _check_tag(event.tag, "map", line)
            self.unfinished.add(id(node))
            self.mapping(node, depth)
        self.unfinished.discard(id(node))
        return node

    def mapping(self, node: Node, depth: int) -> None:
        node.value, node.key_lines = {}, {}
        merges: list[Node] = []
        while not self.loader.check_event(yaml.MappingEndEvent):
            event = self.loader.peek_event()
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0] and event.tag is None
            key = self.node(depth + 1)
            name = event.value if isinstance(event, yaml.ScalarEvent) else key.value  # a key is text, also where it looks like a number
            value = self.node(depth + 1)
            if is_merge:
                if merges:
                    raise YamlError(key.line, "duplicate key '<<'; merge several with a list: <<: [*a, *b]")
                merges = value.value if isinstance(value.value, list) else [value]
                continue
            if not isinstance(name, str):
                raise YamlError(key.line, f"a key is {describe(name)}; expected text")
            if name in node.value:
                raise YamlError(key.line, f"duplicate key '{name}' (first on line {node.key_lines[name]})")
            node.value[name] = value
            node.key_lines[name] = key.line
        self.loader.get_event()
        for source in merges:
            if not isinstance(source.value, dict):
                raise YamlError(source.line, "'<<' merges mappings; expected an alias of one, or a list of such aliases")
            self.merged += len(source.value)
            if self.merged > MAX_ALIASED:
                raise YamlError(source.line, f"merge keys copy more than {MAX_ALIASED} values")
            for name, child in source.value.items():
                if name not in node.value:
                    node.value[name] = child
                    node.key_lines[name] = (source.key_lines or {})[name]


def describe(value: Any) -> str:
    """A YAML value in an error message, shortened."""
    if isinstance(value, Node):
        value = value.value
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 1e20 else "a huge number"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    shown = repr(value)
    return shown if len(shown) <= 62 else f"{shown[:60]}…'"


def _check_tag(tag: str | None, kind: str, line: int) -> None:
    if tag not in (None, "!", f"{_CORE}{kind}"):
        raise YamlError(line, f"tag '{_short(str(tag))}' is not supported: a task file is data; refer to code as 'module:function'")


def _short(tag: str) -> str:
    return tag.replace(_CORE, "!!", 1)


def _scalar(event: Any, line: int) -> Any:
    text: str = event.value
    tag = event.tag
    if tag == "!" or (tag is None and not event.implicit[0]) or tag == f"{_CORE}str":
        return text
    kinds = {f"{_CORE}null": _NULL, f"{_CORE}bool": _BOOL, f"{_CORE}int": _INT, f"{_CORE}float": _FLOAT}
    if tag is not None:
        if tag not in kinds:
            _check_tag(tag, "str", line)
        elif not kinds[tag].fullmatch(text):
            raise YamlError(line, f"{describe(text)} is not a {_short(tag)}")
        elif tag == f"{_CORE}float":
            return _finite(text, line)
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        if len(text) > 1000:  # Python refuses to convert longer ones
            raise YamlError(line, f"a number of {len(text)} digits; write it in quotes")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return _finite(text, line)
    if _NOT_FINITE.fullmatch(text):
        raise YamlError(line, f"'{text}' is not a finite number; in quotes it is text")
    return text


def _finite(text: str, line: int) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise YamlError(line, f"'{text}' is too large a number; in quotes it is text")
    return value
