"""Jinja as lm-evaluation-harness renders it, but in a sandbox and within bounds: a file from elsewhere may loop for ever.

Undefined names are errors and a final newline stays. The one filter it adds is `regex_replace`.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from proctor.errors import TaskError

if TYPE_CHECKING:
    from jinja2 import Template as Compiled
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_STEPS = 2_000_000  # rounds of loops and calls, for one text
MAX_SIZE = 20_000_000  # characters of a text, and of what is made on the way
_state = threading.local()


class _TooMuchError(Exception):
    """A template beyond its bounds."""


def check_template(source: str, where: str) -> None:
    """Raise `TaskError`, opened by `where`, where `source` is no template."""
    problem = _problem(source)
    if problem:
        raise TaskError(f"{where}: not a valid template: {problem}")


def render(source: str, document: Mapping[str, Any]) -> str:
    """A template over a document's columns. Raises `ValueError` with what went wrong: an undefined name, a wrong type, too much work."""
    from jinja2 import TemplateError

    if "{" not in source:
        return source  # as it stands, its line ends apart
    _state.steps = 0
    try:
        text = _compiled(source).render(**document)
    except _TooMuchError as error:
        raise ValueError(str(error)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if len(text) > MAX_SIZE:
        raise ValueError(f"renders more than {MAX_SIZE:,} characters")
    return text


@functools.lru_cache(maxsize=4096)
def _compiled(source: str) -> Compiled:
    return _environment().from_string(source)


@functools.lru_cache(maxsize=65536)
def _problem(source: str) -> str:
    from jinja2 import TemplateSyntaxError

    try:
        if "{" in source:
            _environment().parse(source)
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno} of the template)"
    except RecursionError:
        return "nested too deeply"
    return ""


def _step(count: int = 1) -> None:
    _state.steps = getattr(_state, "steps", 0) + count
    if _state.steps > MAX_STEPS:
        raise _TooMuchError(f"the template takes more than {MAX_STEPS:,} steps")


def _bounded(value: Any) -> Any:
    size = len(value) if isinstance(value, str | list | tuple | bytes) else value.bit_length() if isinstance(value, int) else 0
    if size > MAX_SIZE:
        raise _TooMuchError(f"the template makes a value of more than {MAX_SIZE:,} characters")
    return value


def _modest(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_SIZE:
            raise _TooMuchError(f"the template counts beyond {MAX_SIZE:,}")


def _product(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(other, int) and len(one) * other > MAX_SIZE:
            raise _TooMuchError(f"the template makes a value of more than {MAX_SIZE:,} characters")
    return _bounded(left * right)


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * max(right, 0) > 4096:
        raise _TooMuchError("the template makes a number of more than 4096 bits")
    return left**right


def _range(*bounds: int) -> range:
    found = range(*bounds)
    _step(len(found))
    return found


def _regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    return re.sub(pattern, replacement, text, count=count)


@functools.lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined, nodes, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.visitor import NodeTransformer

    @pass_context  # so that nothing is worked out when the template is compiled
    def counted(context: Any, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            _step()
            yield value

    @pass_context
    def joined(context: Any, *parts: Any) -> str:
        return str(_bounded("".join(map(str, parts))))

    class Bounded(NodeTransformer):
        """Puts every loop, and every joining of texts by `~`, under the count."""

        def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's name
            self.generic_visit(node)
            # `loop.length` and the like need the values, which a recursive loop has anyway.
            if not node.recursive:
                node.iter = nodes.Filter(node.iter, "proctor_counted", [], [], None, None, lineno=node.lineno)
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
            self.generic_visit(node)
            first, *rest = node.nodes
            return nodes.Filter(first, "proctor_joined", rest, [], None, None, lineno=node.lineno)

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "+"})

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            Bounded().visit(tree)
            return tree

        def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - kwargs may have any name
            _step()
            _modest(args)
            return _bounded(super().call(__context, __obj, *args, **kwargs))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "+":
                return _bounded(left + right)
            return _product(left, right) if operator == "*" else _power(left, right)

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    for name in ("batch", "center", "format", "indent", "round", "slice", "truncate", "wordwrap"):
        environment.filters[name] = _checked(environment.filters[name])
    environment.filters |= {"regex_replace": _regex_replace, "proctor_counted": counted, "proctor_joined": joined}
    environment.globals["range"] = _range
    return environment


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that makes much of little, kept from doing so; what Jinja passes it besides the text stays."""

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        _modest((*args, *kwargs.values()))
        return _bounded(function(*args, **kwargs))

    return inside
