"""What a task or suite file must not say, as far as can be known without its data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from proctor.tasks.spec import ConfidenceSpec, DataSpec, ItemSpec, PromptSpec, ResponseSpec, ScoringSpec, SuiteSpec, TaskSpec, VariantSpec
from proctor.template import is_template

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SOURCES = ("files", "hub", "package", "gym", "python", "items")
_BELONGS = {
    "config": ("hub",),
    "split": ("hub",),
    "revision": ("hub",),
    "file": ("package", "hub"),
    "size": ("gym", "python"),
    "seed": ("gym", "python"),
    "args": ("gym", "python"),
    "columns": ("files",),
    "delimiter": ("files",),
}


class KeyProblemError(Exception):
    """Something wrong at a key.

    Args:
        path: the key's steps from the top of the file.
        message: what was expected, and what was found.
        at_key: whether the line meant is the key's own, not its value's.
        quote: `key 'a.b': …` instead of `a.b: …`.
    """

    def __init__(self, path: Sequence[str | int], message: str, *, at_key: bool = False, quote: bool = False) -> None:
        dotted = ""
        for step in path:
            dotted += f"[{step}]" if isinstance(step, int) else f".{step}" if dotted else step
        named = f"key '{dotted}': " if quote else f"{dotted}: " if dotted else ""
        super().__init__(f"{named}{message}")
        self.path = tuple(path)
        self.message = message
        self.at_key = at_key


def check_task(spec: TaskSpec) -> None:
    """Raises `KeyProblemError` at the first thing that cannot be."""
    _check_name(spec.task, ("task",))
    _at_least(spec.version, 1, ("version",))
    _check_data(spec.data)
    _check_item(spec.item)
    _check_prompt(spec.prompt)
    _check_response(spec.response)
    _check_rank(spec)
    _check_scoring(spec.scoring)
    if spec.chance is not None and not 0 <= spec.chance < 1:
        raise KeyProblemError(("chance",), f"expected a share from 0 to below 1 (0.25 for four choices), got {spec.chance:g}")
    for key in ("capabilities", "languages", "groups"):
        _check_texts(getattr(spec, key), (key,))
    _check_variants(spec.variants)
    _check_confidence(spec.confidence)
    _check_each(spec)


def _check_each(spec: TaskSpec) -> None:
    """Of one task: its values are one mapping."""
    if spec.each is None:
        for key in ("groups", "aggregate"):
            if getattr(spec, key) not in ([], "tasks"):
                raise KeyProblemError((key,), "belongs to a file with each", at_key=True)
    elif isinstance(spec.each, list):
        raise KeyProblemError(("each",), "makes several tasks, which only a task file can: write one and load it as a suite", at_key=True)


def check_suite(spec: SuiteSpec) -> None:
    """Raises `KeyProblemError` at the first thing that cannot be."""
    _check_name(spec.suite, ("suite",))
    _at_least(spec.version, 1, ("version",))
    if not spec.tasks:
        raise KeyProblemError(("tasks",), "expected at least one task")
    seen: set[str] = set()
    for index, entry in enumerate(spec.tasks):
        if not entry.task:
            raise KeyProblemError(("tasks", index), "expected the name or path of a task, got an empty text")
        if entry.task in seen:
            raise KeyProblemError(("tasks", index), f"'{entry.task}' is listed twice; give it a weight instead")
        seen.add(entry.task)
        _at_least(entry.shots, 0, ("tasks", index, "shots"))
        if entry.weight < 0:
            raise KeyProblemError(("tasks", index, "weight"), f"expected 0 or more, got {entry.weight:g}")
    if not any(entry.weight for entry in spec.tasks):
        raise KeyProblemError(("tasks",), "every weight is 0; expected at least one above it")
    for name, members in spec.groups.items():
        _check_name(name, ("groups", name))
        if not members:
            raise KeyProblemError(("groups", name), "expected at least one task")
        _check_texts(members, ("groups", name))


def _check_name(name: str, path: tuple[str, ...]) -> None:
    if not _NAME.fullmatch(name):
        raise KeyProblemError(path, f"expected a name of letters, digits, '.', '_' and '-' (parts separated by '/'), got '{name}'")


def _at_least(value: float | None, least: int, path: Sequence[str | int]) -> None:
    if value is not None and value < least:
        raise KeyProblemError(path, f"expected {least} or more, got {value:g}")


def _check_texts(texts: list[str], path: Sequence[str | int]) -> None:
    for index, text in enumerate(texts):
        if not text:
            raise KeyProblemError((*path, index), "expected some text, got an empty one")
        if text in texts[:index]:
            raise KeyProblemError((*path, index), f"'{text}' is listed twice")


def _check_data(data: DataSpec) -> None:
    given = [name for name in _SOURCES if getattr(data, name) is not None]
    if len(given) != 1:
        got = " and ".join(f"'{name}'" for name in given) or "none"
        raise KeyProblemError(("data",), f"expected exactly one of {', '.join(_SOURCES)}; got {got}")
    source = given[0]
    for key, sources in _BELONGS.items():
        if getattr(data, key) not in (None, {}) and source not in sources:
            raise KeyProblemError(("data", key), f"belongs to {' or '.join(sources)}, not to {source}", at_key=True)
    value = getattr(data, source)
    if not value:
        raise KeyProblemError(("data", source), "expected something, got an empty value")
    for key in ("files", "shots"):
        paths = getattr(data, key)
        if paths is not None:
            if not paths:
                raise KeyProblemError(("data", key), "expected a path or a list of paths, got an empty value")
            _check_texts([paths] if isinstance(paths, str) else paths, ("data", key))
    if data.columns is not None:
        if not data.columns:
            raise KeyProblemError(("data", "columns"), "expected the names of the columns, got an empty list")
        _check_texts(data.columns, ("data", "columns"))
    if isinstance(data.where, str) and not is_template(data.where):
        raise KeyProblemError(("data", "where"), f"expected a mapping of columns to values, or a template {{{{ … }}}}, got '{data.where}'")
    if data.media == "":
        raise KeyProblemError(("data", "media"), "expected a folder or a .zip archive, got an empty value")
    for column, wanted in data.where.items() if isinstance(data.where, dict) else ():
        if wanted in ([], {}) or isinstance(wanted, dict):
            raise KeyProblemError(("data", "where", column), "expected a value of the column, or a list of values")
    if data.delimiter is not None and len(data.delimiter) != 1:
        raise KeyProblemError(("data", "delimiter"), f"expected one character, got {data.delimiter!r}")
    if source == "hub" and not _HUB.fullmatch(value):
        raise KeyProblemError(("data", "hub"), f"expected a data set as 'org/name', got '{value}'")
    if source == "hub" and data.file is not None:
        for key in ("config", "split"):
            if getattr(data, key) is not None:
                raise KeyProblemError(("data", key), "does not stand beside data.file, which names the file itself", at_key=True)
    if source == "package" and not data.file:
        raise KeyProblemError(("data", "file"), "the key is missing; expected the path of the file inside the package", at_key=True)
    if source == "python" and not _REFERENCE.fullmatch(value):
        raise KeyProblemError(("data", "python"), f"expected 'module:function', got '{value}'")
    _at_least(data.size, 1, ("data", "size"))


def _check_item(item: ItemSpec) -> None:
    for key in ("id", "target", "group", "choices"):
        if getattr(item, key) in ("", []):
            raise KeyProblemError(("item", key), "expected a column or a template, got an empty value")
    if isinstance(item.choices, list) and len(item.choices) < 2:
        raise KeyProblemError(("item", "choices"), "expected at least two choices, or the name of the column that holds the list of them")
    _check_texts(item.metadata, ("item", "metadata"))
    _check_texts(item.dimensions, ("item", "dimensions"))
    _check_texts(item.features, ("item", "features"))


def _check_prompt(prompt: PromptSpec) -> None:
    _at_least(prompt.shots, 0, ("prompt", "shots"))
    if prompt.choose == "fixed":
        if not prompt.ids:
            raise KeyProblemError(("prompt", "ids"), "the key is missing; expected the ids of the examples, for choose: fixed", at_key=True)
        if prompt.shots > len(prompt.ids):
            raise KeyProblemError(("prompt", "shots"), f"expected at most the {len(prompt.ids)} examples of prompt.ids, got {prompt.shots}")
        _check_texts(prompt.ids, ("prompt", "ids"))
    elif prompt.ids:
        raise KeyProblemError(("prompt", "ids"), f"belongs to choose: fixed, not to choose: {prompt.choose}", at_key=True)
    _check_texts(prompt.letters, ("prompt", "letters"))


def _check_response(response: ResponseSpec) -> None:
    for key in ("epochs", "max_tokens", "top_k"):
        _at_least(getattr(response, key), 1, ("response", key))
    _at_least(response.temperature, 0, ("response", "temperature"))
    if not 0 < response.top_p <= 1:
        raise KeyProblemError(("response", "top_p"), f"expected a share above 0 and at most 1, got {response.top_p:g}")
    _check_texts(response.stop, ("response", "stop"))
    defaults = ResponseSpec()

    def belongs(keys: Sequence[str], to: str, kind: str) -> None:
        for key in keys:
            if getattr(response, key) != getattr(defaults, key):
                raise KeyProblemError(("response", key), f"belongs to {to}, not to {kind}", at_key=True)

    if response.kind != "choice":
        belongs(("by", "normalise", "continuation"), "kind: choice", f"kind: {response.kind}")
    if response.kind == "choice" and response.by == "generate":
        belongs(("normalise",), "by: letter or by: text", "by: generate")
    if response.kind != "rank":
        belongs(("top_k",), "kind: rank", f"kind: {response.kind}")
    if response.kind in ("perplexity", "rank") or (response.kind == "choice" and response.by != "generate"):
        kind = f"kind: {response.kind}" if response.kind != "choice" else f"kind: choice, by: {response.by}"
        belongs(("max_tokens", "stop", "temperature", "top_p"), "generated text", kind)


def _check_confidence(asked: list[ConfidenceSpec]) -> None:
    for index, one in enumerate(asked):
        path = ("confidence", index)
        if one.ask in [other.ask for other in asked[:index]]:
            raise KeyProblemError((*path, "ask"), f"'{one.ask}' is listed twice")
        _at_least(one.pairs, 1, (*path, "pairs"))
        _at_least(one.max_tokens, 1, (*path, "max_tokens"))
        for key, owner in (("scale", "verbal"), ("pairs", "relative")):
            if one.ask != owner and getattr(one, key) != getattr(ConfidenceSpec(ask="p_true"), key):
                raise KeyProblemError((*path, key), f"belongs to ask: {owner}, not to ask: {one.ask}", at_key=True)


def _check_variants(variants: list[VariantSpec]) -> None:
    seen: set[str] = set()
    for index, variant in enumerate(variants):
        path = ("variants", index)
        if not _NAME.fullmatch(variant.name) or "/" in variant.name:
            raise KeyProblemError((*path, "name"), f"expected a name of letters, digits, '.', '_' and '-', got '{variant.name}'")
        if variant.name in seen:
            raise KeyProblemError((*path, "name"), f"'{variant.name}' is listed twice")
        seen.add(variant.name)
        if variant == VariantSpec(name=variant.name, seed=variant.seed):
            raise KeyProblemError(path, f"'{variant.name}' is no standard variant, and nothing is said that changes")
        if variant.order and variant.rotate:
            raise KeyProblemError((*path, "rotate"), "expected either order or rotate, got both", at_key=True)
        _at_least(variant.rotate, 0, (*path, "rotate"))
        _at_least(variant.format, 1, (*path, "format"))
        if not 0 <= variant.typos <= 1:
            raise KeyProblemError((*path, "typos"), f"expected a share of the words from 0 to 1, got {variant.typos:g}")
        if variant.item is not None and variant.data is None:
            raise KeyProblemError((*path, "item"), "says how other data is read; expected the key 'data' beside it", at_key=True)
        _check_texts(variant.letters, (*path, "letters"))
        _check_texts(variant.languages, (*path, "languages"))
        try:
            if variant.data is not None:
                _check_data(variant.data)
            if variant.item is not None:
                _check_item(variant.item)
            if variant.prompt is not None:
                _check_prompt(variant.prompt)
        except KeyProblemError as problem:
            raise KeyProblemError((*path, *problem.path), problem.message, at_key=problem.at_key) from None


def _check_rank(spec: TaskSpec) -> None:
    """Documents are there where they are to be ranked, and nowhere else."""
    if spec.response.kind != "rank":
        for path, value in (
            (("data", "corpus"), spec.data.corpus),
            (("data", "qrels"), spec.data.qrels),
            (("item", "candidates"), spec.item.candidates),
            (("item", "documents"), spec.item.documents or None),
            (("prompt", "instruction"), spec.prompt.instruction),
        ):
            if value is not None:
                raise KeyProblemError(path, f"belongs to response.kind: rank, not to kind: {spec.response.kind}", at_key=True)
        return
    if spec.item.documents:
        for section, key in (("data", "corpus"), ("data", "qrels"), ("item", "candidates")):
            if getattr(getattr(spec, section), key) is not None:
                raise KeyProblemError((section, key), "the documents and their grades are those of item.documents already", at_key=True)
        if not any(grade > 0 for grade in spec.item.documents.values()):
            raise KeyProblemError(("item", "documents"), "expected a grade above 0 for the documents that are relevant")
    elif not spec.data.corpus:
        raise KeyProblemError(("data", "corpus"), "the key is missing; expected the documents that are ranked", at_key=True)
    if spec.data.qrels is not None and not spec.data.qrels:
        raise KeyProblemError(("data", "qrels"), "expected the judgements, got an empty value")
    for key, default in (("system", None), ("prefill", ""), ("answer", None), ("shots", 0)):
        if getattr(spec.prompt, key) != default:
            raise KeyProblemError(("prompt", key), "belongs to other kinds of response, not to kind: rank", at_key=True)


def _check_scoring(scoring: ScoringSpec) -> None:
    for key, argument in (("extract", "argument"), ("metrics", "{options}")):
        for index, entry in enumerate(getattr(scoring, key)):
            path = ("scoring", key, index)
            if not (isinstance(entry, str) and entry) and not (isinstance(entry, dict) and len(entry) == 1):
                raise KeyProblemError(path, f"expected a name, or {{name: {argument}}}, got {_kind(entry)}")
            options = next(iter(entry.values())) if isinstance(entry, dict) else {}
            # `{python: module:function}` is short for `{python: {function: module:function}}`.
            if key == "metrics" and not isinstance(options, dict | str):
                raise KeyProblemError(path, f"expected the options of '{next(iter(entry))}' as a mapping, got {_kind(options)}")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping with {len(value)} keys"
    return "a list" if isinstance(value, list) else "nothing" if value in (None, "") else repr(value)
