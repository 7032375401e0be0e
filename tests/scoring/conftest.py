import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proctor.errors import UsageError
from proctor.scoring.base import Columns, Scorer
from proctor.scoring.sandbox.engines import Engine
from proctor.scoring.sandbox_tests import working_engine
from proctor.types import Item, Response


@pytest.fixture(scope="session")
def engine() -> Engine:
    """What contains programs here. Where `make test` can install it, a machine without is a failure and no reason to skip."""
    try:
        return working_engine()
    except UsageError as error:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{error}\n`make test` installs bubblewrap on this machine")
        pytest.skip(str(error))


@pytest.fixture
def shared() -> Path:
    """The folder of public data sets these tests measure against; they are skipped where it is absent."""
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    return folder


@pytest.fixture
def shared_lines(shared: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Reads a JSON-lines file of the shared data."""
    return lambda name: [json.loads(line) for line in (shared / name).read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture
def task_values() -> Callable[..., dict[str, float]]:
    """Score answers (None: unanswered) against items and give every metric of the task, as a run does; NaN where undefined."""

    def values(scorer: Scorer, answers: list[str | None], items: list[Item], responses: list[Response] | None = None) -> dict[str, float]:
        per_attempt: list[dict[str, float]] = []
        for index, (answer, item) in enumerate(zip(answers, items, strict=True)):
            assert scorer.check(item) is None
            if answer is None:
                per_attempt.append(scorer.unanswered(item))
            else:
                per_attempt.append(scorer.measure(answer, item, responses[index] if responses else Response()).values)
        names = {name for row in per_attempt for name in row}
        numbers = {n: np.array([row.get(n, np.nan) for row in per_attempt]) for n in names}
        clusters = [item.group or f"\0{place}" for place, item in enumerate(items)]
        columns = Columns(answers, [item.target for item in items], numbers, (), clusters)
        result: dict[str, Any] = {}
        for metric in scorer.metrics:
            if metric.whole is not None:
                whole, stderr = metric.whole(columns)
                assert stderr is None or stderr >= 0
                result[metric.name] = np.nan if whole is None else whole
            elif metric.statistics is None:
                result[metric.name] = float(np.nanmean(columns.values[metric.name]))
            else:
                assert metric.value is not None
                rows = metric.statistics(columns)
                assert rows.shape[0] == len(items)
                whole = metric.value(rows.sum(axis=0))
                assert np.shape(whole) == ()
                # Resampled sums come stacked; each must give what it gives alone.
                half = rows[: len(items) // 2 + 1].sum(axis=0)
                stacked = metric.value(np.stack([rows.sum(axis=0), half]))
                np.testing.assert_array_equal(stacked, [whole, metric.value(half)])
                result[metric.name] = float(whole)
        return result

    return values
