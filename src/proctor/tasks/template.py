"""Prompt templates: Jinja, sandboxed, compiled once, strict about names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from proctor.errors import TaskError, nearest

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # A final newline goes (a YAML block always ends in one); every other character stays.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)


class Template:
    """A compiled template.

    Args:
        source: Jinja text.
        where: file and key, for messages.

    Raises:
        TaskError: the text is not a template.

    Attributes:
        names: the names it looks up.
    """

    def __init__(self, source: str, where: str) -> None:
        from jinja2 import TemplateSyntaxError, meta

        self.source = source
        self.where = where
        try:
            self.names = frozenset(meta.find_undeclared_variables(_environment().parse(source)))
            self._compiled = _environment().from_string(source)
        except TemplateSyntaxError as error:
            raise TaskError(f"{where}: not a valid template: {error.message} (line {error.lineno} of the template)") from None

    def check(self, known: Iterable[str]) -> None:
        """Raise `TaskError` where the template names a column that is not among `known`."""
        known = set(known)
        for name in sorted(self.names - known):
            raise TaskError(
                f"{self.where}: '{name}' is not a column of the data{nearest(name, known) or ';'} columns: {', '.join(sorted(known))}"
            )

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one item. Raises `TaskError` for what only a value shows: a missing column, a wrong type."""
        from jinja2 import TemplateError

        try:
            return self._compiled.render(values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TaskError(f"{self.where}: the template fails on an item: {type(error).__name__}: {error}") from None


def is_template(text: str) -> bool:
    """Whether `text` is a template rather than the name of a column."""
    return "{{" in text or "{%" in text
