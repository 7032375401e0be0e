"""A task: items, prompt, kind of response, scoring and metadata, and the protocol that pins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from proctor.canonical import content_hash, seeded
from proctor.errors import DataError, TaskError, nearest
from proctor.scoring.stated_confidence import stated_of
from proctor.scoring.task_scoring import TaskScoring, compile_scoring
from proctor.tasks.features import feature_columns, narrowed
from proctor.tasks.items import LETTERS, build_items
from proctor.tasks.media import MediaStore
from proctor.tasks.media_places import places
from proctor.tasks.prompts import OWN_DOCUMENTS, Prompter, candidates
from proctor.tasks.second_questions import SecondQuestions
from proctor.tasks.sources import read_rows
from proctor.tasks.sources.python_source import importable
from proctor.tasks.spec import ConfidenceSpec, TaskSpec
from proctor.tasks.turns import Turns
from proctor.tasks.yaml_file import task_spec_from_mapping
from proctor.template import Template
from proctor.types import Corpus, Item, MediaKind, Request, Response, Step

PROTOCOL_FORMAT = 1  # raised when the same task file would be asked or scored differently by a new Proctor
LETTER_ONLY = "Answer with the letter of the right choice only."
_SYMBOL_ONLY = "Answer with what stands before the right choice only."


class Task:
    """One task, ready to be asked.

    Built from the same keys as a task file (`docs/reference/task-format.md`); `data` may also be a list of rows:

    >>> Task(task="sums", data=[{"q": "1 + 1", "target": "2"}], prompt="{{ q }} =", scoring="exact_match")
    Task('sums', 1 item)

    Args:
        base: folder that relative paths start from; default: the current one.
        keys: as in a task file.

    Raises:
        TaskError, DataError: as for a task file.

    Attributes:
        turns: what the user says after the first answer; None where that is nothing.
        spec: the task file, typed.
        items: what is asked.
        pool: what few-shot examples are taken from.
        corpus: the documents that are ranked; None for other kinds of response.
        scoring: how responses are scored.
        base: folder that relative paths start from.
        data_map: a file that says where data sets of the hub lie on this machine.
        source: `builtin:NAME`, a path, or `python`.
        origin: where the items came from, in a line.
        variant: how it was made from another task (`proctor.tasks.variants`), as JSON values; part of the protocol. Empty where it was not.
    """

    turns: Turns | None = None
    second: SecondQuestions | None = None
    variant: Mapping[str, Any] = {}

    corpus: Corpus | None = None

    def __init__(self, *, base: Path | str | None = None, **keys: Any) -> None:
        data = keys.get("data")
        if isinstance(data, Sequence) and not isinstance(data, str) and data and isinstance(data[0], Mapping):
            keys = {**keys, "data": {"items": [dict(row) for row in data]}}
        where = f"Task({keys.get('task', '?')!r})"
        self._load(task_spec_from_mapping(keys, where), Path(base) if base else Path.cwd(), "python", where)

    @classmethod
    def from_spec(cls, spec: TaskSpec, base: Path, source: str, where: str, data: str | None = None) -> Task:
        """A task from its file's contents; paths are relative to `base`, messages begin with `where`, `data` is the map of data sets."""
        task = cls.__new__(cls)
        task._load(spec, base, source, where, data)
        return task

    def _load(self, spec: TaskSpec, base: Path, source: str, where: str, data: str | None = None) -> None:
        rows = read_rows(spec.data, base, where, data, spec.each if isinstance(spec.each, dict) else None)
        rows.rows = narrowed(rows.rows, spec, where)
        rows.shots = None if rows.shots is None else narrowed(rows.shots, spec, where)
        corpus = None
        if spec.response.kind == "rank":
            from proctor.tasks.sources import documents

            if spec.item.documents:
                corpus = documents.own_documents(rows, spec.item.documents, where)
            else:
                corpus = documents.read_corpus(spec.data, base, where, data)
            if spec.data.qrels is not None:
                rows = documents.judged(rows, spec.data, base, where, corpus, data)
        choice = spec.response.kind == "choice"
        lettered = spec.response.by != "text"
        items = build_items(rows.rows, spec.item, choice=choice, where=where, row_name=rows.where, base=base, lettered=lettered)
        if not items:
            raise DataError(f"{where}: the data has no items")
        pool = items
        if rows.shots is not None:
            as_example = msgspec.structs.replace(spec.item, metadata=[], dimensions=[])  # examples are not in the results
            name = "example {} of data.shots".format
            pool = build_items(
                rows.shots, as_example, choice=choice, where=where, row_name=lambda i: name(i + 1), base=base, lettered=lettered
            )
        self.base, self.data_map = base, data
        self.media_store = MediaStore(places(spec.data, base, rows))
        self.corpus = corpus
        self._check_candidates(spec, items, where)
        self._assemble(spec, items, pool, source, rows.origin, where)

    def _check_candidates(self, spec: TaskSpec, items: tuple[Item, ...], where: str) -> None:
        if self.corpus is None or spec.item.candidates is None:
            return
        known = set(self.corpus.ids)
        for item in items:
            missing = next((one for one in candidates(spec, item) if one not in known), None)
            if missing is not None:
                raise DataError(f"{where}: item '{item.id}': the candidate '{missing}' is not in data.corpus{nearest(missing, known)}")

    def _assemble(self, spec: TaskSpec, items: tuple[Item, ...], pool: tuple[Item, ...], source: str, origin: str, where: str) -> None:
        self.spec = spec
        self.items = items
        self.pool = pool
        self.source = source
        self.origin = origin
        self.where = where
        with importable(self.base):  # a scoring function may stand beside the task file, as a data function may
            self.scoring: TaskScoring = compile_scoring(spec.scoring, spec.response, where, spec.prompt.letters, stated_of(spec.confidence))
        self.scoring.check(items)
        self.prompter = Prompter(spec, items, pool, where, self.media_store, self.corpus.hash if self.corpus is not None else "")
        self.turns = Turns(spec, items, self.base, where) if spec.prompt.turns else None
        self.second = SecondQuestions(self) if spec.confidence else None

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {len(self.items)} item{'s' if len(self.items) != 1 else ''})"

    @property
    def name(self) -> str:
        return self.spec.task

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The columns an estimator learns from: those of `item.features`, else those that the prompt's template names, but for the id."""
        columns, each = list(self.items[0].fields), self.spec.each
        if self.spec.item.features:
            return feature_columns(self.spec.item.features, columns, self.where)
        others = {"id", self.spec.item.id, *(each if isinstance(each, dict) else ())}
        names = Template(self.spec.prompt.template, self.where).names - others
        return tuple(column for column in columns if column in names)

    @property
    def epochs(self) -> int:
        return self.spec.response.epochs

    @property
    def needs_likelihood(self) -> bool:
        """Whether a model must give log-likelihoods to sit this task."""
        response = self.spec.response
        return response.kind == "perplexity" or (response.kind == "choice" and response.by != "generate")

    @property
    def chance(self) -> float:
        """The expected score of guessing: as declared, else one in the number of choices (mean over items), else the least there is."""
        if self.spec.chance is not None:
            return self.spec.chance
        if self.spec.response.kind != "choice":
            main = self.scoring.metrics[0]
            return max(0.0, main.bounds[0]) if main.bounds is not None and main.higher_is_better else 0.0
        return sum(_right(item) / len(item.choices) for item in self.items) / len(self.items)

    @property
    def media(self) -> frozenset[MediaKind]:
        """Kinds of objects that a model must take to sit this task: `image`, `audio`, `document`."""
        return self.prompter.media

    def request(self, item: Item, epoch: int = 0) -> Request:
        """What a model is asked for `item`."""
        return self.prompter.request(item, epoch)

    @property
    def has_steps(self) -> bool:
        """Whether an attempt may make more than one request."""
        return self.turns is not None or self.second is not None or self.scoring.has_steps

    def next_steps(self, item: Item, epoch: int, request: Request, response: Response) -> Sequence[Step]:
        """What an attempt asks next: first the turns of its conversation, then second questions about it, and what the scoring asks judges.

        The same answers always lead to the same steps, which is how a run that was stopped finds its place again.

        Args:
            item, epoch: of the attempt.
            request: its first request.
            response: the answer to that, with all exchanges so far in it; none of them failed.

        Returns:
            Requests that do not depend on one another; none where the attempt is complete.
        """
        if self.turns is not None:
            step = self.turns.next(item, epoch, request, response)
            if step is not None:
                return (step,)
        second = self.second.steps(item, epoch, request, response) if self.second is not None else []
        return [*second, *self.scoring.steps(item, request, response)]

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """Everything that must be the same for two scores on this task to be comparable, as JSON values.

        Items are in it by id and content, in no order; titles and descriptions are not in it, nor is anything of the model.
        """
        spec = self.spec
        with_examples = spec.prompt.shots > 0
        ordered = with_examples and spec.prompt.choose == "first"
        made: dict[str, Any] = {"variant": dict(self.variant)} if self.variant else {}
        if self.second is not None:
            made["confidence"] = self.second.protocol
        documents = {}
        if self.corpus is not None:
            documents["corpus"] = {
                "count": len(self.corpus.ids),
                "hash": self.corpus.hash,
                "candidates": OWN_DOCUMENTS if spec.item.documents else spec.item.candidates,
            }
        features = {"features": list(self.features)} if spec.item.features else {}
        turns = {"turns": self.turns.identity} if self.turns is not None and self.turns.identity else {}
        return {
            "format": PROTOCOL_FORMAT,
            "task": spec.task,
            "version": spec.version,
            "items": {"count": len(self.items), "hash": self._hash_of(self.items, ordered=False)},
            # Examples in a file of their own count even where none is shown: baselines answer from them.
            "examples": self._hash_of(self.pool, ordered=ordered) if with_examples or spec.data.shots is not None else None,
            "prompt": msgspec.to_builtins(spec.prompt),
            "response": msgspec.to_builtins(spec.response),
            "scoring": self.scoring.protocol,
            **made,
            **documents,
            **turns,
            **features,
        }

    def _hash_of(self, items: Sequence[Item], *, ordered: bool) -> str:
        if not self.media:
            return _items_hash(items, ordered=ordered)
        pairs = [(item.id, content_hash(self.prompter.content(item))) for item in items]
        return content_hash(pairs if ordered else sorted(pairs))

    @cached_property
    def protocol_hash(self) -> str:
        """Twelve hexadecimal digits of the protocol's hash."""
        return content_hash(self.protocol, 12)

    def limited(self, count: int, seed: int = 0) -> Task:
        """The same task with `count` of its items.

        Which ones depends on the seed and their ids alone, and a smaller limit's items are among a larger one's. Examples are still
        taken from the whole pool, so that no prompt changes.
        """
        if count >= len(self.items):
            return self
        ranked = sorted(self.items, key=lambda item: seeded("limit", seed, self.spec.seed_name, item.id))
        kept = {item.id for item in ranked[:count]}
        return self._with(self.spec, tuple(item for item in self.items if item.id in kept))

    def only(self, ids: Sequence[str]) -> Task:
        """The same task with the named items, in that order. Raises `DataError` for an unknown id."""
        by_id = {item.id: item for item in self.items}
        for name in ids:
            if name not in by_id:
                raise DataError(f"task '{self.name}' has no item '{name}'{nearest(name, by_id)}")
        return self._with(self.spec, tuple(by_id[name] for name in ids))

    def changed(self, *, shots: int | None = None, epochs: int | None = None, seed: int | None = None) -> Task:
        """The same items under another number of examples, epochs or seed. Raises `TaskError` where the task does not allow it."""
        prompt = self.spec.prompt
        if shots is not None:
            prompt = msgspec.structs.replace(prompt, shots=shots)
        if seed is not None:
            prompt = msgspec.structs.replace(prompt, seed=seed)
        response = self.spec.response if epochs is None else msgspec.structs.replace(self.spec.response, epochs=epochs)
        if prompt == self.spec.prompt and response == self.spec.response:
            return self
        return self._with(msgspec.structs.replace(self.spec, prompt=prompt, response=response), self.items)

    @property
    def judged(self) -> bool:
        """Whether its answers are scored by other models."""
        return self.scoring.has_steps

    def judged_by(self, judges: Sequence[str]) -> Task:
        """The same task with other judges; a protocol of its own. Itself where nothing is judged."""
        if not self.judged or list(judges) == self.spec.scoring.judges:
            return self
        scoring = msgspec.structs.replace(self.spec.scoring, judges=list(judges))
        return self._with(msgspec.structs.replace(self.spec, scoring=scoring), self.items)

    def asked_about(self, confidence: Sequence[ConfidenceSpec]) -> Task:
        """The same task with these second questions in place of its own; a protocol of its own."""
        if list(confidence) == self.spec.confidence:
            return self
        return self._with(msgspec.structs.replace(self.spec, confidence=list(confidence)), self.items)

    def as_generation(self) -> Task:
        """The same multiple-choice items for a model that gives no log-likelihoods: it is shown the lettered choices and writes a letter.

        A protocol of its own. Raises `TaskError` for a task that cannot be put so.
        """
        spec = self.spec
        if not self.needs_likelihood:
            return self
        if spec.response.kind != "choice":
            raise TaskError(f"task '{self.name}' needs log-likelihoods, which the model does not give; leave it out for this model")
        most = max(len(item.choices) for item in self.items)
        if most > len(LETTERS):
            raise TaskError(
                f"task '{self.name}' has items with {most} choices, too many to letter, and the model gives no log-likelihoods; "
                "leave it out for this model"
            )
        template = spec.prompt.template
        if not Template(template, self.where).names & {"options"}:
            template = f"{template}\n{{{{ options }}}}".lstrip("\n")
        only = LETTER_ONLY if not spec.prompt.letters else _SYMBOL_ONLY
        prompt = msgspec.structs.replace(spec.prompt, template=f"{template}\n\n{only}", style="auto", answer=None)
        response = msgspec.structs.replace(spec.response, by="generate", normalise="none")
        return self._with(msgspec.structs.replace(spec, prompt=prompt, response=response), self.items)

    def varied(self, spec: TaskSpec, items: tuple[Item, ...], pool: tuple[Item, ...], variant: Mapping[str, Any], origin: str = "") -> Task:
        """A task made from this one: another specification, the same items put otherwise, and what says how, for the protocol."""
        task = Task.__new__(Task)
        task.base, task.data_map, task.media_store = self.base, self.data_map, self.media_store
        task.variant, task.corpus = variant, self.corpus
        task._assemble(spec, items, pool, self.source, origin or self.origin, self.where)
        return task

    def _with(self, spec: TaskSpec, items: tuple[Item, ...]) -> Task:
        return self.varied(spec, items, self.pool, self.variant)


def item_hash(item: Item) -> str:
    """Hash of what an item asks and counts as right."""
    return content_hash([item.fields, item.choices, item.target, item.group])


def _items_hash(items: Sequence[Item], *, ordered: bool) -> str:
    pairs = [(item.id, item_hash(item)) for item in items]
    return content_hash(pairs if ordered else sorted(pairs))


def _right(item: Item) -> int:
    return len(set(item.target)) if isinstance(item.target, list) else 1
