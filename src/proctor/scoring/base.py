"""What a scorer is, and how per-item numbers become a task's number."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct, field

from proctor.types import Item, Request, Response, Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Columns(Struct, frozen=True):
    """The scored attempts of one task, one entry per attempt, for metrics that are not a mean.

    Attributes:
        answers: the extracted answers; None where there was none.
        targets: the items' targets.
        values: metric or statistic name to numbers (NaN where an attempt has none), shape (attempts,).
        raw: what each attempt's score holds as `raw`.
        clusters: the independent draw each attempt belongs to, by name: its item's group, or where it has none the item. Empty: each
            attempt is one.
    """

    answers: list[str | None]
    targets: list[Any]
    values: dict[str, NDArray[np.float64]]
    raw: Sequence[dict[str, Any]] = ()
    clusters: Sequence[str] = ()


class Metric(Struct, frozen=True):
    """A number that a task reports.

    A metric is the mean of the attempts' values of its name, unless it has `statistics`: then it is a function of their sums
    (accuracy of a corpus, F1 over classes, BLEU, correlation, perplexity). Sums of per-item statistics can be resampled cheaply, which is
    how such metrics get their standard error.

    Attributes:
        name: as printed.
        higher_is_better: direction.
        bounds: worst and best value (by value, low first); None where unbounded. A composite needs them.
        statistics: Columns -> array (attempts, k) of additive statistics.
        value: array (..., k) of summed statistics -> array (...) of the metric.
        whole: Columns -> value and standard error (None where undefined), of a metric that no sums give: a median, an area under a curve,
            somebody else's function of all attempts.
        stderr: whether the mean is given a standard error.
    """

    name: str
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = (0.0, 1.0)
    statistics: Callable[[Columns], NDArray[np.float64]] | None = None
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    whole: Callable[[Columns], tuple[float | None, float | None]] | None = None
    stderr: bool = True

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of the attempts' values."""
        return self.statistics is None and self.whole is None


class Measured(Struct, frozen=True):
    """What a scorer found for one answer: named numbers, and why in a few words."""

    values: dict[str, float]
    reason: str = ""


class Scorer(abc.ABC):
    """Compares an extracted answer with an item's target.

    Attributes:
        name: as written in a task file.
        version: raised when the same answer would get another number; part of the protocol hash.
        metrics: what it reports; the first is the main one.
        late_options: options that were added after the scorer; at their default they are no part of the protocol, so that hashes stay.
        default_extract: how the answer is found where the task file does not say; same form as `scoring.extract`.
        in_threads: whether measuring waits for other processes, so that several answers should be measured at once, in threads.
        unanswered: the values of an attempt without an answer (unparsed, refused, failed).
        judged: whether it has judges asked (`steps`).
        conversation: whether it scores every turn of a conversation, and so is asked (with the answer "") even where the last has none.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    late_options: ClassVar[frozenset[str]] = frozenset()
    default_extract: tuple[Any, ...] = ("text",)
    in_threads: ClassVar[bool] = False
    judged: ClassVar[bool] = False
    conversation: bool = False
    metrics: tuple[Metric, ...]

    @abc.abstractmethod
    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        """Score `answer`. Raises `DataError` for a target this scorer cannot read."""

    def check(self, item: Item) -> str | None:
        """A complaint about `item.target`, or None: run over all items before anything is asked."""
        return None

    def steps(self, answer: str, item: Item, request: Request, response: Response) -> Sequence[Step]:
        """What judges are asked about `answer`, given what they said so far (`response.exchanges`). Called until it names nothing new.

        `request` is the attempt's first, which `response` answers. The verdicts are among the exchanges of the response that `measure`
        is given.
        """
        return ()

    def ready(self) -> None:  # noqa: B027 - most scorers need nothing of the machine
        """Raise a `ProctorError` where nothing can be measured on this machine; called before anything is asked."""

    def unanswered(self, item: Item) -> dict[str, float]:
        """Values for an attempt that gave no answer: the worst of each bounded mean metric."""
        worst: dict[str, float] = {}
        for metric in self.metrics:
            if metric.is_mean and metric.bounds is not None:
                worst[metric.name] = metric.bounds[0 if metric.higher_is_better else 1]
        return worst


class Extraction(Struct, frozen=True):
    """An answer found in a text.

    Attributes:
        answer: what was found; None where nothing was.
        needs_end: whether an answer cut off by the token limit could differ (the last number, the whole text).
    """

    answer: str | None
    needs_end: bool = field(default=False)


def cluster_numbers(columns: Columns, kept: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """The clusters of the attempts that are kept, as whole numbers from 0; None where nothing says that some belong together."""
    import numpy as np

    if not columns.clusters:
        return None
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in itertools.compress(columns.clusters, kept)], dtype=np.int64)
