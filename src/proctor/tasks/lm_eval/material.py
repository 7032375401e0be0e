"""What a task is made of once its data are there: items, examples, and how a request and its scoring are put together."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

from proctor.errors import DataError, TaskError
from proctor.scoring.lm_eval.filters import FILTERS, Step, of_class
from proctor.scoring.lm_eval.metrics import NO_CHOICE, Gold
from proctor.scoring.lm_eval.scorer import Document, LmEvalScoring, Pipeline, Wanted
from proctor.tasks.lm_eval.code import load_function, run_documents, untrusted
from proctor.tasks.lm_eval.config import Config
from proctor.tasks.lm_eval.contexts import Contexts
from proctor.tasks.lm_eval.datasets import Splits
from proctor.tasks.lm_eval.documents import Reader
from proctor.tasks.lm_eval.examples import HarnessExamples, OwnExamples
from proctor.tasks.lm_eval.scoring_keys import Filter
from proctor.tasks.lm_eval.settings import LmEvalSettings
from proctor.tasks.lm_eval.table import Documents
from proctor.tasks.lm_eval.yaml_files import FunctionRef
from proctor.tasks.sources import plain_rows
from proctor.types import Generate, Item, Likelihood, Prompt, Request

DIGITS = 8  # of a document's hash in an item's id, as the import of the harness's samples has them


class Material:
    """The data of one task, read when they are first needed.

    Args:
        config: the task.
        settings: how it is put.

    Raises:
        TaskError: it has code that is not trusted.
    """

    def __init__(self, config: Config, settings: LmEvalSettings) -> None:
        self.config, self.settings = config, settings
        self._functions: dict[FunctionRef, Any] = {}
        if config.functions and not settings.trust:
            raise untrusted(config.functions, config.where)

    def resolve(self, ref: FunctionRef) -> Any:
        """The function behind a reference."""
        if ref not in self._functions:
            self._functions[ref] = load_function(ref, self.config.where)
        return self._functions[ref]

    @cached_property
    def splits(self) -> Splits:
        return Splits(self.config, self.settings.data, self.resolve)

    @property
    def split(self) -> str:
        """The split that is asked."""
        return self.config.test_split or self.config.validation_split or ""

    @cached_property
    def documents(self) -> Documents:
        """What is asked."""
        found = self._processed(self.split, self.config.process_docs)
        if not len(found):
            raise DataError(f"{self.config.where}: the split '{self.split}' has no documents")
        return found

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return list(self.documents)

    @property
    def pool_split(self) -> str | None:
        """The split that examples come from; None where they stand in the task file."""
        config = self.config
        if config.fewshot.split is not None or config.fewshot.samples is not None:
            return config.fewshot.split
        return config.training_split or config.validation_split or config.test_split

    @cached_property
    def pool_rows(self) -> list[dict[str, Any]]:
        """What examples are taken from."""
        config = self.config
        samples = config.fewshot.samples
        if config.fewshot.split is None and samples is not None:
            found = self.resolve(samples)() if isinstance(samples, FunctionRef) else samples
            return [dict(one) for one in found]
        process = config.fewshot.process_docs if config.fewshot.split is not None else config.process_docs
        if self.pool_split == self.split and process == config.process_docs:
            return self.rows
        return list(self._processed(self.pool_split or "", process))

    def _processed(self, split: str, process: FunctionRef | None) -> Documents:
        documents = self.splits.split(split)
        if process is None:
            return documents
        return run_documents(self.resolve(process), documents, f"process_docs: {process.name} over the split '{split}'", self.config.where)

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.config, self.resolve, self.documents.column_names)

    @cached_property
    def sniffed(self) -> tuple[bool, bool]:
        """Whether each choice is a context of its own, and whether several targets are right: by the first document, as in the harness."""
        text = self.reader.text(self.rows[0]) if self.config.doc_to_text is not None else ""
        target = self.reader.target(self.rows[0])
        inputs = self.config.doc_to_choice is not None and isinstance(text, int)
        return inputs and bool(self.reader.choices(self.rows[0])), isinstance(target, list) and bool(target)

    @cached_property
    def contexts(self) -> Contexts:
        return Contexts(self.config, self.reader, self.settings.chat, self.sniffed[0])

    # ------------------------------------------------------------------------------------------------------------ items

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """What is asked, as items named by place and hash: `17#a1b2c3d4`."""
        return tuple(self._item(row, position, "") for position, row in enumerate(self.rows))

    @cached_property
    def pool(self) -> tuple[Item, ...]:
        """What examples are taken from, as items."""
        if self.pool_rows is self.rows:
            return self.items
        place = f"{self.pool_split or 'samples'}/"
        return tuple(self._item(row, position, place, example=True) for position, row in enumerate(self.pool_rows))

    @cached_property
    def positions(self) -> dict[str, int]:
        """The place of each item among the documents."""
        return {item.id: position for position, item in enumerate(self.items)}

    def _item(self, row: dict[str, Any], position: int, place: str, *, example: bool = False) -> Item:
        digest = document_hash(row)
        fields = plain_rows([plain(row)], f"{self.config.where}: document {position}")[0]
        name = f"{place}{position}#{digest[:DIGITS]}"
        if example:
            return Item(name, fields)
        document = self.document_of(row)
        target: Any = document.target
        if document.gold is not None:
            target = list(document.gold.indices) if document.gold.several else document.gold.indices[0]
        elif self.config.output_type == "generate_until" and isinstance(target, list):
            target = [one if isinstance(one, str) else str(one) for one in target]
        elif not isinstance(target, str):
            target = str(target)
        raw = plain_rows([plain({"target": self.reader.target(row)})], f"{self.config.where}: document {position}")[0]["target"]
        return Item(name, fields, document.choices, target, "", {"doc": fields, "doc_hash": digest, "target": raw})

    def document_of(self, row: dict[str, Any]) -> Document:
        """What scoring needs to know of a document."""
        config, reader = self.config, self.reader
        inputs, several = self.sniffed
        if config.output_type == "multiple_choice":
            choices = tuple(one if isinstance(one, str) else str(one) for one in reader.choices(row))
            said = reader.text(row) if inputs else reader.target(row)
            return Document(row, choices, self._gold(said, choices, several))
        target = reader.target(row)
        if config.output_type == "generate_until":
            if config.doc_to_choice is not None:
                listed = reader.choices(row)
                target = listed[target] if isinstance(target, int) and -len(listed) <= target < len(listed) else target
                return Document(row, (), None, target)
            several = several if self.settings.compat else isinstance(target, list)
            return Document(row, (), None, list(target) if several and not isinstance(target, str) else target, several)
        if not isinstance(target, str):
            raise DataError(f"{config.where}: doc_to_target: expected a text, got {target!r:.80}")
        return Document(row, (), None, target)

    def _gold(self, said: Any, choices: Sequence[str], several: bool) -> Gold:
        many = isinstance(said, list)
        if not self.settings.compat:
            several = many
        found = tuple(self._index(one, choices) for one in (said if many else [said]))
        if many and not several:
            # The first document had one right choice, so the harness compares a number with a list: never equal.
            return Gold((NO_CHOICE,), several=False)
        return Gold(found or (NO_CHOICE,), several)

    @staticmethod
    def _index(said: Any, choices: Sequence[str]) -> int:
        if isinstance(said, bool):
            said = int(said)
        if isinstance(said, int):
            return said if said < len(choices) else NO_CHOICE
        if isinstance(said, float) and said.is_integer():
            return int(said) if said < len(choices) else NO_CHOICE
        return list(choices).index(said) if isinstance(said, str) and said in choices else NO_CHOICE

    def document(self, item: Item) -> Document:
        """What scoring needs to know of an item; rows are those that the task's functions made, not what JSON makes of them."""
        return self.document_of(dict(self.rows[self.positions[item.id]]))

    # --------------------------------------------------------------------------------------------------------- requests

    def examples(self, shots: int, seed: int) -> Callable[[Item], Sequence[Mapping[str, Any]]]:
        """Item -> the documents that go before it."""
        sampler = self.config.fewshot.sampler
        if not self.settings.compat:
            pool, rows = (self.pool, self.pool_rows) if shots else ((), [])
            own = OwnExamples(pool, rows, shots, seed, sampler, self.config.task, self._question)
            return own.of
        excluding = self.config.fewshot.split == self.config.test_split
        rows = self.pool_rows if shots else []
        drawn = HarnessExamples(rows, self.rows, shots, sampler, excluding, self.config.where)
        return lambda item: drawn.of(self.positions[item.id])

    def _question(self, item: Item) -> str:
        text = self.reader.text(item.fields)
        return text if isinstance(text, str) else json.dumps(item.fields, sort_keys=True)

    def request(self, item: Item, examples: Sequence[Mapping[str, Any]], seed: int | None) -> Request:
        """What a model is asked; `seed` is that of sampling."""
        config = self.config
        row = self.rows[self.positions[item.id]]
        if config.output_type == "loglikelihood_rolling":
            return Likelihood((Prompt(scores_bos=self.settings.compat),), (str(item.target),))
        prompts = self.contexts.prompts(row, examples)
        if config.output_type == "loglikelihood":
            return Likelihood(prompts, (str(item.target),))
        if config.output_type == "multiple_choice":
            delimiter = self.contexts.delimiter()
            alone: tuple[Prompt, ...] = ()
            texts = item.choices
            if self.sniffed[0]:
                texts = (str(self.reader.target(row)),)
            if any(metric.name == "acc_mutual_info" for metric in config.metrics):
                alone = (Prompt(),)
            return Likelihood((*prompts, *alone), tuple(f"{delimiter}{text}" for text in texts))
        how = config.generation
        return Generate(prompts[0], how.max_tokens, how.stop, how.temperature, how.top_p, seed if how.temperature > 0 else None)

    # ---------------------------------------------------------------------------------------------------------- scoring

    def scoring(self) -> LmEvalScoring:
        """How responses are scored."""
        config = self.config
        wanted = [
            Wanted(
                one.name,
                self.resolve(one.function) if one.function and config.process_results is None else None,
                self.resolve(one.aggregation) if isinstance(one.aggregation, FunctionRef) else one.aggregation,
                one.higher_is_better,
                one.options,
            )
            for one in config.metrics
        ]
        own = self.resolve(config.process_results) if config.process_results else None
        described = {
            "metrics": [[one.name, _name(one.aggregation), one.higher_is_better, named(one.options)] for one in config.metrics],
            "filters": [[one.name, [[_name(function), named(options)] for function, options in one.steps]] for one in config.filters],
            "process_results": config.process_results.name if config.process_results else None,
        }
        pipelines = [Pipeline(one.name, self._steps(one)) for one in config.filters]
        return LmEvalScoring(config.output_type, wanted, pipelines, own, self.document, compat=self.settings.compat, described=described)

    def _steps(self, pipeline: Filter) -> tuple[Step, ...]:
        steps: list[Step] = []
        for function, options in pipeline.steps:
            given = {key: self.resolve(value) if isinstance(value, FunctionRef) else value for key, value in options.items()}
            try:
                steps.append(FILTERS[function](**given) if isinstance(function, str) else of_class(self.resolve(function), given))
            except TaskError:
                raise
            except Exception as error:
                raise TaskError(f"{self.config.where}: filter '{pipeline.name}': {type(error).__name__}: {error}") from error
        return tuple(steps)


def document_hash(row: Mapping[str, Any]) -> str:
    """The harness's `doc_hash`."""
    text = json.dumps(row, indent=2, ensure_ascii=False, default=_serialised)
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _serialised(value: Any) -> Any:
    """As the harness writes what JSON does not hold."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return list(value) if isinstance(value, set) else str(value)


def plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null, and what the task's code made of other types its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if value is None or isinstance(value, str | int) or hasattr(value, "tolist"):
        return value
    if isinstance(value, set | frozenset | datetime.date | datetime.time | datetime.timedelta):
        return value
    return str(value)


def _name(value: Any) -> Any:
    return f"!function {value.name}" if isinstance(value, FunctionRef) else value


def named(value: Any) -> Any:
    """A value of a task file as JSON holds it: functions by their names."""
    if isinstance(value, dict):
        return {str(key): named(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [named(one) for one in value]
    return _name(value) if isinstance(value, FunctionRef) else value if isinstance(value, str | int | float | bool | None) else str(value)
