"""Items as the tables that estimators learn from: features as X, targets as y, predictions as texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from proctor.errors import ModelError
from proctor.scoring.letters import choice_label
from proctor.scoring.probability import Probability
from proctor.scoring.structured import listed
from proctor.types import Item

if TYPE_CHECKING:
    from proctor.tasks.task import Task

_NUMBERS = ("regression", "numeric")


class Columns:
    """How features become X.

    Numbers and texts that are numbers become numbers, empty ones NaN; a list of numbers is as many columns. Where all is numbers X is an
    array of floats of shape (rows, columns), with texts among them an array of objects; a single column of texts is a list of texts.

    Args:
        names: the features.
        items: from which it is seen what they hold.
        uri: of the model, for messages.
    """

    def __init__(self, names: Sequence[str], items: Sequence[Item], uri: str) -> None:
        if not names:
            raise ModelError(f"model {uri}: the task has no features; name columns in item.features or in the prompt")
        self._names = names
        self._numeric = [all(_number(value) is not None for item in items for value in _values(item.fields.get(name))) for name in names]
        self.width = sum(max((len(_values(item.fields.get(name))) for item in items), default=0) for name in names)
        self._text_alone = len(names) == 1 and not self._numeric[0]

    def row(self, item: Item) -> tuple[Any, ...]:
        """One row, hashable."""
        found: list[Any] = []
        for name, numeric in zip(self._names, self._numeric, strict=True):
            values = _values(item.fields.get(name))
            found += [_number(value) if numeric else "" if value is None else str(value) for value in values]
        return tuple(found)

    def rows(self, items: Sequence[Item]) -> Any:
        """X of these items."""
        return self.table([self.row(item) for item in items])

    def table(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """X of these rows."""
        import numpy as np

        if self._text_alone:
            return [row[0] for row in rows]
        if len({len(row) for row in rows}) > 1:
            raise ValueError("a feature that is a list must have the same length in every row")
        if all(self._numeric):
            return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
        return np.array(rows, dtype=object)


class Target(Struct, frozen=True):
    """How the targets of a task become y, and predictions texts.

    Attributes:
        read: an item's target as an estimator learns it.
        write: a prediction as an answer.
        numeric: whether `read` gives numbers.
        wants_probability: whether the answer is the probability of a yes.
        labels: of several labels an item, all there are: y has a column of 0 and 1 for each.
    """

    read: Callable[[Item], Any]
    write: Callable[[Any], str]
    numeric: bool
    wants_probability: bool = False
    labels: tuple[str, ...] = ()

    def learnt(self, items: Sequence[Item]) -> Any:
        """y: numbers as floats (0 and 1 as integers), labels as texts, several labels as rows of 0 and 1."""
        import numpy as np

        values = [self.read(item) for item in items]
        if self.labels:
            return np.array([[int(label in value) for label in self.labels] for value in values])
        return np.array(values)

    def texts(self, predictions: Any) -> list[str]:
        return [self.write(one) for one in predictions]


def read_target(task: Task, uri: str) -> Target:
    """What a task's scoring wants: numbers for `regression`, 0 and 1 for `probability`, several labels for `multilabel`, else a label.

    Raises:
        ModelError: a target to learn that cannot be read so.
    """
    scorer = task.scoring.protocol["scorers"][0]
    if task.spec.response.kind == "choice":
        return Target(lambda item: _first(item.target), lambda one: choice_label(int(one)), numeric=True)
    if scorer["scorer"] in _NUMBERS or (scorer["scorer"] == "ordinal" and not scorer["options"].get("levels")):
        for item in task.pool:
            if _number(_first(item.target)) is None:
                raise ModelError(f"model {uri}: task '{task.name}': the target of '{item.id}' in data.shots is no number: {item.target!r}")
        return Target(lambda item: _number(_first(item.target)), lambda one: repr(float(one)), numeric=True)
    if scorer["scorer"] == "probability":
        outcome = Probability(**scorer["options"]).outcome
        for item in task.pool:
            if outcome(item.target) is None:
                raise ModelError(f"model {uri}: task '{task.name}': the target of '{item.id}' in data.shots is not 1 or 0: {item.target!r}")
        return Target(lambda item: int(bool(outcome(item.target))), lambda one: repr(float(one)), numeric=True, wants_probability=True)
    if scorer["scorer"] == "multilabel":
        labels = tuple(sorted({label for item in task.pool for label in listed(item.target)}))

        def several(row: Any) -> str:
            return ", ".join(label for label, there in zip(labels, row, strict=True) if there) or "none"

        return Target(lambda item: set(listed(item.target)), several, numeric=False, labels=labels)
    return Target(lambda item: str(_first(item.target)), str, numeric=False)


def joint_rows(columns: Columns, targets: Sequence[Target], pools: Sequence[Sequence[Item]]) -> tuple[Any, Any]:
    """X and Y of several tasks together, rows of equal features being one, of shapes (rows, columns) and (rows, tasks).

    A row that a task does not have is NaN in its column, None where the targets are labels.

    Raises:
        ModelError: a task with several labels an item.
    """
    import numpy as np

    if any(target.labels for target in targets):
        raise ModelError("one estimator for all tasks cannot learn several labels an item; leave joint out")
    found: dict[tuple[Any, ...], list[Any]] = {}
    for place, (target, pool) in enumerate(zip(targets, pools, strict=True)):
        seen: dict[tuple[Any, ...], int] = {}
        for item in pool:
            row = columns.row(item)
            seen[row] = seen.get(row, 0) + 1
            found.setdefault((seen[row], *row), [None] * len(targets))[place] = target.read(item)
    wanted = list(found.values())
    whole = all(None not in row for row in wanted)
    if all(target.numeric for target in targets):
        y = np.array([[math.nan if value is None else value for value in row] for row in wanted], dtype=np.float64)
        y = y.astype(np.int64) if whole and all(target.wants_probability for target in targets) else y
    else:
        y = np.array(wanted) if whole and not any(target.numeric for target in targets) else np.array(wanted, dtype=object)
    return columns.table([row[1:] for row in found]), y


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _number(value: Any) -> float | None:
    """A number, NaN for nothing; None for what is no number."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, str | int | float):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return math.nan if math.isnan(number) else number  # one object, so that rows with it are equal
    return None


def _first(target: Any) -> Any:
    return target[0] if isinstance(target, list | tuple) and target else target
