"""From a task and what a variant changes to the variant: a task of its own with the same item ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from proctor.canonical import seeded
from proctor.errors import DataError, TaskError
from proctor.tasks.features import narrowed
from proctor.tasks.items import build_items
from proctor.tasks.lm_eval.settings import is_ref
from proctor.tasks.prompts import OWN_NAMES
from proctor.tasks.sources import read_rows
from proctor.tasks.spec import PromptSpec, VariantSpec
from proctor.tasks.suite import Suite, Weighted
from proctor.tasks.task import Task
from proctor.tasks.variants.formats import other_format
from proctor.tasks.variants.options import fewer, more, new_order, rearranged, relettered, wrong_options
from proctor.tasks.variants.standard import chosen_variants, is_group, unknown_variant
from proctor.tasks.variants.text import in_case, with_typos, words_of
from proctor.template import Template
from proctor.types import Item

VERSION = 1  # raised when the same variant would be put otherwise; part of the protocol
_SHOWN = 20  # items whose rendered options are looked at
_RECORDED = ("name", "order", "rotate", "letters", "distractors", "format", "typos", "case", "seed")  # the rest is in prompt and items


class UnfitVariantError(TaskError):
    """A variant that a task cannot have: of a question without options, options cannot be reordered."""


def with_variants(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite with the variants of its tasks, each after its original, without weight in the composite.

    A variant that does not fit a task is left out where it came by a group's name, or fits another task of the suite; one
    that the task itself declares must fit.

    Args:
        suite: of originals.
        names: as for `chosen_variants`.

    Raises:
        UsageError: a name that is nothing.
        TaskError: a variant that fits no task of the suite.
    """
    entries: list[Weighted] = []
    unfit: dict[str, UnfitVariantError] = {}
    made: set[str] = set()
    meant: set[str] = set()
    for entry in suite.entries:
        entries.append(entry)
        chosen, known = chosen_variants(entry.task, names)
        meant |= known
        for variant in chosen:
            try:
                entries.append(Weighted(make_variant(entry.task, variant), 0.0))
                made.add(variant.name)
            except UnfitVariantError as error:
                if variant in entry.task.spec.variants:
                    raise
                unfit.setdefault(variant.name, error)
    for name in names:
        if name not in meant:
            raise unknown_variant(name, suite.tasks)
        if not is_group(name) and name not in made:
            raise unfit[name]
    if not made:
        raise TaskError(f"{suite.name}: none of the variants {', '.join(names)} fits any of its tasks")
    listed = ",".join(names)
    return Suite(
        f"{suite.name}@{listed}",
        entries,
        title=suite.title,
        source=_sources(suite.source, listed),
        groups=suite.groups,
        composite=suite.composite,
    )


def _sources(source: str, listed: str) -> str:
    """What loads the suite and its variants once more: each line with the variants' names, before a `?data=MAP`."""
    lines = []
    for line in source.splitlines():
        name, sign, query = line.partition("?data=")
        lines.append(line if is_ref(line) else f"{name}@{listed}{sign}{query}")
    return "\n".join(lines)


def make_variant(task: Task, variant: VariantSpec) -> Task:
    """The variant of a task: named `TASK@NAME`, with the same item ids, and what was done to it in its protocol.

    Items and what counts as right stay: a target follows its option. Everything drawn is seeded by the task's name, the item's id and the
    variant's seed. Few-shot examples are the original's own, in its own words, except where the prompt, the letters or the data are others.

    Raises:
        UnfitVariantError: the task has nothing that this variant could change.
        TaskError, DataError: what it says is wrong: a template, a file, ids that are not the original's.
    """
    where = f"{task.where}: variant '{variant.name}'"
    if type(task) is not Task:
        raise UnfitVariantError(f"{where}: variants are made of Proctor's own task files; make one with: proctor convert {task.name}")
    if task.variant:
        raise UnfitVariantError(f"{where}: '{task.name}' is a variant itself")
    spec = task.spec
    items, pool, origin = _translated(task, variant, where) if variant.data else (task.items, task.pool, task.origin)
    before = items
    prompt = variant.prompt or spec.prompt
    if variant.order or variant.rotate or variant.distractors:
        items = _reordered(task, prompt, variant, items, where)
    if variant.letters:
        prompt, items, pool = _lettered(task, prompt, variant, items, pool, where)
    if variant.format is not None:
        prompt = _formatted(task, prompt, variant.format)
    if variant.typos or variant.case:
        items = _rewritten(task, prompt, variant, items, where)
    record = {name: value for name, value in msgspec.to_builtins(variant).items() if name in _RECORDED}
    by_item = variant.order or variant.rotate or variant.distractors or variant.typos or variant.case
    if by_item:
        unchanged = sum(one is other or _asks(one) == _asks(other) for one, other in zip(items, before, strict=True))
        if unchanged == len(items):
            raise UnfitVariantError(f"{where}: changes nothing in any item of '{task.name}'")
        record["unchanged"] = unchanged
    made = msgspec.structs.replace(
        spec,
        task=f"{spec.task}@{variant.name}",
        title=f"{spec.title or spec.task}, {variant.name}",
        variant_of=spec.task,
        variants=[],
        prompt=prompt,
        chance=None if variant.distractors else spec.chance,
        languages=variant.languages or spec.languages,
    )
    found = task.varied(made, items, pool, {"version": VERSION, "of": spec.task, **record}, origin)
    if variant.order or variant.rotate or variant.distractors > 0:
        _check_shown(task, found, where)
    return found


def _asks(item: Item) -> tuple[Any, ...]:
    return item.fields, item.choices, item.target


def _translated(task: Task, variant: VariantSpec, where: str) -> tuple[tuple[Item, ...], tuple[Item, ...], str]:
    """Items of the variant's own data, in the original's order, and the examples that go with them."""
    assert variant.data is not None
    spec, choice = variant.item or task.spec.item, task.spec.response.kind == "choice"
    rows = read_rows(variant.data, task.base, where, task.data_map)
    whole = msgspec.structs.replace(task.spec, item=spec)
    rows.rows = narrowed(rows.rows, whole, where)
    rows.shots = None if rows.shots is None else narrowed(rows.shots, whole, where)
    built = build_items(rows.rows, spec, choice=choice, where=where, row_name=rows.where, base=task.base)
    found = {one.id: one for one in built}
    ids = [item.id for item in task.items]
    for name in ids:
        if name not in found:
            raise DataError(f"{where}: its data has no item '{name}', which '{task.name}' has; give every item its original's id (item.id)")
    for name in found:
        if name not in set(ids):
            raise DataError(f"{where}: its data has an item '{name}', which '{task.name}' has not; a variant asks the same items")
    items = tuple(found[name] for name in ids)
    if rows.shots is not None:
        as_example = msgspec.structs.replace(spec, metadata=[])
        pool = build_items(rows.shots, as_example, choice=choice, where=where, row_name=lambda i: f"example {i + 1} of data.shots")
        return items, pool, rows.origin
    return items, items if task.pool is task.items else task.pool, rows.origin


def _needs_options(task: Task, prompt: PromptSpec, where: str, what: str) -> None:
    """Raise `UnfitVariantError` where the model is shown no lettered options."""
    response = task.spec.response
    if response.kind != "choice":
        raise UnfitVariantError(f"{where}: {what} needs questions with options (response.kind: choice), not '{response.kind}'")
    if response.by == "text" and Template(prompt.template, where).names.isdisjoint(OWN_NAMES):
        raise UnfitVariantError(f"{where}: the options are not shown to the model, so {what} changes nothing")


def _lettered(
    task: Task, prompt: PromptSpec, variant: VariantSpec, items: tuple[Item, ...], pool: tuple[Item, ...], where: str
) -> tuple[PromptSpec, tuple[Item, ...], tuple[Item, ...]]:
    _needs_options(task, prompt, where, "other letters")
    names = Template(prompt.template, where).names
    if names.isdisjoint(("options", "letters")):
        raise UnfitVariantError(
            f"{where}: the template writes the letters itself; show the options by {{{{ options }}}} or {{{{ letters }}}}"
        )
    most = max(len(item.choices) for item in (*items, *pool))
    if most > len(variant.letters):
        raise UnfitVariantError(f"{where}: {len(variant.letters)} letters for {most} options")
    if prompt.answer is not None and task.spec.response.by != "text":
        if not all(_plain_answer(task, item) for item in pool):
            raise UnfitVariantError(f"{where}: prompt.answer writes the letters itself, so that the examples would keep the old ones")
        prompt = msgspec.structs.replace(prompt, answer=None)
    letters = variant.letters[:most]
    template = prompt.template
    if not all(one.isalpha() for one in letters):
        word = "number" if all(one.isdecimal() for one in letters) else "symbol"
        template = _in_literal_text(template, lambda text: re.sub(r"\b([Ll])etter\b", lambda match: _like(match[1], word), text))
    changed = msgspec.structs.replace(prompt, letters=letters, template=template)
    return changed, tuple(relettered(item, letters) for item in items), tuple(relettered(item, letters) for item in pool)


def _plain_answer(task: Task, item: Item) -> bool:
    target = item.target[0] if isinstance(item.target, list) else item.target
    return task.prompter.example_answer(item) == task.prompter.letters[target]


def _like(letter: str, word: str) -> str:
    return word.capitalize() if letter.isupper() else word


def _in_literal_text(template: str, change: Callable[[str], str]) -> str:
    pieces = re.split(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", template, flags=re.DOTALL)
    pieces[::2] = [change(text) for text in pieces[::2]]
    return "".join(pieces)


def _reordered(task: Task, prompt: PromptSpec, variant: VariantSpec, items: tuple[Item, ...], where: str) -> tuple[Item, ...]:
    if variant.order or variant.rotate:
        _needs_options(task, prompt, where, "another order of the options")
    elif task.spec.response.kind != "choice":
        raise UnfitVariantError(f"{where}: options are added and removed only where there are some (response.kind: choice)")
    if variant.rotate >= max(len(item.choices) for item in items):
        raise UnfitVariantError(f"{where}: rotate: {variant.rotate} is a full turn or more for every item")
    others = wrong_options(task.items) if variant.distractors > 0 else []
    made = []
    for item in items:
        order, added = new_order(item, variant, task.spec.seed_name), list[str]()
        rng = Random(seeded("variant", "distractors", variant.seed, task.spec.seed_name, item.id))
        if variant.distractors < 0:
            order = fewer(item, order, -variant.distractors, rng)
        elif variant.distractors:
            # Wrong for another question does not mean right for this one; the same text twice is of no use.
            texts = list(dict.fromkeys(text for of, text in others if of != item.id))
            order, added = more(item, order, texts, variant.distractors, rng)
        made.append(rearranged(item, order, added, task.spec.item))
        if not variant.prompt and _stays_the_same(task, item, made[-1]):
            raise UnfitVariantError(
                f"{where}: the template does not show the options by {{{{ options }}}} or {{{{ choices }}}}, so that the model would see "
                "the old ones"
            )
    return tuple(made)


def _stays_the_same(task: Task, item: Item, other: Item) -> bool:
    """Whether other options, asked for by their letters, leave the question as it was."""
    by_letter = task.spec.response.by != "text" and item.choices != other.choices
    return by_letter and task.prompter.question(item) == task.prompter.question(other)


def _check_shown(task: Task, found: Task, where: str) -> None:
    """Raise `TaskError` where the original shows its options in their order, and the variant does not show its own."""
    if task.spec.response.by == "text" and Template(found.spec.prompt.template, where).names.isdisjoint(OWN_NAMES):
        return
    for item, other in list(zip(task.items, found.items, strict=True))[:_SHOWN]:
        if _in_order(task.prompter.question(item), item) and not _in_order(found.prompter.question(other), other):
            raise UnfitVariantError(
                f"{where}: the template does not show the options by {{{{ options }}}} or {{{{ choices }}}}, so that the model would see "
                "the old ones"
            )


def _in_order(text: str, item: Item) -> bool:
    at = 0
    for choice in item.choices:
        found = text.find(choice, at)
        if found < 0:
            return False
        at = found + len(choice)
    return True


def _formatted(task: Task, prompt: PromptSpec, number: int) -> PromptSpec:
    """The `number`-th format of the prompt, no two alike."""
    rng = Random(seeded("variant", "format", task.spec.seed_name))
    seen: list[dict[str, str]] = []
    for _ in range(1000):
        changed = other_format(prompt, rng)
        if changed not in seen:
            seen.append(changed)
        if len(seen) == max(1, number):
            break
    return msgspec.structs.replace(prompt, **seen[-1])


def _rewritten(task: Task, prompt: PromptSpec, variant: VariantSpec, items: tuple[Item, ...], where: str) -> tuple[Item, ...]:
    """The items with typos, or in another case, in the columns that the template shows; never in what is asked for or chosen from."""
    if any(one["scorer"].startswith("code") for one in task.scoring.protocol.get("scorers", [])):
        raise UnfitVariantError(f"{where}: programs are not written otherwise: typos and casing would change what they do")
    columns = Template(prompt.template, where).names - set(OWN_NAMES)
    made = []
    for item in items:
        keep = frozenset(word for text in (*item.choices, *_texts(item.target)) for word in words_of(text))
        fixed = {*item.choices, *_texts(item.target)}
        fields = dict(item.fields)
        for name in sorted(columns & fields.keys()):
            rng = Random(seeded("variant", "text", variant.seed, task.spec.seed_name, item.id, name))
            fields[name] = _rewrite(fields[name], variant, rng, keep, fixed)
        made.append(msgspec.structs.replace(item, fields=fields))
    return tuple(made)


def _rewrite(value: Any, variant: VariantSpec, rng: Random, keep: frozenset[str], fixed: set[str]) -> Any:
    if isinstance(value, list):
        return [_rewrite(one, variant, rng, keep, fixed) for one in value]
    if not isinstance(value, str) or value in fixed:
        return value
    if variant.typos:
        value = with_typos(value, variant.typos, rng, keep)
    return in_case(value, variant.case, keep) if variant.case else value


def _texts(value: Any) -> Iterator[str]:
    """The texts in a target."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
