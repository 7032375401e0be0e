"""What a task file says of one document: question, choices, what is right, and the text before the answer.

A value that names a column is that column, another text is a template. What a template gives is text, but digits where there are choices
are a number, and `[…]` as target is a list, as in the harness.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from typing import Any

from proctor.errors import DataError
from proctor.tasks.lm_eval.config import Config
from proctor.tasks.lm_eval.keys import Reading
from proctor.tasks.lm_eval.templates import render
from proctor.tasks.lm_eval.yaml_files import FunctionRef

Resolve = Callable[[FunctionRef], Callable[..., Any]]


class Reader:
    """Reads documents.

    Args:
        config: the task.
        resolve: the function behind a reference.
        columns: of the documents that are asked.
    """

    def __init__(self, config: Config, resolve: Resolve, columns: Collection[str]) -> None:
        self.config, self.resolve, self.columns = config, resolve, frozenset(columns)

    def text(self, row: Mapping[str, Any], say: Reading = None) -> Any:
        """The question, a text; a number where it is the place of a context among the choices (as in WinoGrande)."""
        say = self.config.doc_to_text if say is None else say
        if isinstance(say, FunctionRef):
            return self._call(say, row, "doc_to_text")
        if not isinstance(say, str):
            return say
        if say in self.columns:
            return self._column(row, say, "doc_to_text")
        return self._number(self._render(say, row, "doc_to_text"))

    def target(self, row: Mapping[str, Any], say: Reading = None) -> Any:
        """What is right: a text, the place of a choice, or a list of either."""
        say = self.config.doc_to_target if say is None else say
        if isinstance(say, FunctionRef):
            return self._call(say, row, "doc_to_target")
        if not isinstance(say, str):
            return say
        if say in self.columns:
            return self._column(row, say, "doc_to_target")
        text = self._number(self._render(say, row, "doc_to_target"))
        if isinstance(text, str) and len(text) >= 2 and text[0] == "[" and text[-1] == "]":
            try:
                return ast.literal_eval(text)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return text
        return text

    def choices(self, row: Mapping[str, Any], say: Reading = None) -> list[str]:
        """The choices. Raises `DataError` where they are no list."""
        say = self.config.doc_to_choice if say is None else say
        if isinstance(say, FunctionRef):
            found = self._call(say, row, "doc_to_choice")
        elif isinstance(say, dict):
            found = list(say.values())
        elif isinstance(say, str):
            if say in self.columns:
                found = self._column(row, say, "doc_to_choice")
            else:
                text = self._render(say, row, "doc_to_choice")
                try:
                    found = ast.literal_eval(text)
                except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
                    raise DataError(f"{self.config.where}: doc_to_choice: expected a list, got {text!r:.80}: {error}") from None
        else:
            found = say
        if not isinstance(found, list | tuple):
            raise DataError(f"{self.config.where}: doc_to_choice: expected a list, got {found!r:.80}")
        return list(found)

    def prefix(self, row: Mapping[str, Any]) -> str | None:
        """The beginning of the answer to the question that is asked."""
        say = self.config.gen_prefix
        if say is None:
            return None
        return str(row[say]) if say in self.columns else self._render(say, row, "gen_prefix")

    def field(self, row: Mapping[str, Any], say: str | None, key: str) -> str | None:
        """A column or template, as the description and an example's prefix are read."""
        if not say:
            return None
        return str(row[say]) if say in row else self._render(say, row, key)

    def _number(self, text: str) -> Any:
        # Digits of other scripts are digits to Python, and no number to literal_eval.
        if text.isdigit() and self.config.doc_to_choice is not None:
            try:
                return ast.literal_eval(text)
            except (SyntaxError, ValueError):
                return text
        return text

    def _render(self, say: str, row: Mapping[str, Any], key: str) -> str:
        try:
            return render(say, row)
        except ValueError as error:
            raise DataError(f"{self.config.where}: {key}: the template fails on a document: {error}") from None

    def _column(self, row: Mapping[str, Any], name: str, key: str) -> Any:
        if name not in row:
            raise DataError(f"{self.config.where}: {key}: a document has no column '{name}'; columns: {', '.join(map(str, row))}")
        return row[name]

    def _call(self, ref: FunctionRef, row: Mapping[str, Any], key: str) -> Any:
        try:
            return self.resolve(ref)(row)
        except Exception as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.config.where}: {key}: {ref.name} fails on a document: {type(error).__name__}: {error}") from error
