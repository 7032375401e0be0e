"""Prompt templates: Jinja, sandboxed, compiled once, strict about names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from proctor.errors import TaskError, nearest
from proctor.types import MediaKind

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

_ALONE = re.compile(r"\{\{((?:(?!\{\{|\}\}|\{%).)*)\}\}", re.DOTALL)
MEDIA_FILTERS: tuple[MediaKind, ...] = ("image", "audio", "document")
_STORE = "\ufffcmedia"  # no name that a template can write


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # A final newline goes (a YAML block always ends in one); every other character stays.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)
    environment.filters["fromjson"] = json.loads  # columns of CSV files that hold a message or a list
    environment.filters["regex_replace"] = _regex_replace
    environment.filters["column"] = pass_context(_column)
    environment.filters["fromliteral"] = ast.literal_eval  # the same as Python writes it: a list that was turned into text
    environment.filters |= {kind: _media_filter(kind) for kind in MEDIA_FILTERS}
    return environment


def _regex_replace(text: str, pattern: str, replacement: str) -> str:
    """Every match of a regular expression replaced, as Python's `re.sub` does."""
    return re.sub(pattern, replacement, text)


def _media_filter(kind: MediaKind) -> Callable[..., str]:
    from jinja2 import Undefined, pass_context

    @pass_context
    def show(context: Context, value: Any) -> str:
        if isinstance(value, Undefined):
            str(value)  # raises, naming what is missing
        store: Shows | None = context.get(_STORE)
        if store is None:
            raise TypeError(f"| {kind} belongs to prompt.template and is not known here")
        return store.mark(value, kind)

    return show


class Shows(Protocol):
    """What the filters of pictures, sound and documents ask for the mark of an object: `proctor.tasks.media.MediaStore`."""

    def mark(self, value: Any, kind: MediaKind) -> str: ...


def _column(context: Any, name: str) -> Any:
    """The filter `column`: what stands in the column of that name, empty for null."""
    if name not in context:
        from jinja2 import UndefinedError

        raise UndefinedError(f"there is no column '{name}'{nearest(str(name), list(context.get_all()))}")
    value = context[name]
    return "" if value is None else value


class Template:
    """A compiled template.

    Args:
        source: Jinja text.
        where: file and key, for messages.

    Raises:
        TaskError: the text is not a template.

    Attributes:
        names: the names it looks up.
        media: kinds of objects it shows: the filters `image`, `audio` and `document` that it uses.
    """

    def __init__(self, source: str, where: str) -> None:
        from jinja2 import TemplateSyntaxError, meta, nodes

        self.source = source
        self.where = where
        environment = _environment()
        try:
            tree = environment.parse(source)
            self.names = frozenset(meta.find_undeclared_variables(tree))
            used = {found.name for found in tree.find_all(nodes.Filter)}
            self.media: frozenset[MediaKind] = frozenset(kind for kind in MEDIA_FILTERS if kind in used)
            self._compiled = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TaskError(f"{where}: not a valid template: {error.message} (line {error.lineno} of the template)") from None
        self._filled_in = _fill_in(tree)
        self._globals = dict(environment.globals)

    def check(self, known: Iterable[str]) -> None:
        """Raise `TaskError` where the template names a column that is not among `known`."""
        known = set(known)
        for name in sorted(self.names - known):
            raise TaskError(
                f"{self.where}: '{name}' is not a column of the data{nearest(name, known) or ';'} columns: {', '.join(sorted(known))}"
            )

    def render(self, values: Mapping[str, Any], store: Shows | None = None) -> str:
        """The text for one item, with marks of `store` where it shows objects.

        Raises:
            TaskError: what only a value shows: a missing column, a wrong type.
            MediaProblemError: a value that is no picture, sound or document.
        """
        if self._filled_in is not None:
            try:
                return self._filled_in(values)
            except LookupError:  # a missing column; Jinja says it in its own words
                pass
        from jinja2 import TemplateError

        try:
            # What `Template.render` does, without the layers of mappings that it puts the globals into, which cost more than the rest.
            known = {**self._globals, **values}
            if store is not None:
                known[_STORE] = store
            context = self._compiled.new_context(known, shared=True)
            return "".join(self._compiled.root_render_func(context))
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TaskError(f"{self.where}: the template fails on an item: {type(error).__name__}: {error}") from None


class Value:
    """A template that keeps the type of what it names: `{{ expression }}` alone is that value, anything else a text.

    Args:
        source: Jinja text.
        where: file and key, for messages.

    Raises:
        TaskError: the text is not a template.
    """

    def __init__(self, source: str, where: str) -> None:
        self.template = Template(source, where)
        alone = _ALONE.fullmatch(source)
        self._expression = _environment().compile_expression(alone[1], undefined_to_none=False) if alone else None

    def of(self, values: Mapping[str, Any]) -> Any:
        """The value. Raises `TaskError` for a name that is not among `values`, or where the expression fails."""
        if self._expression is None:
            return self.template.render(values)
        from jinja2 import TemplateError, Undefined

        try:
            value = self._expression(**values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            value = Undefined()
        return self.template.render(values) if isinstance(value, Undefined) else value  # which says what is wrong


def _fill_in(tree: nodes.Template) -> Callable[[Mapping[str, Any]], str] | None:
    """A template of nothing but text and names as a function: what Jinja gives at a twentieth of the cost. None for any other."""
    from jinja2 import nodes

    text, names = "", []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for part in output.nodes:
            if isinstance(part, nodes.TemplateData):
                text += part.data.replace("%", "%%")
            elif isinstance(part, nodes.Name):
                text += "%s"
                names.append(part.name)
            else:
                return None
    if not names:
        constant = text % ()
        return lambda values: constant
    if len(names) == 1:
        name = names[0]
        return lambda values: text % (values[name],)
    values_of = itemgetter(*names)
    return lambda values: text % values_of(values)


def is_template(text: str) -> bool:
    """Whether `text` is a template rather than the name of a column."""
    return "{{" in text or "{%" in text
