"""Answers of many formats in one task: every item, and every field of an answer, by a rule of its own."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from proctor.errors import DataError, MissingExtra, nearest
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.field_metrics import NEED, NOT_HERE, RULES
from proctor.scoring.field_values import as_mapping, last_structure, literal, unquoted
from proctor.types import Item, Response

_PACKAGE = {"metrics": "rapidfuzz", "math": "math_verify"}
_ALONE = re.compile(r"(?:[\w-]+(?:,\s*[\w-]+)*|[\w-]+\.|\([\w-]+\)$)", re.ASCII)
_WHOLE = ""  # the field of an answer that has none


class _Plan(Struct, frozen=True):
    """How an item's answer is read and scored.

    Attributes:
        right: field to right value.
        rules: field to rule.
        weights: field to its weight in the mean.
        aggregate: of the fields' scores.
        context: what `xml_norm_point_in_bbox` reads besides.
    """

    right: dict[str, Any]
    rules: dict[str, str]
    weights: dict[str, float]
    aggregate: Literal["mean", "min"]
    context: Any


class Fields(Scorer):
    """Each item's answer by the rule, or the rules of its fields, that the item names (MEGA-Bench).

    The target is a mapping: `answer`, a value or a mapping of fields to values; `metric`, a rule's name or a mapping of fields to rules;
    optionally `weights` (field to weight), `aggregate` (`mean` or `min` over the fields) and `context`. `metric` may also be
    MEGA-Bench's own `metric_info`; mappings may be given as text, JSON or Python.

    An answer of several fields is read as the last JSON object in the text, where there is none the whole text stands for every field. Any
    other is what follows the last `Answer:`, without a code fence and, where the right answer has one line, without remarks after it.
    """

    name = "fields"
    metrics = (Metric("fields"),)

    def check(self, item: Item) -> str | None:
        try:
            plan = _plan(item.target)
        except DataError as error:
            return str(error)
        for rule in plan.rules.values():
            if rule in NOT_HERE:
                return f"the rule '{rule}' is not available here: {NOT_HERE[rule]}; leave the item out with data.where"
            if rule not in RULES:
                return f"no rule is called '{rule}'{nearest(rule, RULES) or ';'} there are: {', '.join(RULES)}"
            extra = NEED.get(rule)
            if extra and importlib.util.find_spec(_PACKAGE[extra]) is None:
                raise MissingExtra(f"the rule '{rule}' of item '{item.id}'", extra)
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        plan = _plan(item.target)
        given = _read(answer, plan)
        scores: dict[str, float] = {}
        for field, rule in plan.rules.items():
            right = plan.context if rule == "xml_norm_point_in_bbox" else plan.right.get(field, "")
            scores[field] = min(1.0, max(0.0, float(RULES[rule](given.get(field, ""), unquoted(right)))))
        total = sum(plan.weights[field] for field in scores)
        value = min(scores.values()) if plan.aggregate == "min" else sum(plan.weights[f] * s for f, s in scores.items()) / total
        missed = [f"{field or rule} {scores[field]:.3g}" for field, rule in plan.rules.items() if scores[field] < 1]
        return Measured({"fields": value}, "; ".join(missed))


def _plan(target: Any) -> _Plan:
    """The target as it is used. Raises `DataError` for one that cannot be."""
    if not isinstance(target, Mapping) or not {"answer", "metric"} <= target.keys():
        raise DataError(f"the target must be a mapping with answer and metric (item.target: {{answer: …, metric: …}}), not {target!r:.80}")
    metric = _mapping(target["metric"])
    aggregate, weights = target.get("aggregate", "mean"), _mapping(target.get("weights")) or {}
    if isinstance(metric, Mapping) and "field_score_function" in metric:  # as MEGA-Bench writes it
        combined = metric.get("aggregation") or {}
        aggregate, weights = combined.get("function") or "mean", combined.get("field_weights") or {}
        metric = metric["field_score_function"]
    if aggregate not in ("mean", "min"):
        raise DataError(f"aggregate must be mean or min, not {aggregate!r}")
    answer, context = target["answer"], _mapping(target.get("context"))
    if isinstance(metric, str):
        rules, right = {_WHOLE: metric}, {_WHOLE: answer}
    elif isinstance(metric, Mapping) and metric and all(isinstance(rule, str) for rule in metric.values()):
        rules = {str(field): rule for field, rule in metric.items()}
        found = as_mapping(answer)
        if found is None:
            raise DataError(f"metric names fields ({', '.join(rules)}), so answer must be a mapping of them, not {answer!r:.80}")
        right = found
        lacking = [field for field, rule in rules.items() if field not in right and rule != "xml_norm_point_in_bbox"]
        if lacking:
            raise DataError(f"answer has no field '{lacking[0]}'{nearest(lacking[0], right) or ';'} it has: {', '.join(right)}")
    else:
        raise DataError(f"metric must be the name of a rule, or a mapping of fields to rules, not {target['metric']!r:.80}")
    weighed = {field: weights.get(field, 1) for field in rules}
    if not all(isinstance(weight, int | float) and weight >= 0 for weight in weighed.values()) or not any(weighed.values()):
        raise DataError(f"weights must be numbers from 0, one of them above, not {weights!r:.80}")
    if isinstance(context, Mapping):
        context = context.get("bounding_boxes", context)
    return _Plan(right, rules, weighed, aggregate, context)


def _mapping(value: Any) -> Any:
    """A mapping given as text, as one; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return literal(value)
        except ValueError:
            raise DataError(f"not a mapping in JSON or Python: {value[:80]!r}") from None
    return value


def _read(text: str, plan: _Plan) -> dict[str, Any]:
    """Field to what the answer says of it."""
    fields = [field for field in plan.right if not field.startswith("##")]
    if len(plan.rules) == 1 and len(fields) <= 1:
        field = next(iter(plan.rules))
        value = single(text, one_line="\n" not in str(plan.right.get(field, "")))
        inside = isinstance(value, dict) and field in value  # asked for as JSON with one field
        return {field: unquoted(value[field]) if inside else value}
    block = re.search(r"```json\s*(.*?)\s*```", text, re.DOTALL)
    found = last_structure(block[1] if block else text)
    if not isinstance(found, dict) or not found:
        return dict.fromkeys(plan.rules, text)
    return {str(field): unquoted(value) for field, value in found.items()}


def single(text: str, *, one_line: bool) -> Any:
    """The answer in a text that is to give only one.

    Args:
        text: what the model wrote.
        one_line: the right answer is of one line: where a short answer is followed by a blank line, what comes after it is a remark.
    """
    marker = re.split(r"answer:", text, flags=re.IGNORECASE)
    if len(marker) > 1:
        bold = marker[-2].endswith("**")
        found = marker[-1].removeprefix("**") if bold and marker[-1].startswith("**") else marker[-1]
        text = found.partition("**")[0] if bold and not found.startswith("\n") and "**" in found else found
    text = text.strip()
    block = re.search(r"```\w*\s*(.*?)\s*```", text, re.DOTALL)
    if block:
        text = block[1].strip()
    elif one_line:
        first = text.split("\n\n")[0].strip()
        text = first if "\n" not in first and _ALONE.match(first) else text
    if text.startswith(("{", "[")):
        found_value = last_structure(text)
        return text if found_value is None else found_value
    return unquoted(text)
