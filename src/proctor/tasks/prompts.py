"""From an item to what is asked: question, examples, conversation, request."""

from __future__ import annotations

from typing import Any

import msgspec

from proctor.canonical import seeded
from proctor.errors import TaskError
from proctor.tasks.items import LETTERS
from proctor.tasks.media import MediaProblemError, MediaStore, located
from proctor.tasks.shots import Shots
from proctor.tasks.spec import TaskSpec
from proctor.template import Template
from proctor.types import PLACE, Generate, Item, Likelihood, Message, Prompt, Rank, Request

OWN_NAMES = ("choices", "letters", "options")  # what a template sees beside the row's columns
CHOICE = "choice"  # one of them, seen where each is put into the question or the continuation
GAP = "____"  # what stands in its place where the model is asked to fill it
OWN_DOCUMENTS = "_documents"  # the column with the ids of a row's own documents
EXAMPLE_CHARACTERS = 1 << 24  # of rendered examples that are kept; a few examples go before many items
_SEED_RANGE = 2**31  # what every provider takes as a seed


class Prompter:
    """Renders the requests of one task.

    Args:
        spec: the task.
        items: all its items; their columns are what a template may name.
        pool: items that examples are taken from.
        where: the task file, for messages.
        store: of the pictures, sounds and documents that the templates show.
        corpus: hash of the documents that are ranked; empty for other kinds of response.

    Raises:
        TaskError: a template that names an unknown column; fixed examples that do not exist; an object outside of the question.

    Attributes:
        media: kinds of objects that the question shows.
    """

    def __init__(
        self,
        spec: TaskSpec,
        items: tuple[Item, ...],
        pool: tuple[Item, ...],
        where: str,
        store: MediaStore | None = None,
        corpus: str = "",
    ) -> None:
        self.spec = spec
        self.corpus = corpus
        prompt = spec.prompt
        self.template = Template(prompt.template, f"{where}: prompt.template")
        self.prefill = Template(prompt.prefill, f"{where}: prompt.prefill")
        self.system = Template(prompt.system, f"{where}: prompt.system") if prompt.system else None
        self.answer = Template(prompt.answer, f"{where}: prompt.answer") if prompt.answer is not None else None
        self.option = Template(prompt.option, f"{where}: prompt.option")
        self.option.check(("letter", "choice"))
        self.letters = tuple(prompt.letters) or tuple(LETTERS)
        most = max(len(item.choices) for item in (*items, *pool)) if prompt.letters else 0
        if most > len(self.letters):
            raise TaskError(f"{where}: prompt.letters: {len(self.letters)} for {most} choices; give one for each")
        self.continuation = (
            Template(spec.response.continuation, f"{where}: response.continuation") if spec.response.continuation is not None else None
        )
        # Whether the question holds the choice: then what follows is the same for all choices, and is compared after each.
        self.holds_choice = CHOICE in self.template.names and CHOICE not in items[0].fields
        self._check_continuation(where)
        self.instruction = Template(prompt.instruction, f"{where}: prompt.instruction") if prompt.instruction is not None else None
        for template in (self.template, self.prefill, self.system, self.answer, self.instruction, self.continuation):
            if template is not None:
                self._check_names(template, items[0])
                if template.media and template is not self.template:
                    raise TaskError(f"{template.where}: only prompt.template can show an object (| {min(template.media)})")
        self.media = self.template.media
        self._where = where
        self._store = (store or MediaStore([])) if self.media else None
        self.shots: Shots | None = None
        if prompt.shots:
            self.shots = Shots(pool, self.question, prompt, spec.seed_name)
        self._examples: dict[str, tuple[Message, Message]] = {}
        self._room = EXAMPLE_CHARACTERS

    def request(self, item: Item, epoch: int) -> Request:
        """What a model is asked for `item`; the epoch matters only to the seed of sampled answers."""
        if self.spec.response.kind == "rank":
            return self._rank(item)
        response = self.spec.response
        if self.holds_choice and response.by == "text":
            prompts = tuple(self._prompt(item, choice) for choice in item.choices)
            return Likelihood(prompts, self._same_continuation(item))
        prompt = self._prompt(item)
        if response.kind == "perplexity":
            return Likelihood((prompt,), (str(item.target),))
        if response.kind == "choice" and response.by != "generate":
            texts = self.letters[: len(item.choices)] if response.by == "letter" else self._continuations(item)
            unconditional = (Prompt(),) if response.normalise == "unconditional" else ()
            return Likelihood((prompt, *unconditional), texts)
        sampled = response.temperature > 0
        seed = seeded("sample", self.spec.prompt.seed, self.spec.seed_name, item.id, epoch) % _SEED_RANGE if sampled else None
        return Generate(prompt, response.max_tokens, tuple(response.stop), response.temperature, response.top_p, seed)

    def _rank(self, item: Item) -> Rank:
        instruction = self._show(self.instruction, item) if self.instruction is not None else ""
        return Rank(
            self.question(item), self.corpus, instruction, self.spec.prompt.delimiter, candidates(self.spec, item), self.spec.response.top_k
        )

    def _continuations(self, item: Item) -> tuple[str, ...]:
        """What is scored after the question, for each choice."""
        if self.continuation is None:
            return item.choices
        return tuple(self._show(self.continuation, item, None, choice) for choice in item.choices)

    def _same_continuation(self, item: Item) -> tuple[str]:
        """What is scored after each choice. Raises `TaskError` where it is not one text."""
        texts = set(self._continuations(item))
        if len(texts) != 1 or texts == {""}:
            raise TaskError(
                f"task '{self.spec.task}': response.continuation: item '{item.id}': the question holds the choice, so that what follows "
                f"must be the same text for all choices, and not empty; it is {' and '.join(repr(text) for text in sorted(texts)):.120}"
            )
        return (texts.pop(),)

    def _check_continuation(self, where: str) -> None:
        response = self.spec.response
        chooses = response.kind == "choice"
        if self.continuation is not None and not (chooses and response.by in ("text", "generate")):
            raise TaskError(f"{where}: response.continuation: belongs to kind: choice with by: text")
        if self.holds_choice and chooses and response.by != "generate":
            if response.by != "text" or self.continuation is None:
                raise TaskError(
                    f"{where}: prompt.template: it names 'choice', which is no column; to compare what follows each choice give by: text "
                    "and response.continuation"
                )
            if response.normalise != "none" or self.spec.prompt.prefill:
                raise TaskError(f"{where}: prompt.template: where it names 'choice' there is neither response.normalise nor prompt.prefill")

    def question(self, item: Item, choice: str | None = None) -> str:
        """The rendered question of an item, without examples; where it shows objects, with marks that are told apart by what they show.

        Args:
            item: the item.
            choice: what stands in the place of `choice`; None: a gap.

        Raises:
            TaskError: a template that fails on the item.
            DataError: an object that cannot be shown.
        """
        try:
            return self._show(self.template, item, self._store, GAP if choice is None else choice)
        except MediaProblemError as error:
            raise located(error, item, self._where) from None

    def content(self, item: Item) -> list[Any] | None:
        """What an item asks and counts as right, as JSON values, where it shows objects; None where its columns say all."""
        if self._store is None:
            return None
        self._store.shown.clear()
        return self._store.content(item, self.question(item))

    def _prompt(self, item: Item, choice: str | None = None) -> Prompt:
        spec = self.spec.prompt
        question = self.question(item, choice)
        turns: list[Message] = []
        for example in self.shots.of(item, question) if self.shots else ():
            turns += self._example(example)
        if spec.shots_as == "text" and turns:
            texts = [
                user.content + _glue(user.content, spec.delimiter) + said.content
                for user, said in zip(turns[::2], turns[1::2], strict=True)
            ]
            turns, question = [], spec.separator.join([*texts, question])
        if self.system is not None:
            turns.insert(0, Message("system", self._show(self.system, item)))
        turns += self._history(item)
        if question or (turns and turns[-1].role != "user"):
            turns.append(Message("user", question))
        prefill = self._show(self.prefill, item)
        if self._store is not None:
            turns = [self._store.message(turn) for turn in turns]
            prefill = prefill.replace(PLACE, "\ufffd")
        return Prompt(tuple(turns), prefill, spec.style, spec.delimiter, spec.separator)

    def _history(self, item: Item) -> list[Message]:
        """The earlier turns that the item's column holds. Raises `TaskError` where it holds something else."""
        column = self.spec.prompt.history
        if column is None:
            return []
        try:
            return msgspec.convert(item.fields[column], list[Message])
        except KeyError:
            raise TaskError(f"task '{self.spec.task}': prompt.history: item '{item.id}' has no column '{column}'") from None
        except msgspec.ValidationError as error:
            raise TaskError(
                f"task '{self.spec.task}': prompt.history: item '{item.id}': the column '{column}' must hold a list of "
                f"{{role: user or assistant or system, content: text}}: {error}"
            ) from None

    def _example(self, example: Item) -> tuple[Message, Message]:
        """An example's question and answer as turns."""
        turns = self._examples.get(example.id)
        if turns is None:
            prefill = self._show(self.prefill, example)
            answer = prefill + _glue(prefill, self.spec.prompt.delimiter) + self.example_answer(example)
            right = self._right_choice(example) if self.holds_choice and self.spec.response.by == "text" else None
            turns = (Message("user", self.question(example, right)), Message("assistant", answer))
            self._room -= len(turns[0].content) + len(answer)
            if self._room > 0:
                self._examples[example.id] = turns
        return turns

    def example_answer(self, example: Item) -> str:
        """How the answer of an example reads. Raises `TaskError` for a target that is no text or number, where nothing says how."""
        if self.answer is not None:
            return self._show(self.answer, example)
        target = example.target[0] if isinstance(example.target, list) and example.target else example.target
        if self.spec.response.kind == "choice":
            return self._continuations(example)[target] if self.spec.response.by == "text" else self.letters[target]
        if isinstance(target, str | int | float) and not isinstance(target, bool):
            return str(target)
        raise TaskError(
            f"task '{self.spec.task}': the target of example '{example.id}' is not a text or number; "
            "say with prompt.answer how an answer reads"
        )

    def _right_choice(self, example: Item) -> str:
        target = example.target[0] if isinstance(example.target, list) else example.target
        return example.choices[target]

    def _check_names(self, template: Template, item: Item) -> None:
        """Raise `TaskError` for a name that is no column, and for one that is a column and a name of Proctor's with another meaning."""
        if not item.choices:
            for name in OWN_NAMES:
                if name in template.names and name not in item.fields:
                    raise TaskError(
                        f"{template.where}: '{name}' is not a column of the data, and the item has no choices: set item.choices"
                    )
            template.check(item.fields)
            return
        sees_choice = template in (self.template, self.continuation) and self.spec.response.kind == "choice"
        template.check({*item.fields, *OWN_NAMES, *((CHOICE,) if sees_choice else ())})
        for name in OWN_NAMES:
            if name in template.names and name in item.fields and not _same(item.fields[name], self._values(item)[name]):
                raise TaskError(
                    f"{template.where}: '{name}' is a column of the data and also Proctor's name for the item's "
                    f"{'choices' if name == 'choices' else 'lettered choices' if name == 'options' else 'letters'}; rename the column"
                )

    def _show(self, template: Template, item: Item, store: MediaStore | None = None, choice: str | None = None) -> str:
        values = item.fields if template.names.isdisjoint(OWN_NAMES) else self._values(item)
        if choice is not None and CHOICE in template.names:
            values = {CHOICE: choice, **values}
        return template.render(values, store)

    def _values(self, item: Item) -> dict[str, Any]:
        """What a template sees: the row's columns and, for an item with choices, these with their letters."""
        if not item.choices:
            return item.fields
        letters = self.letters[: len(item.choices)]
        options = "\n".join(
            self.option.render({"letter": letter, "choice": choice}) for letter, choice in zip(letters, item.choices, strict=True)
        )
        return {**item.fields, "choices": item.choices, "letters": list(letters), "options": options}


def _same(column: Any, own: Any) -> bool:
    return [str(one) for one in column] == [str(one) for one in own] if isinstance(column, list) else column == own


def _glue(text: str, delimiter: str) -> str:
    return "" if not text or text[-1].isspace() else delimiter


def candidates(spec: TaskSpec, item: Item) -> tuple[str, ...]:
    """The documents that an item has put into order; none where it is all of the corpus. Raises `TaskError` for a column without a list."""
    if spec.item.documents:
        return tuple(item.fields[OWN_DOCUMENTS])
    if spec.item.candidates is None:
        return ()
    found = item.fields.get(spec.item.candidates)
    if not isinstance(found, list) or not found:
        raise TaskError(
            f"task '{spec.task}': item.candidates: expected a list of the ids of documents in the column '{spec.item.candidates}' "
            f"of item '{item.id}', got {found!r:.80}"
        )
    return tuple(str(one) for one in found)
