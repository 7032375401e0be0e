"""A task of lm-evaluation-harness as a Task of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from proctor.canonical import seeded
from proctor.errors import TaskError
from proctor.tasks.lm_eval.code import code_hash
from proctor.tasks.lm_eval.config import Config
from proctor.tasks.lm_eval.examples import SEED
from proctor.tasks.lm_eval.material import Material, named
from proctor.tasks.lm_eval.settings import LmEvalSettings, write_ref
from proctor.tasks.spec import DataSpec, PromptSpec, ResponseSpec, TaskSpec
from proctor.tasks.task import Task, _items_hash
from proctor.types import Item, MediaKind, Request

FORMAT = 1  # raised when the same task file would be asked or scored differently by a new Proctor
_SEED_RANGE = 2**31
_LATER = ("items", "pool", "scoring", "origin")


class LmEvalTask(Task):
    """A task file of the harness, put under Proctor's rules or under its own.

    Its data are read when they are first needed, not when it is loaded.

    Args:
        config: the file.
        settings: how it is put.

    Raises:
        TaskError: it has code that is not trusted, or that cannot be imported.
    """

    def __init__(self, config: Config, settings: LmEvalSettings) -> None:
        self.config, self.settings = config, settings
        self.material = Material(config, settings)
        for ref in config.functions:
            self.material.resolve(ref)
        self.spec = _spec(config)
        self.base = Path(config.where).parent
        self.source = write_ref(config.task, settings)
        self.where = config.where
        self._given_shots = config.num_fewshot

    def __getattr__(self, name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        material = self.material
        value: Any
        if name == "items":
            value = material.items
        elif name == "pool":
            value = material.pool
        elif name == "scoring":
            value = material.scoring()
        else:
            value = material.splits.origin(material.split)
        setattr(self, name, value)
        return value

    def __repr__(self) -> str:
        return f"LmEvalTask({self.name!r})"

    @property
    def media(self) -> frozenset[MediaKind]:
        """None: tasks that show objects are not read."""
        return frozenset()

    @property
    def needs_likelihood(self) -> bool:
        return self.config.output_type != "generate_until"

    def request(self, item: Item, epoch: int = 0) -> Request:
        how = self.spec.prompt
        seed = seeded("sample", how.seed, self.name, item.id, epoch) % _SEED_RANGE
        return self.material.request(item, self._examples(item), seed)

    @cached_property
    def _examples(self) -> Callable[[Item], Sequence[Mapping[str, Any]]]:
        return self.material.examples(self.spec.prompt.shots, self.spec.prompt.seed)

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """As for other tasks; the names of its parts are those of the runs of the harness that are imported."""
        config, settings, shots = self.config, self.settings, self.spec.prompt.shots
        ordered = shots > 0 and (settings.compat or config.fewshot.sampler == "first_n")
        return {
            "format": FORMAT,
            "harness": "lm-eval",
            "compat": settings.compat,
            "task": config.task,
            "version": config.metadata.get("version", 0),
            "config": {key: named(value) for key, value in sorted(config.keys.items()) if key not in ("task", "task_alias", "metadata")},
            "code": code_hash(config.functions),
            "items": {"count": len(self.items), "hash": _items_hash(self.items, ordered=settings.compat and shots > 0)},
            "examples": _items_hash(self.pool, ordered=ordered) if shots else None,
            "num_fewshot": shots,
            "fewshot_seed": (SEED if settings.compat else self.spec.prompt.seed) if shots else None,
            "chat_template": settings.chat != "off" or None,
            "fewshot_as_multiturn": (settings.chat == "turns") if settings.chat != "off" and shots else None,
            "response": msgspec.to_builtins(self.spec.response),
            "scoring": self.scoring.protocol,
        }

    def limited(self, count: int, seed: int = 0) -> Task:
        """With `count` of its items: by their ids and the seed as in other tasks; in the harness's protocol the first ones."""
        if not self.settings.compat:
            return super().limited(count, seed)
        return self if count >= len(self.items) else self._with(self.spec, self.items[:count])

    def only(self, ids: Sequence[str]) -> Task:
        """The same task with the named items, by id or by their place in the data (`0`)."""
        named = {item.id.partition("#")[0]: item.id for item in self.items}
        return super().only([named.get(one, one) for one in ids])

    def changed(self, *, shots: int | None = None, epochs: int | None = None, seed: int | None = None) -> Task:
        # A file that says num_fewshot: 0 means it, says the harness; its seed is one for all.
        shots = None if self.settings.compat and self._given_shots == 0 else shots
        seed = None if self.settings.compat else seed
        prompt, response = self.spec.prompt, self.spec.response
        if shots is not None:
            prompt = msgspec.structs.replace(prompt, shots=shots)
        if seed is not None:
            prompt = msgspec.structs.replace(prompt, seed=seed)
        if epochs is not None:
            response = msgspec.structs.replace(response, epochs=epochs)
        if prompt == self.spec.prompt and response == self.spec.response:
            return self
        changed = self._copy(msgspec.structs.replace(self.spec, prompt=prompt, response=response))
        if "items" in self.__dict__:
            changed.items = self.items
        return changed

    def as_generation(self) -> Task:
        """Multiple choice for a model that gives no log-likelihoods: it is shown lettered choices after the prompt, and writes a letter.

        A protocol of Proctor's own. Raises `TaskError` where the task cannot be put so.
        """
        if not self.needs_likelihood:
            return self
        if self.config.output_type != "multiple_choice" or self.material.sniffed[0]:
            raise TaskError(f"task '{self.name}' needs log-likelihoods, which the model does not give; leave it out for this model")
        if self.settings.compat:
            raise TaskError(f"task '{self.name}' needs log-likelihoods in the harness's protocol; leave out --compat")
        from proctor.tasks.written_choice import as_written_choice

        return as_written_choice(self)

    def _copy(self, spec: TaskSpec) -> LmEvalTask:
        task = LmEvalTask.__new__(LmEvalTask)
        task.config, task.settings, task.material = self.config, self.settings, self.material
        task.spec, task.base, task.source, task.where, task._given_shots = spec, self.base, self.source, self.where, self._given_shots
        return task

    def _with(self, spec: TaskSpec, items: tuple[Item, ...]) -> Task:
        task = self._copy(spec)
        task.items = items
        return task


def _spec(config: Config) -> TaskSpec:
    """What boards and reports read of a task."""
    kinds: dict[str, Literal["choice", "generate", "perplexity"]] = {"multiple_choice": "choice", "generate_until": "generate"}
    how = config.generation
    version = config.metadata.get("version")
    number = int(version) if isinstance(version, int | float) and not isinstance(version, bool) and float(version).is_integer() else 1
    return TaskSpec(
        task=config.task,
        data=DataSpec(hub=config.dataset_path, config=config.dataset_name, split=config.test_split or config.validation_split),
        prompt=PromptSpec(
            template=config.doc_to_text if isinstance(config.doc_to_text, str) else "",
            shots=config.num_fewshot or 0,
            choose="first" if config.fewshot.sampler == "first_n" else "random",
        ),
        response=ResponseSpec(
            kind=kinds.get(config.output_type, "perplexity"),
            by="text",
            max_tokens=how.max_tokens,
            stop=list(how.stop),
            temperature=how.temperature,
            top_p=how.top_p,
            epochs=config.repeats,
        ),
        version=max(number, 1),
        title=config.alias,
        description=str(config.metadata.get("description") or ""),
        languages=[],
    )
