"""Made-up tasks in BIG-bench's schema that between them use every key and metric."""

from __future__ import annotations

from typing import Any

_NAMED: dict[str, Any] = {"canary": "none: made up", "description": "Made up.", "keywords": ["arithmetic", "zero-shot", "json"]}


def _choices(**keys: Any) -> dict[str, Any]:
    animals = {"cat": "mammal", "trout": "fish", "wren": "bird", "newt": "amphibian", "whale": "mammal", "emu": "bird", "eel": "fish"}
    kinds = ["mammal", "bird", "fish", "amphibian"]
    examples = [
        {"input": f"What is a {animal}?", "target_scores": {one: int(one == kind) for one in kinds}} for animal, kind in animals.items()
    ]
    return {
        **_NAMED,
        "name": "kinds",
        "metrics": ["multiple_choice_grade"],
        "preferred_score": "multiple_choice_grade",
        "examples": examples,
        **keys,
    }


def _sums(**keys: Any) -> dict[str, Any]:
    examples = [{"input": f"{a} + {b}", "target": str(a + b)} for a, b in [(1, 2), (3, 9), (20, 22), (5, 5), (17, 4), (100, 1), (8, 60)]]
    return {
        **_NAMED,
        "name": "sums",
        "metrics": ["exact_str_match"],
        "preferred_score": "exact_str_match",
        "examples": examples,
        **keys,
    }


def _phrases(**keys: Any) -> dict[str, Any]:
    texts = [
        ["the red bike is mine", "my bike is red"],
        ["he sleeps . she wakes . they eat", "he is asleep and she is not"],
        ["a wet day, a dry night"],
        ["nothing of the kind was said"],
        ["all is well that ends well", "it ends well", "all is well"],
        ["first one, then two, then three things"],
    ]
    examples = [{"input": f"Say it again, number {index}", "target": one} for index, one in enumerate(texts)]
    return {
        **_NAMED,
        "name": "phrases",
        "metrics": ["bleu", "rouge"],
        "preferred_score": "rougeLsum",
        "few_shot_example_separator": "\n---\n",
        "examples": examples,
        **keys,
    }


_SOFT = [
    {"input": "warm", "target_scores": {"hot": 0.6, "cold": 0.1, "cool": 0.3}},
    {"input": "big", "target_scores": {"large": 1, "huge": 0.5, "small": 0}},
    {"input": "fast", "target_scores": {"quick": 1, "swift": 1, "slow": 0, "late": 0}},
    {"input": "odd", "target_scores": {"strange": 1, "even": -0.5}},
]
_NUMBERS = [{"input": f"twice {n}", "target": [str(2 * n)]} for n in (1, -4, 0, 2.5, 30, -7)]
_TAGS = [{"input": text, "target": tags} for text, tags in [("a cat sat", "D N V"), ("run", "V"), ("he saw it now", "P V P A")]]

CASES: dict[str, dict[str, Any]] = {
    "defaults": _choices(),
    "unlisted": _choices(
        append_choices_to_input=False, task_prefix="Say what it is.\n", example_input_prefix="", example_output_prefix=" "
    ),
    "text-false": _choices(append_choices_to_input="false", choice_prefix=" * "),
    "labels": _choices(metrics=["macro_f1", "multiple_choice_grade"], preferred_score="macro_f1"),
    "soft": _choices(
        examples=_SOFT,
        metrics=["multiple_choice_grade", "weighted_log_probabilities", "weighted_probabilities"],
        absolute_normalization=True,
    ),
    "weighted": _choices(examples=_SOFT, metrics=["weighted_probabilities"], preferred_score="weighted_probabilities"),
    "sums": _sums(),
    "sums-regex": _sums(output_regex="[-+]?\\d+", task_prefix="Add. "),
    "sums-group": _sums(output_regex="(\\d+)\\b"),
    "sums-stop": _sums(stop_string="\n"),
    "sums-whole": _sums(output_regex="", metrics=["exact_str_match", "case_insensitive_str_match"]),
    "phrases": _phrases(),
    "bleu": _phrases(preferred_score="bleu", metrics=["bleu", "exact_str_match"]),
    "likely": _phrases(preferred_score="log_likelihood", metrics=["log_likelihood"]),
    "likely-single": _sums(preferred_score="log_likelihood", metrics=["log_likelihood", "exact_str_match"]),
    "near": _sums(
        examples=_NUMBERS,
        metrics=["numeric_match_with_0_1_relative_error"],
        preferred_score="numeric_match_with_0_1_relative_error",
        output_regex="[-+]?[0-9.]+",
    ),
    "tags": _sums(examples=_TAGS, metrics=["sequence_f1"], preferred_score="sequence_f1"),
    "both": _choices(
        metrics=["exact_str_match", "multiple_choice_grade"],
        examples=[{**one, "target": max(one["target_scores"], key=one["target_scores"].get)} for one in _choices()["examples"]],
    ),
    "repeated": _sums(examples=[*_sums()["examples"], *_sums()["examples"][:2], {**_sums()["examples"][0], "comment": "again"}]),
}
