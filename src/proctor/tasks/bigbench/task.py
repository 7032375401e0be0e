"""A task of BIG-bench as a Task of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from proctor.canonical import content_hash
from proctor.errors import TaskError
from proctor.scoring.bigbench import BigBenchScoring, Kind, Rules, low_score
from proctor.scoring.task_scoring import TaskScoring
from proctor.tasks.bigbench.draws import NamedExamples, example_answers, permuted
from proctor.tasks.bigbench.file import Example, TaskFile
from proctor.tasks.prompts import Prompter
from proctor.tasks.spec import DataSpec, PromptSpec, ResponseSpec, TaskSpec
from proctor.tasks.task import Task
from proctor.tasks.written_choice import as_written_choice
from proctor.types import Generate, Item, Likelihood, Message, Prompt, Request

MAX_TOKENS = 30  # what BIG-bench's own script asks for where nothing else is said
LONGEST = 1024
# Keywords that say how a task is put, and not what it takes.
_NOT_CAPABILITIES = ("json", "programmatic", "multiple choice", "free response", "numerical response", "example task", "text-to-text")
_RESPONSES: dict[Kind, Literal["choice", "generate", "perplexity"]] = {
    "choice": "choice",
    "written": "generate",
    "likelihood": "perplexity",
}


class BigBenchTask(Task):
    """The numbers of a `task.json` that are had by asking in one way.

    Args:
        file: the task.
        kind: what is asked.
        names: the numbers it reports, the main one first.
        name: of the task.
        source: what to load it from again.
        compat: whether examples are drawn, and answers scored, by BIG-bench's rules to the letter.
    """

    def __init__(self, file: TaskFile, kind: Kind, names: tuple[str, ...], name: str, source: str, *, compat: bool) -> None:
        self.file, self.kind, self.compat = file, kind, compat
        self._names = names
        self.base, self.data_map = Path(file.where).parent, None
        items = _items(file, kind)
        self._assemble(_spec(file, kind, name, items), items, items, source, f"BIG-bench {Path(file.where).name}", file.where)

    def _assemble(self, spec: TaskSpec, items: tuple[Item, ...], pool: tuple[Item, ...], source: str, origin: str, where: str) -> None:
        self.spec, self.items, self.pool = spec, items, pool
        self.source, self.origin, self.where = source, origin, where
        self.scoring: TaskScoring = BigBenchScoring(self._rules())
        self.prompter = Prompter(spec, items, pool, where)

    def _rules(self) -> Rules:
        file = self.file
        labels = [choice for example in file.examples for choice in example.scores] if "macro_f1" in self._names else []
        return Rules(
            kind=self.kind,
            names=self._names,
            low=self.chance,
            output_regex=file.output_regex if self.kind == "written" else None,
            stop_string=file.stop_string if self.kind == "written" else None,
            absolute=file.absolute,
            compat=self.compat,
            labels=tuple(sorted(set(labels))),
        )

    @property
    def chance(self) -> float:
        """BIG-bench's low score: what guessing gives, or the worst there is."""
        return low_score(self._names[0], [example.scores for example in self.file.examples])

    @cached_property
    def protocol(self) -> dict[str, Any]:
        rules = {"compat": self.compat, "task_prefix": self.file.task_prefix}
        return {**super().protocol, "harness": "bigbench", **rules}

    @cached_property
    def _drawn(self) -> NamedExamples | None:
        return (
            NamedExamples(self.pool, [one.row for one in self.file.examples], self.spec.prompt.shots)
            if self.compat and self.spec.prompt.shots
            else None
        )

    def request(self, item: Item, epoch: int = 0) -> Request:
        text = self.file.task_prefix + self._asked(item)
        prompt = Prompt((Message("user", text),) if text else (), style="plain", delimiter="")
        if self.kind == "written":
            return Generate(prompt, self.spec.response.max_tokens)
        # An empty choice is not asked: its log-likelihood is 0.
        return Likelihood((prompt,), tuple(item.target) if self.kind == "likelihood" else tuple(filter(None, item.choices)))

    def _asked(self, item: Item) -> str:
        """The examples and the question."""
        question = self.prompter.question(item)
        separator = self.spec.prompt.separator
        if self._drawn is not None:
            return separator.join([*self._drawn.of(item), question])
        shots = self.prompter.shots
        examples = shots.of(item, question) if shots else []
        return separator.join([*(self.prompter.question(one) + example_answers(one)[0] for one in examples), question])

    def as_generation(self) -> Task:
        """Multiple choice for a model that gives no log-likelihoods: it is shown lettered choices after the prompt, and writes a letter.

        A protocol of Proctor's own. Raises `TaskError` where the task cannot be put so.
        """
        if not self.needs_likelihood:
            return self
        if self.kind != "choice":
            raise TaskError(f"task '{self.name}' needs log-likelihoods, which the model does not give; leave it out for this model")
        if self.compat:
            raise TaskError(f"task '{self.name}' needs log-likelihoods under BIG-bench's own rules; leave out ?compat=bigbench")
        return as_written_choice(self)

    def varied(self, spec: TaskSpec, items: tuple[Item, ...], pool: tuple[Item, ...], variant: Mapping[str, Any], origin: str = "") -> Task:
        raise TaskError(f"task '{self.name}': no variants are made of BIG-bench's tasks")

    def _with(self, spec: TaskSpec, items: tuple[Item, ...]) -> Task:
        task = BigBenchTask.__new__(BigBenchTask)
        task.file, task.kind, task.compat, task._names, task.base = self.file, self.kind, self.compat, self._names, self.base
        task.data_map = None
        task._assemble(spec, items, self.pool, self.source, self.origin, self.where)
        return task


def _items(file: TaskFile, kind: Kind) -> tuple[Item, ...]:
    items: list[Item] = []
    copies: dict[str, int] = {}
    for example in file.examples:
        name = content_hash(example.row, 12)
        copies[name] = copies.get(name, 0) + 1
        name = name if copies[name] == 1 else f"{name}-{copies[name]}"
        fields: dict[str, Any] = {"question": question(file, example), "targets": list(example.targets)}
        if kind != "choice":
            items.append(Item(name, fields, target=list(example.targets)))
            continue
        worth = list(example.scores.values())
        best = [index for index, one in enumerate(worth) if one == max(worth)]
        fields["target_scores"] = worth
        items.append(Item(name, fields, tuple(example.scores), best[0] if len(best) == 1 else best))
    return tuple(items)


def question(file: TaskFile, example: Example) -> str:
    """What is asked of an example, up to where its answer begins: `json_task.default_format_fn`."""
    text = example.input
    if example.scores and file.append_choices:
        text += "".join(file.choice_prefix + choice for choice in permuted(sorted(example.scores)))
    return file.input_prefix + text + file.output_prefix


def _spec(file: TaskFile, kind: Kind, name: str, items: Sequence[Item]) -> TaskSpec:
    longest = max(len(target.encode()) for example in file.examples for target in example.targets)
    note = f" Not computed here: {', '.join(file.unreported)}." if file.unreported else ""
    return TaskSpec(
        task=name,
        data=DataSpec(files=file.where),
        prompt=PromptSpec(template="{{ question }}", style="plain", delimiter="", separator=file.separator, shots_as="text"),
        # A token is seldom shorter than two bytes: long right answers must fit.
        response=ResponseSpec(kind=_RESPONSES[kind], by="text", max_tokens=min(max(MAX_TOKENS, -(-longest // 2)), LONGEST)),
        title=file.title,
        description=file.description + note,
        capabilities=[word for word in file.keywords if word not in _NOT_CAPABILITIES and not word.endswith("-shot")],
        citation="Srivastava et al. 2022, arXiv:2206.04615",
    )
