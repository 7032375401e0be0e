"""Scorers of numeric and mathematical answers: numeric, math."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from typing import Any

from proctor.errors import DataError, MissingExtra, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.number_text import read_number
from proctor.scoring.text import accepted
from proctor.types import Item, Response


class Numeric(Scorer):
    """Whether the answer is the target number, or one of several.

    Numbers are read from text as the extraction `number` does (the last one in the answer) and compared exactly, as fractions: 0.5, 1/2
    and .50 are one number. Right when |answer − target| ≤ max(`absolute`, `relative` · |target|).

    Args:
        absolute: tolerance in the target's unit.
        relative: tolerance as a share of the target's size.
    """

    name = "numeric"
    metrics = (Metric("numeric"),)
    default_extract = ("number",)

    def __init__(self, *, absolute: float = 0.0, relative: float = 0.0) -> None:
        if not (absolute >= 0 and relative >= 0) or max(absolute, relative) == float("inf"):
            raise TaskError(f"numeric: tolerances must be finite and not negative, found absolute={absolute}, relative={relative}")
        self._absolute, self._relative = Fraction(repr(absolute)), Fraction(repr(relative))

    def check(self, item: Item) -> str | None:
        return None if _targets(item) else f"the target must be a number, a text with one, or a list of them, not {item.target!r}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        targets = _targets(item)
        if not targets:
            raise DataError(f"item '{item.id}': {self.check(item)}")
        value = read_number(answer)
        if value is None:
            return Measured({"numeric": 0.0}, "no number in the answer")
        right = any(self._near(value, target) for target in targets)
        return Measured({"numeric": float(right)}, "" if right else f"expected {item.target}")

    def _near(self, value: Fraction, target: Fraction) -> bool:
        if value == target:
            return True
        exact = not (self._absolute or self._relative)
        return not exact and abs(value - target) <= max(self._absolute, self._relative * abs(target))


def _targets(item: Item) -> list[Fraction]:
    values: list[Any] = list(item.target) if isinstance(item.target, list | tuple) else [item.target]
    numbers = [number for value in values if (number := read_number(value)) is not None]
    return numbers if len(numbers) == len(values) else []


class Math(Scorer):
    """Whether the answer is mathematically equal to the target, by `math-verify` (LaTeX, expressions, sets, intervals, matrices).

    Equal texts are right without it. A target or answer without math delimiters is read as LaTeX. The comparison runs in a process of
    its own that is ended when it takes too long (a model can write 9^9^9^9): that counts as wrong, and the reason says so.

    Args:
        timeout: seconds for one comparison.
    """

    name = "math"
    metrics = (Metric("math"),)
    default_extract = ("boxed", "text")

    def __init__(self, *, timeout: float = 10.0) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra("the scorer 'math'", "math")
        if not timeout > 0:
            raise TaskError(f"math: the timeout must be a positive number of seconds, not {timeout}")
        self._timeout = timeout

    def check(self, item: Item) -> str | None:
        try:
            accepted(item)
        except DataError as error:
            return str(error).partition(": ")[2]
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        from proctor.scoring.math_process import equal

        targets = accepted(item)
        if answer.strip() in {target.strip() for target in targets}:
            return Measured({"math": 1.0})
        right = equal(targets, answer, self._timeout)
        if right is None:
            return Measured({"math": 0.0}, f"the comparison took more than {self._timeout:g} s or failed")
        return Measured({"math": float(right)}, "" if right else f"expected {' or '.join(targets)[:80]}")
