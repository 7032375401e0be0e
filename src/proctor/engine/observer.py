"""Who is told what happens in a run."""

from __future__ import annotations

from proctor.models.base import Ask, Model
from proctor.results.store import Run
from proctor.tasks.suite import Suite
from proctor.types import Response


class Observer:
    """Is told what happens; the command line draws its progress from it. All methods do nothing."""

    def kept(self, run: Run) -> None:
        """The run is complete already; nothing is asked."""

    def written(self, model: Model, tasks: int) -> None:
        """The model gives no log-likelihoods: so many multiple-choice tasks are asked for a written letter."""

    def begin(self, run: str, model: Model, suite: Suite, total: int, kept: int) -> None:
        """Asking begins: `kept` of `total` attempts are answered already."""

    def answer(self, ask: Ask, response: Response, reused: bool) -> None:
        """A request was answered, or failed: an attempt's first one, or a step of it."""

    def further(self, model: Model, requests: int) -> None:
        """A further round begins: so many requests that depend on answers, to the model itself or to a judge."""

    def stopping(self, what: str) -> None:
        """Nothing further is asked, and what is under way is waited for. May be called from a signal handler or another thread."""

    def scoring(self) -> None:
        """All is answered; scoring begins."""

    def end(self) -> None:
        """The run is over, complete or not."""
