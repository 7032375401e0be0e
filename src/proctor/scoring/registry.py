"""Scorers by name: those of Proctor and those other packages bring, imported when used."""

from __future__ import annotations

import importlib
import inspect
import typing
from importlib.metadata import entry_points
from typing import Any

import msgspec

from proctor.errors import TaskError, nearest
from proctor.scoring.base import Scorer

ENTRY_POINTS = "proctor.scorers"

SCORERS = {
    "exact_match": "proctor.scoring.text:ExactMatch",
    "quasi_exact": "proctor.scoring.text:QuasiExact",
    "f1": "proctor.scoring.text:F1",
    "squad": "proctor.scoring.reading:Squad",
    "contains": "proctor.scoring.text:Contains",
    "fields": "proctor.scoring.fields:Fields",
    "quasi_contains": "proctor.scoring.text:QuasiContains",
    "numeric": "proctor.scoring.numbers:Numeric",
    "math": "proctor.scoring.numbers:Math",
    "choice": "proctor.scoring.choice:Choice",
    "choice_or_guess": "proctor.scoring.choice:ChoiceOrGuess",
    "choice_set": "proctor.scoring.choice:ChoiceSet",
    "classification": "proctor.scoring.classification:Classification",
    "regression": "proctor.scoring.regression:Regression",
    "ordinal": "proctor.scoring.ordinal:Ordinal",
    "probability": "proctor.scoring.probability:Probability",
    "multilabel": "proctor.scoring.multilabel:Multilabel",
    "tags": "proctor.scoring.tags:Tags",
    "entities": "proctor.scoring.tags:Entities",
    "spans": "proctor.scoring.spans:Spans",
    "detection": "proctor.scoring.detection:Detection",
    "segmentation": "proctor.scoring.segmentation:Segmentation",
    "error_rate": "proctor.scoring.error_rate:ErrorRate",
    "bleu": "proctor.scoring.generation:Bleu",
    "chrf": "proctor.scoring.generation:Chrf",
    "rouge": "proctor.scoring.generation:Rouge",
    "retrieval": "proctor.scoring.retrieval:Retrieval",
    "answer_sets": "proctor.scoring.answer_sets:AnswerSets",
    "perplexity": "proctor.scoring.perplexity:Perplexity",
    "bbq": "proctor.scoring.bbq:Bbq",
    "constraints": "proctor.scoring.constraints:Constraints",
    "multi_answer": "proctor.scoring.multi_answer:MultiAnswer",
    "ifeval": "proctor.scoring.ifeval.scorer:Ifeval",
    "ifeval_turns": "proctor.scoring.ifeval.turns:IfevalTurns",
    "code_tests": "proctor.scoring.code:CodeTests",
    "sandbox_tests": "proctor.scoring.sandbox_tests:SandboxTests",
    "cruxeval": "proctor.scoring.cruxeval:CruxEval",
    "python": "proctor.scoring.functions:PythonFunction",
    "gym": "proctor.scoring.functions:Gym",
    "judge_points": "proctor.scoring.judges.rubrics:JudgePoints",
    "judge_categories": "proctor.scoring.judges.rubrics:JudgeCategories",
    "judge_pairwise": "proctor.scoring.judges.rubrics:JudgePairwise",
    "judge_checklist": "proctor.scoring.judges.rubrics:JudgeChecklist",
    "judge_report": "proctor.scoring.judges.report:JudgeReport",
}


def scorer_names() -> list[str]:
    """Every scorer a task file can name here, sorted."""
    return sorted({*SCORERS, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def scorer_class(name: str, where: str) -> type[Scorer]:
    """The class of the scorer called `name`. Proctor's own names win over other packages'.

    Raises:
        TaskError: nothing has that name, or what has it cannot be imported or is no scorer; `where` opens the message.
    """
    if name in SCORERS:
        module, _, attribute = SCORERS[name].partition(":")
        found: Any = getattr(importlib.import_module(module), attribute)
    else:
        points = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
        if not points:
            raise TaskError(
                f"{where}: no scorer is called '{name}'{nearest(name, scorer_names()) or ';'} there are: {', '.join(scorer_names())}"
            )
        try:
            found = points[0].load()
        except Exception as error:
            raise TaskError(f"{where}: the scorer '{name}' ({points[0].value}) cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Scorer)):
        raise TaskError(f"{where}: '{name}' is not a scorer (a subclass of proctor.scoring.base.Scorer)")
    return found


def read_entry(entry: Any, where: str) -> tuple[str, Any]:
    """A scorer's name and argument from an entry of `scoring.metrics`: `name`, or `{name: argument}`."""
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str):
        return typing.cast("tuple[str, Any]", next(iter(entry.items())))
    raise TaskError(f"{where}: expected a scorer's name or {{name: {{options}}}}, found {entry!r}")


def make_scorer(cls: type[Scorer], argument: Any, where: str) -> tuple[Scorer, dict[str, Any]]:
    """A scorer from its class and the options of a task file, checked against the keywords of its `__init__` and their types.

    A value that is no mapping is that of the class's `main_option`, where it has one (`python: module:function`).

    Returns:
        The scorer, and its options with defaults filled in, but for those of `late_options` that are at theirs.

    Raises:
        TaskError: an option that is unknown, missing or of the wrong type.
    """
    main = getattr(cls, "main_option", None)
    given: Any = {} if argument is None else {main: argument} if main and not isinstance(argument, dict) else argument
    parameters = {
        key: parameter for key, parameter in inspect.signature(cls.__init__).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    }
    takes = f"its options are: {', '.join(parameters)}" if parameters else "it has no options"
    if not isinstance(given, dict):
        raise TaskError(f"{where}: '{cls.name}' expects options as {{key: value}}, found {argument!r}; {takes}")
    hints = typing.get_type_hints(cls.__init__)
    options: dict[str, Any] = {}
    for key, value in given.items():
        if key not in parameters:
            raise TaskError(f"{where}: '{cls.name}' has no option '{key}'{nearest(str(key), parameters) or ';'} {takes}")
        try:
            options[key] = msgspec.convert(value, hints.get(key, Any))
        except msgspec.ValidationError as error:
            raise TaskError(f"{where}: {cls.name}.{key}: {error}") from None
    for key, parameter in parameters.items():
        if key not in options:
            if parameter.default is parameter.empty:
                raise TaskError(f"{where}: '{cls.name}' needs the option '{key}'; {takes}")
            options[key] = parameter.default
    kept = {key: value for key, value in options.items() if key not in cls.late_options or value != parameters[key].default}
    try:
        return cls(**options), kept
    except TaskError as error:
        raise TaskError(f"{where}: {error}") from None
