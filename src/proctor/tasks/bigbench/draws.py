"""BIG-bench's own draws: the order of listed choices, and which examples go before which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from proctor.canonical import canonical_json
from proctor.errors import TaskError
from proctor.types import Item

SEED = 42  # of numpy's RandomState, anew for each example's choices and for each task's examples


def permuted(choices: Sequence[str]) -> list[str]:
    """Choices, given sorted, in the order in which BIG-bench lists them."""
    import numpy as np

    return [choices[index] for index in np.random.RandomState(SEED).permutation(len(choices))]


def example_answers(item: Item) -> list[str]:
    """The answers an example can have."""
    targets: list[str] = item.fields["targets"]
    return targets


class NamedExamples:
    """The examples of every item as `json_task.make_nshot_dataset` draws them: one generator for the whole task, which first shuffles
    the items and then draws for each of them in turn.

    So they depend on all of the file and its order. Under a limit an item keeps those it has in the whole task; BIG-bench draws anew.

    Args:
        pool: all items of the task, in the order of its file.
        rows: the examples they were made from.
        shots: how many.

    Raises:
        TaskError: there are too few.
    """

    def __init__(self, pool: Sequence[Item], rows: Sequence[Any], shots: int) -> None:
        import numpy as np

        if len(pool) < shots + 1:
            raise TaskError(f"{shots} examples were asked for, and the task has {len(pool)} items; lower --shots")
        random = np.random.RandomState(SEED)
        alike: dict[bytes, list[int]] = defaultdict(list)  # BIG-bench leaves out whatever equals the item, not only itself
        keys = [canonical_json(row) for row in rows]
        for index, key in enumerate(keys):
            alike[key].append(index)
        self._texts: dict[str, list[str]] = {}
        for index in random.permutation(len(pool)):
            item = pool[index]
            left_out = set(alike[keys[index]])
            valid = [other for other in range(len(pool)) if other not in left_out] if len(left_out) > 1 else None
            count = len(valid) if valid is not None else len(pool) - 1
            drawn = random.permutation(count)[:shots]
            found = [pool[valid[place]] if valid is not None else pool[place + int(place >= index)] for place in drawn]
            self._texts[item.id] = [one.fields["question"] + str(random.choice(example_answers(one))) for one in found]

    def of(self, item: Item) -> list[str]:
        """The examples of an item, question and answer each, in order."""
        return self._texts[item.id]
