"""The prompt before an answer, character by character as lm-evaluation-harness writes it.

[description] + Σ (question + target delimiter + answer + few-shot delimiter) + question; with the model's chat template each of these is a
turn, or all examples stand in one turn with the question, and the description is the system's turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from proctor.errors import DataError
from proctor.tasks.lm_eval.config import Config
from proctor.tasks.lm_eval.documents import Reader
from proctor.tasks.lm_eval.settings import Chat
from proctor.types import Message, Prompt, Role

Row = Mapping[str, Any]


class Turn(Struct, frozen=True):
    """A piece of the prompt, and what stands after it in running text."""

    role: Role
    content: str
    after: str = ""


class Contexts:
    """Writes the prompts of one task.

    Args:
        config: the task.
        reader: reads its documents.
        chat: whether and how the model's chat template is used.
        several: whether each choice is a context of its own, before one continuation.
    """

    def __init__(self, config: Config, reader: Reader, chat: Chat, several: bool) -> None:
        self.config, self.reader, self.chat, self.several = config, reader, chat, several
        self._examples: dict[int, tuple[Row, list[Turn]]] = {}

    def prompts(self, row: Row, examples: Sequence[Row]) -> tuple[Prompt, ...]:
        """The prompt of a document; one for each choice where each is a context of its own."""
        before = self._before(row, examples)
        prefix = self.reader.prefix(row)
        if self.several:
            texts = self.reader.choices(row)
            return tuple(self._prompt([*before, *self._turns(text, None, None, prefix, "", "")], prefix) for text in texts)
        question = self.reader.text(row)
        if not isinstance(question, str):
            raise DataError(f"{self.config.where}: doc_to_text: expected a text, got {question!r:.80}")
        return (self._prompt([*before, *self._turns(question, None, None, prefix, self.config.target_delimiter, "")], prefix),)

    def delimiter(self) -> str:
        """What stands before a choice: nothing after a chat template's turn, unless the answer was begun and needs it."""
        prefix = self.config.gen_prefix
        if self.chat == "off" or (prefix and not prefix[-1].isspace()):
            return self.config.target_delimiter
        return ""

    def example(self, row: Row) -> list[Turn]:
        """An example with its answer."""
        how = self.config.fewshot
        question = self.reader.text(row, how.doc_to_text)
        choices = self.reader.choices(row, how.doc_to_choice) if how.doc_to_choice is not None else None
        answer = self.reader.target(row, how.doc_to_target)
        prefix = self.reader.field(row, how.gen_prefix, "fewshot_config.gen_prefix")
        if self.several and choices is not None:
            question, choices = choices[question], None
        if not isinstance(question, str):
            raise DataError(f"{self.config.where}: the question of an example is no text: {question!r:.80}")
        return self._turns(question, choices, answer, prefix, how.target_delimiter, how.fewshot_delimiter)

    def _before(self, row: Row, examples: Sequence[Row]) -> list[Turn]:
        turns: list[Turn] = []
        description = self.reader.field(row, self.config.description, "description")
        if description:
            turns.append(Turn("system", description))
        for one in examples:
            # The same few documents stand before thousands; each is written once, and kept so that no other takes its place in memory.
            if id(one) not in self._examples:
                self._examples[id(one)] = (one, self.example(one))
            turns += self._examples[id(one)][1]
        return turns

    def _turns(
        self, question: str, choices: Sequence[str] | None, answer: Any, prefix: str | None, delimiter: str, after: str
    ) -> list[Turn]:
        """Question and answer; the question and the beginning of its answer where `answer` is None or empty."""
        answered = answer is not None and answer != ""
        if answered and not prefix:
            glue = delimiter
        else:
            glue = delimiter if prefix and question and not (question[-1].isspace() or prefix[0].isspace()) else ""
        turns = [Turn("user", question, glue)]
        if answered:
            turns.append(Turn("assistant", self._joined(prefix, self._answer(choices, answer)), after))
        elif prefix:
            turns.append(Turn("assistant", prefix))
        return turns

    def _answer(self, choices: Sequence[str] | None, answer: Any) -> str:
        if choices and isinstance(answer, int):
            if not -len(choices) <= answer < len(choices):
                raise DataError(f"{self.config.where}: an example's answer is choice {answer}, and there are {len(choices)}")
            answer = choices[answer]
        elif isinstance(answer, list | tuple) and answer:
            answer = answer[0]
        if not isinstance(answer, str):
            raise DataError(f"{self.config.where}: the answer of an example is no text: {answer!r:.80}")
        return answer

    @staticmethod
    def _joined(prefix: str | None, answer: str) -> str:
        if not prefix or not answer:
            return prefix or answer
        return f"{prefix}{'' if prefix[-1].isspace() or answer[0].isspace() else ' '}{answer}"

    def _prompt(self, turns: Sequence[Turn], prefix: str | None) -> Prompt:
        if self.chat == "off":
            text = "".join(turn.content + turn.after for turn in turns)
            return Prompt((Message("user", text),) if text else (), style="plain", delimiter="")
        turns, begun = (turns[:-1], turns[-1].content) if prefix and turns[-1].role == "assistant" else (turns, "")
        if self.chat == "one-turn":
            system = turns[:1] if turns and turns[0].role == "system" else ()
            rest = turns[len(system) :]
            # Nothing stands after the question: there the turn ends.
            text = "".join(turn.content + turn.after for turn in rest[:-1]) + rest[-1].content
            turns = [*system, Turn("user", text)]
        return Prompt(tuple(Message(turn.role, turn.content) for turn in turns), begun, delimiter="")
