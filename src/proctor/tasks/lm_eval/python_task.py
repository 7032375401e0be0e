"""Tasks that are Python classes (`class: !function task.MyTask`): asked and scored by their own methods, as the harness calls them.

Under the harness's rules alone: the class draws its examples itself. Such a class mostly needs lm_eval and datasets, installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from proctor.errors import DataError, ProctorError, TaskError
from proctor.scoring.lm_eval.aggregations import AGGREGATIONS
from proctor.scoring.lm_eval.filters import take_first
from proctor.scoring.lm_eval.scorer import Document, LmEvalScoring, Pipeline, Wanted
from proctor.tasks.lm_eval.code import code_hash, load_function, untrusted
from proctor.tasks.lm_eval.config import MAX_GEN_TOKS, functions_of, generation_of
from proctor.tasks.lm_eval.examples import SEED
from proctor.tasks.lm_eval.material import DIGITS, document_hash, named, plain
from proctor.tasks.lm_eval.settings import LmEvalSettings, write_ref
from proctor.tasks.lm_eval.yaml_files import FunctionRef
from proctor.tasks.sources import plain_rows
from proctor.tasks.spec import DataSpec, PromptSpec, ResponseSpec, TaskSpec
from proctor.tasks.task import Task, _items_hash
from proctor.types import Generate, Item, Likelihood, MediaKind, Message, Prompt, Request, Response

_LATER = ("items", "pool", "scoring", "origin")
_NAMES = {"f1_score": "f1", "chrfpp": "chrf++"}  # the harness's functions by the names of their aggregations


def load_class_task(keys: Mapping[str, Any], where: str, settings: LmEvalSettings) -> Task:
    """The task of a file with the key `class`. Raises `TaskError` where its code is not trusted, cannot be imported or fails."""
    ref = keys["class"]
    if not isinstance(ref, FunctionRef):
        raise TaskError(f"{where}: class: expected !function module.Class, got {ref!r:.80}")
    if not settings.trust:
        raise untrusted(functions_of(dict(keys)), where)
    cls = load_function(ref, where)
    return ClassTask(cls, dict(keys), where, settings)


class ClassTask(Task):
    """A class of the harness's kind as a Task.

    Args:
        cls: the class; its instance is made when the data are first needed.
        keys: of its file.
        where: the file, for messages.
        settings: how it is named.
    """

    def __init__(self, cls: Any, keys: dict[str, Any], where: str, settings: LmEvalSettings) -> None:
        self._cls, self._keys, self.settings, self.where = cls, keys, settings, where
        self.base, self.source = Path(where).parent, write_ref(str(keys["task"]), settings)
        shots = keys.get("num_fewshot")
        self.spec = TaskSpec(
            task=str(keys["task"]),
            data=DataSpec(python=f"{ref_name(keys)}"),
            prompt=PromptSpec(template="", shots=shots if isinstance(shots, int) else 0),
            response=ResponseSpec(kind="generate", max_tokens=MAX_GEN_TOKS),
            languages=[],
        )
        self._made: _Made | None = None

    @property
    def media(self) -> frozenset[MediaKind]:
        """None: what such a class asks is text."""
        return frozenset()

    def __getattr__(self, name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        value: Any = {
            "items": lambda: self.made.items,
            "pool": lambda: self.made.items,
            "origin": lambda: f"made by {ref_name(self._keys)}",
        }.get(name, self._scoring)()
        setattr(self, name, value)
        return value

    def __repr__(self) -> str:
        return f"ClassTask({self.name!r})"

    @property
    def made(self) -> _Made:
        if self._made is None:
            self._made = _Made(self._cls, self._keys, self.where)
        return self._made

    @property
    def needs_likelihood(self) -> bool:
        return self.made.kind(self.spec.prompt.shots) != "generate_until"

    def request(self, item: Item, epoch: int = 0) -> Request:
        return self.made.request(item, self.spec.prompt.shots)[0]

    @cached_property
    def protocol(self) -> dict[str, Any]:
        return {
            "format": 1,
            "harness": "lm-eval",
            "compat": self.settings.compat,
            "task": self.name,
            "version": str(getattr(self.made.instance, "VERSION", 0)),
            "config": {key: named(value) for key, value in sorted(self._keys.items()) if key != "task"},
            "code": code_hash(functions_of(self._keys)),
            "items": {"count": len(self.items), "hash": _items_hash(self.items, ordered=True)},
            "num_fewshot": self.spec.prompt.shots,
            "fewshot_seed": SEED if self.spec.prompt.shots else None,
            "scoring": self.scoring.protocol,
        }

    def limited(self, count: int, seed: int = 0) -> Task:
        """With its first items, as in the harness."""
        return self if count >= len(self.items) else self._with(self.spec, self.items[:count])

    def as_generation(self) -> Task:
        raise TaskError(f"task '{self.name}' needs log-likelihoods, which the model does not give; leave it out for this model")

    def _with(self, spec: TaskSpec, items: tuple[Item, ...]) -> Task:
        task = ClassTask(self._cls, self._keys, self.where, self.settings)
        task.spec, task._made, task.items = spec, self.made, items
        return task

    def _scoring(self) -> LmEvalScoring:
        return self.made.scoring(self.spec.prompt.shots)


def ref_name(keys: Mapping[str, Any]) -> str:
    """The class as the file names it, as `module:Class`."""
    module, _, name = keys["class"].name.rpartition(".")
    return f"{module}:{name}"


class _Made:
    """An instance of the class, its documents and its requests."""

    def __init__(self, cls: Any, keys: dict[str, Any], where: str) -> None:
        self.where, self.name = where, str(keys["task"])
        config = {key: value for key, value in keys.items() if key not in ("tag", "group", "task_list")}
        try:
            takes = "config" in inspect.signature(cls.__init__).parameters
            self.instance = cls(config=config) if takes else cls()
            found = self.instance.test_docs() if self.instance.has_test_docs() else self.instance.validation_docs()
            self.rows = list(found)
        except ProctorError:
            raise
        except Exception as error:
            raise TaskError(f"{where}: {cls.__name__} cannot be made: {type(error).__name__}: {error}") from error
        self._contexts: dict[int, list[Any]] = {}
        self._asked: dict[tuple[int, int], list[Any]] = {}

    @cached_property
    def items(self) -> tuple[Item, ...]:
        return tuple(self._item(row, position) for position, row in enumerate(self.rows))

    @cached_property
    def positions(self) -> dict[str, int]:
        return {item.id: position for position, item in enumerate(self.items)}

    def _item(self, row: Any, position: int) -> Item:
        document = row if isinstance(row, Mapping) else {"text": row}
        fields = plain_rows([plain(document)], f"{self.where}: document {position}")[0]
        digest = document_hash(document)
        target = plain_rows([plain({"target": self.instance.doc_to_target(row)})], f"{self.where}: document {position}")[0]["target"]
        return Item(f"{position}#{digest[:DIGITS]}", fields, (), target, "", {"doc": fields, "doc_hash": digest, "target": target})

    def kind(self, shots: int) -> str:
        return str(self.instances(0, shots)[0].request_type)

    def instances(self, position: int, shots: int) -> list[Any]:
        """The harness's requests for a document."""
        if (position, shots) not in self._asked:
            context = self._context(position, shots)
            try:
                made = self.instance.construct_requests(
                    doc=self.rows[position], ctx=context, metadata=(self.name, position, 1), apply_chat_template=False, chat_template=None
                )
            except Exception as error:
                raise TaskError(
                    f"{self.where}: construct_requests failed on document {position}: {type(error).__name__}: {error}"
                ) from error
            self._asked[position, shots] = made if isinstance(made, list) else [made]
        return self._asked[position, shots]

    def _context(self, position: int, shots: int) -> Any:
        """The class's own prompt; one generator of examples is used up document after document."""
        contexts = self._contexts.get(shots)
        if contexts is None:
            contexts = self._contexts[shots] = []
            getattr(self.instance, "set_fewshot_seed", lambda seed: None)(SEED)
        while len(contexts) <= position:
            row = self.rows[len(contexts)]
            more = {
                "system_instruction": None,
                "apply_chat_template": False,
                "fewshot_as_multiturn": False,
                "chat_template": None,
                "gen_prefix": getattr(self.instance, "doc_to_prefix", lambda doc: None)(row),
            }
            try:
                contexts.append(self.instance.fewshot_context(row, num_fewshot=shots, **_taken(self.instance.fewshot_context, more)))
            except Exception as error:
                raise TaskError(f"{self.where}: fewshot_context failed: {type(error).__name__}: {error}") from error
        return contexts[position]

    def request(self, item: Item, shots: int) -> tuple[Request, list[tuple[int, int]]]:
        """What a model is asked, and where in its answer the harness's requests are answered: (context, continuation) of each."""
        instances = self.instances(self.positions[item.id], shots)
        kinds = {str(one.request_type) for one in instances}
        if len(kinds) > 1 or (kinds != {"loglikelihood"} and len(instances) > 1):
            raise TaskError(
                f"{self.where}: asks for {' and '.join(sorted(kinds))} of one document, and one thing at a time can be asked here"
            )
        kind = kinds.pop()
        arguments = [one.arguments for one in instances]
        if kind == "generate_until":
            how = generation_of(arguments[0][1], self.where)
            return Generate(_prompt(arguments[0][0]), how.max_tokens, how.stop, how.temperature, how.top_p), []
        if kind == "loglikelihood_rolling":
            return Likelihood((Prompt(),), (arguments[0][0],)), [(0, 0)]
        contexts = list(dict.fromkeys(context for context, _ in arguments))
        texts = list(dict.fromkeys(text for _, text in arguments))
        places = [(contexts.index(context), texts.index(text)) for context, text in arguments]
        return Likelihood(tuple(map(_prompt, contexts)), tuple(texts)), places

    def scoring(self, shots: int) -> LmEvalScoring:
        higher = self.instance.higher_is_better()
        wanted = [
            Wanted(name, None, _aggregation(function), bool(higher.get(name, True)), {})
            for name, function in self.instance.aggregation().items()
        ]
        kind = self.kind(shots)
        described = {"metrics": [[one.name, str(one.aggregation) if isinstance(one.aggregation, str) else "code"] for one in wanted]}
        return _ClassScoring(self, shots, kind, wanted, described)


class _ClassScoring(LmEvalScoring):
    """Scores by the class's `process_results`, over the answers to its own requests."""

    def __init__(self, made: _Made, shots: int, kind: str, wanted: Sequence[Wanted], described: Mapping[str, Any]) -> None:
        self._made, self._shots = made, shots
        pipelines = [Pipeline("none", (take_first(),))]
        own: Callable[..., Any] = made.instance.process_results
        output = "loglikelihood" if kind == "multiple_choice" else kind
        super().__init__(output, wanted, pipelines, own, self._row, compat=True, described=described)

    def _row(self, item: Item) -> Document:
        return Document(self._made.rows[self._made.positions[item.id]])

    def score_item(self, item: Item, asked: Sequence[tuple[Request, Response]]) -> Any:
        places = self._made.request(item, self._shots)[1]
        return super().score_item(item, [(request, _only(response, places)) for request, response in asked])


def _only(response: Response, places: list[tuple[int, int]]) -> Response:
    """The answers to the harness's requests, in a row."""
    from msgspec.structs import replace

    if response.loglikelihoods is None:
        return response
    numbers = tuple(response.loglikelihoods[context][text] for context, text in places)
    greedy = tuple(response.greedy[context][text] for context, text in places) if response.greedy else None
    return replace(response, loglikelihoods=(numbers,), greedy=(greedy,) if greedy is not None else None)


def _prompt(context: Any) -> Prompt:
    if not isinstance(context, str):
        raise DataError(f"expected a context that is text, got {type(context).__name__}")
    return Prompt((Message("user", context),) if context else (), style="plain", delimiter="")


def _aggregation(function: Any) -> Any:
    name = _NAMES.get(getattr(function, "__name__", ""), getattr(function, "__name__", ""))
    ours = str(getattr(function, "__module__", "")).endswith("api.metrics") and name in AGGREGATIONS
    return name if ours else function


def _taken(function: Callable[..., Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments that a method takes; older ones take fewer."""
    parameters = inspect.signature(function).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return dict(more)
    return {key: value for key, value in more.items() if key in parameters}
