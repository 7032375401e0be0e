"""What will be asked: a suite under a run's settings, fitted to what a model can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from proctor.canonical import content_hash
from proctor.errors import ModelError, TaskError, UsageError, nearest
from proctor.models.base import Ask, Kind, Model
from proctor.tasks.second_questions import written
from proctor.tasks.spec import ConfidenceSpec
from proctor.tasks.suite import Suite
from proctor.tasks.task import Task
from proctor.types import Item, Request, prompts_of

_MANY = {"image": "pictures", "audio": "sound", "document": "documents"}


ASKED = ("p_true", "p_ik", "verbal", "relative")


class Settings(Struct, frozen=True, omit_defaults=True):
    """What a run changes about its suite.

    Attributes:
        limit: at most so many items of each task; which ones depends on their ids and the seed alone.
        shots: number of examples of every task.
        epochs: how often each item is asked.
        seed: of the choice of examples, of sampling and of the limit.
        choices: multiple choice by `likelihood` where the model gives it, else by generation; or by generation always (`generate`), so that
            models that give none can be compared with those that do.
        judges: URIs of the models that judge, in place of those the tasks name; part of the protocol.
        confidence: second questions about every answer of text (`p_true`, `p_ik`, `verbal`, `relative`), in place of those the tasks
            declare.
    """

    limit: int | None = None
    shots: int | None = None
    epochs: int | None = None
    seed: int | None = None
    choices: Literal["likelihood", "generate"] = "likelihood"
    judges: tuple[str, ...] = ()
    confidence: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` for a value that cannot be."""
        for name, least in (("limit", 1), ("shots", 0), ("epochs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: must be at least {least}, not {value}")
        if self.choices not in ("likelihood", "generate"):
            raise UsageError(f"choices: must be 'likelihood' or 'generate', not {self.choices!r}")
        for name in self.confidence:
            if name not in ASKED:
                raise UsageError(f"confidence: there is no '{name}'{nearest(name, ASKED) or ';'} there are: {', '.join(ASKED)}")


def fit(suite: Suite, settings: Settings, kinds: frozenset[Kind]) -> Suite:
    """The suite as a model that answers `kinds` of requests will sit it.

    Raises:
        TaskError: a task does not allow a setting.
        ModelError: a task asks for what the model cannot give.
    """
    settings.check()
    return suite.with_tasks([_fit_task(task, settings, kinds) for task in suite.tasks])


def _fit_task(task: Task, settings: Settings, kinds: frozenset[Kind]) -> Task:
    ranks = task.spec.response.kind == "rank"  # no examples are shown
    task = task.changed(shots=None if ranks else settings.shots, epochs=settings.epochs, seed=settings.seed)
    if settings.limit is not None:
        task = task.limited(settings.limit, settings.seed or 0)
    if settings.judges:
        task = task.judged_by(settings.judges)
    if ranks:
        if "rank" not in kinds:
            raise ModelError(
                f"task '{task.name}' asks for documents to be ranked, which this model does not do; leave the task out, or name it as "
                "embed:MODEL or rerank:MODEL"
            )
        return task
    generate = "likelihood" not in kinds or (settings.choices == "generate" and task.spec.response.kind == "choice")
    if task.needs_likelihood and (generate or task.media):  # no model gives likelihoods after pictures
        task = task.as_generation()
    task = _fit_confidence(task, settings, kinds)
    if not task.needs_likelihood and "generate" not in kinds:
        raise ModelError(f"task '{task.name}' asks for a written answer, which this model does not give; leave the task out for this model")
    return task


def _fit_confidence(task: Task, settings: Settings, kinds: frozenset[Kind]) -> Task:
    """With the second questions that the model can be asked; those of a run only where an answer is one of text, right or wrong."""
    asked = task.spec.confidence
    if settings.confidence:
        fits = type(task) is Task and task.spec.response.kind in ("choice", "generate") and not task.media
        asked = [ConfidenceSpec(ask=name) for name in dict.fromkeys(settings.confidence)] if fits else []  # type: ignore[arg-type]
    if not asked:
        return task
    if any(one.ask == "verbal" for one in asked) and "generate" not in kinds:
        raise ModelError(
            f"task '{task.name}' asks how sure the model is, which it cannot write; leave out confidence: verbal for this model"
        )
    return task.asked_about(written(asked, kinds))


def check_media(suite: Suite, model: Model) -> None:
    """Raise `ModelError` where a task shows what the model cannot be shown."""
    for task in suite.tasks:
        lacking = sorted(task.media - model.media)
        if lacking:
            shows, takes = (" and ".join(_MANY[kind] for kind in kinds) for kinds in (lacking, sorted(model.media)))
            raise ModelError(
                f"task '{task.name}' shows {shows}, and {model.uri} takes text{f' and {takes}' if takes else ''} only; "
                "leave the task out for this model"
            )


def _check_shown(request: Request, item: Item, task: Task, model: Model) -> None:
    for media in [media for prompt in prompts_of(request) for message in prompt.messages for media in message.media]:
        why = model.refuses(media)
        if why:
            raise ModelError(f"task '{task.name}', item '{item.id}': {media} cannot be shown to {model.uri}: {why}")


class Plan:
    """Every attempt of a run, in order: task by task, item by item, epoch by epoch.

    Args:
        suite: fitted to the model.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.total = sum(len(task.items) * task.epochs for task in suite.tasks)

    def check(self, model: Model) -> None:
        """Render every request once, so that an item that cannot be asked is found before anything is.

        Raises:
            TaskError, DataError: a template that fails on an item; an object that cannot be shown.
            ModelError: the model cannot be shown one.
            ProctorError: a scorer cannot work on this machine.
        """
        for task in self.suite.tasks:
            task.scoring.ready()
            if task.judged and not task.spec.scoring.judges:
                raise TaskError(
                    f"task '{task.name}' is scored by judges, and names none: say who judges, with --judge MODEL or scoring.judges"
                )
            for item in task.items:
                request = task.request(item)
                if task.media:
                    _check_shown(request, item, task, model)

    def asks(self) -> Iterator[tuple[Task, Ask]]:
        """The attempts; requests are rendered as they are reached, so that a large plan costs no memory."""
        index = 0
        for task in self.suite.tasks:
            for item in task.items:
                for epoch in range(task.epochs):
                    yield task, Ask(index, task.name, item, epoch, task.request(item, epoch), task.pool, corpus=task.corpus)
                    index += 1


def run_id(suite: Suite, uri: str, fingerprint: str) -> str:
    """The name of the run's folder: the same suite, protocol and model always give the same one, which is how a run is found again."""
    model = re.sub(r"\?[^#]*", "", uri).rstrip("/").rsplit("/", 1)[-1]  # options that change answers are in the fingerprint
    name = "".join(c if c.isalnum() or c in "._+-" else "-" for c in f"{suite.name}--{model}")
    return f"{name[:80].strip('-.')}-{content_hash([suite.name, suite.hash, fingerprint], 10)}"


def signature(suite: Suite, uri: str, fingerprint: str, version: str) -> str:
    """One line that pins a score, after sacreBLEU's."""
    items = sum(len(task.items) for task in suite.tasks)
    return (
        f"suite:{suite.name}|tasks:{len(suite.tasks)}|items:{items}|protocol:{suite.hash}|model:{uri}@{fingerprint[:12]}|proctor:{version}"
    )
