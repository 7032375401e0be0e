"""What the user says after the model's first answer: scripted, from a column, or by a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from proctor.canonical import content_hash, seeded
from proctor.errors import ProctorError, TaskError
from proctor.scoring.text_signs import strip_thinking
from proctor.tasks.sources.python_source import find_function, importable
from proctor.tasks.spec import TaskSpec
from proctor.template import Template
from proctor.types import TURN, Generate, Item, Message, Request, Response, Step

_SEED_RANGE = 2**31  # what every provider takes as a seed

# From an item and the model's answers so far to what the user says next; None ends the conversation.
Says = Callable[[Item, list[str]], str | None]


class Turns:
    """The further turns of a task's conversations.

    Args:
        spec: the task; `prompt.turns` says what the user says.
        items: all its items.
        base: folder of the task file, where a function is looked for first.
        where: the task file, for messages.

    Raises:
        TaskError: the response is no written text, a prefill, a template that names an unknown column, a column that holds no list of
            texts, no such function.

    Attributes:
        identity: of the function's source; empty where the turns are scripted. Part of the protocol.
    """

    def __init__(self, spec: TaskSpec, items: Sequence[Item], base: Path, where: str) -> None:
        self.identity = ""
        self._spec = spec
        self._where = f"{where}: prompt.turns"
        if spec.response.kind != "generate" or spec.prompt.prefill:
            what = "a prefill" if spec.prompt.prefill else f"the response kind '{spec.response.kind}'"
            raise TaskError(f"{self._where}: a conversation is of written answers (response.kind: generate, no prefill), not with {what}")
        self._says = self._scripted(items) if isinstance(spec.prompt.turns, list) else self._named(spec.prompt.turns, items, base)

    def next(self, item: Item, epoch: int, request: Request, response: Response) -> Step | None:
        """The next turn of an attempt, after the answers there are; None where the conversation is over.

        The model is shown its own answers without their thinking, as chat templates and providers do.
        """
        assert isinstance(request, Generate)
        said = response.turns
        if any(one.finish in ("error", "refused") for one in said):
            return None
        answers = [_shown(one.text or "") for one in said]
        last = [one.request for one in response.exchanges if one.name.startswith(TURN)]
        asked = last[-1] if last else request
        assert isinstance(asked, Generate)
        text = self._says(item, answers)
        if not text:
            return None
        name = f"{TURN}{len(said) + 1}"
        messages = (*asked.prompt.messages, Message("assistant", answers[-1]), Message("user", text))
        seed = request.seed
        if seed is not None:
            seed = seeded("sample", self._spec.prompt.seed, self._spec.seed_name, item.id, epoch, name) % _SEED_RANGE
        return Step(name, replace(request, prompt=replace(request.prompt, messages=messages), seed=seed))

    def _scripted(self, items: Sequence[Item]) -> Says:
        templates = [Template(text, f"{self._where}[{number}]") for number, text in enumerate(self._spec.prompt.turns)]
        for template in templates:
            template.check({*items[0].fields, "answers"})
            if template.media:
                raise TaskError(f"{template.where}: only prompt.template can show an object (| {min(template.media)})")

        def says(item: Item, answers: list[str]) -> str | None:
            if len(answers) > len(templates):
                return None
            return templates[len(answers) - 1].render({**item.fields, "answers": answers})

        return says

    def _named(self, name: str, items: Sequence[Item], base: Path) -> Says:
        if ":" in name and name not in items[0].fields:
            return self._function(name, base)
        for item in items:
            texts = item.fields.get(name)
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TaskError(
                    f"{self._where}: item '{item.id}': the column '{name}' must hold a list of texts, what the user says after each "
                    "answer; or write the turns as a list of templates, or name a function as module:function"
                )

        def says(item: Item, answers: list[str]) -> str | None:
            texts: list[str] = item.fields[name]
            return texts[len(answers) - 1] if len(answers) <= len(texts) else None

        return says

    def _function(self, reference: str, base: Path) -> Says:
        module, _, attribute = reference.partition(":")
        with importable(base):
            function = find_function(module, attribute, base, f"{self._where}: '{reference}'")
        try:
            source = inspect.getsource(inspect.getmodule(function) or function)
        except (OSError, TypeError):
            source = reference
        self.identity = content_hash(source)

        def says(item: Item, answers: list[str]) -> str | None:
            try:
                said: Any = function(item, answers)
            except ProctorError:
                raise
            except Exception as error:
                raise TaskError(f"{self._where}: item '{item.id}': {reference} failed: {type(error).__name__}: {error}") from error
            if said is not None and not isinstance(said, str):
                raise TaskError(f"{self._where}: item '{item.id}': {reference} must return a text, or None to end, not {said!r:.80}")
            return said

        return says


def _shown(text: str) -> str:
    """An answer as the model is shown it again."""
    stripped = strip_thinking(text)
    return text if stripped is None else stripped
