"""CRUXEval: what a function returns, and what it must have been given."""

from __future__ import annotations

import ast
from typing import Literal

from proctor.errors import DataError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.sandbox.judge import judge
from proctor.scoring.sandbox_tests import checked_limits, measured, working_engine
from proctor.types import Item, Response


class CruxEval(Scorer):
    """Whether a predicted output, or input, of the function `f` is right, as CRUXEval's authors count it.

    The answer is an assertion, or one side of it. Of `assert f(1) == 2` the right side is an output, the left one an input, as is
    `f(1)` alone. Right means that `f` with the input gives the output: `assert OUTPUT == ANSWER`, run in the sandbox. As with the
    authors an output may not be the call itself, and an input must call `f`. The function that checks an input is the item's own.

    The target is `{code, input, output}`: the text of the function, of its arguments and of what it returns.

    Args:
        predict: `output` or `input`.
        timeout: seconds of processor time; 3 is the authors'.
    """

    name = "cruxeval"
    metrics = (Metric("passed"),)
    default_extract = ({"regex": r"(?s)\[ANSWER\](.*?)(?:\[/ANSWER\]|\Z)"}, "text")
    in_threads = True

    def __init__(self, *, predict: Literal["output", "input"], timeout: float = 3.0) -> None:
        self._predict = predict
        self._limits = checked_limits(self.name, timeout, 512)

    def check(self, item: Item) -> str | None:
        target = item.target
        if not (
            isinstance(target, dict) and set(target) == {"code", "input", "output"} and all(isinstance(one, str) for one in target.values())
        ):
            return f"the target must be {{code, input, output}}, all texts, not {target!r:.200}"
        return None

    def ready(self) -> None:
        working_engine()

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        complaint = self.check(item)
        if complaint:
            raise DataError(f"item '{item.id}': {complaint}")
        code, given, output = (item.target[name] for name in ("code", "input", "output"))
        found = side(answer, self._predict)
        if self._predict == "output" and f"f({given})" in found:
            return Measured({"passed": 0.0}, "the answer is the call itself")
        if self._predict == "input" and "f(" not in found:
            return Measured({"passed": 0.0}, "the answer does not call f")
        if self._predict == "input" and (arguments := arguments_of(found)) is not None:
            # Only the arguments are the model's; the function is not run where the model could have changed it.
            program = f"{code}\n\ndef _answer():\n    return (lambda *args, **kwargs: (args, kwargs))({arguments}\n)"
            tests = f"_args, _kwargs = _answer()\nassert {output} == f(*_args, **_kwargs)"
            return measured(judge(working_engine(), program, tests, helpers=code, entry_point="_answer", limits=self._limits))
        program = f"{code}\n\ndef _answer():\n    return (\n{found}\n)"
        return measured(judge(working_engine(), program, f"assert {output} == _answer()", entry_point="_answer", limits=self._limits))


def side(answer: str, predict: Literal["output", "input"]) -> str:
    """The predicted side of an assertion; an answer that is none, as it is."""
    text = answer.strip()
    if "==" in text:
        text = text.split("==")[0] if predict == "input" else text.split("==")[1]
    return text.replace("assert", "", 1).strip() if predict == "input" else text.strip()


def arguments_of(call: str) -> str | None:
    """The text between the parentheses of `f(…)`; None where that is not all of it."""
    try:
        tree = ast.parse(call, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    body = tree.body
    whole = isinstance(body, ast.Call) and isinstance(body.func, ast.Name) and body.func.id == "f"
    return call[call.index("(") + 1 : call.rindex(")")] if whole else None
