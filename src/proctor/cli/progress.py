"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from proctor.engine.observer import Observer
from proctor.models.base import Ask, Model
from proctor.results.store import Run
from proctor.tasks.suite import Suite
from proctor.types import Response
from proctor.visible import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 10.0


class Counts:
    """What has happened since asking began."""

    def __init__(self, total: int, kept: int) -> None:
        self.total = total
        self.kept = kept
        self.done = kept
        self.asked = 0
        self.failed = 0
        self.tokens = 0
        self.cost: float | None = None
        self.started = time.monotonic()

    def add(self, response: Response, reused: bool) -> None:
        self.done += 1
        self.kept += reused
        self.asked += not reused
        self.failed += response.finish == "error"
        self.tokens += (response.input_tokens or 0) + (response.output_tokens or 0)
        if response.cost is not None:
            self.cost = (self.cost or 0.0) + response.cost

    @property
    def rate(self) -> float:
        """Attempts asked a second."""
        return self.asked / max(time.monotonic() - self.started, 1e-9)

    def line(self) -> str:
        """The counts in a line: done, rate, time left, errors, tokens, cost."""
        parts = [f"{self.done}/{self.total}"]
        if self.asked:
            parts.append(f"{self.rate:.1f}/s")
            if self.done < self.total:
                parts.append(f"{_duration((self.total - self.done) / self.rate)} left")
        if self.kept:
            parts.append(f"{self.kept} kept")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.tokens:
            parts.append(f"{_short(self.tokens)} tokens")
        if self.cost is not None:
            parts.append(f"${self.cost:.4f}")
        return " · ".join(parts)


class _Lines(Observer):
    """What is said in a line of its own, on standard error, whatever the progress looks like."""

    def kept(self, run: Run) -> None:
        finished = datetime.fromtimestamp(run.manifest.finished_at or 0, UTC).strftime("%Y-%m-%d %H:%M UTC")
        click.echo(f"{one_line(run.manifest.model)}: {one_line(run.manifest.suite)}: complete since {finished}, nothing to ask", err=True)

    def written(self, model: Model, tasks: int) -> None:
        why = one_line(model.no_likelihood or "it gives no log-likelihoods")
        many = "1 multiple-choice task is" if tasks == 1 else f"{tasks} multiple-choice tasks are"
        click.echo(
            f"{one_line(model.uri)}: {why}; {many} asked for a written letter, under a protocol of their own "
            "(other models compare with --choices generate)",
            err=True,
        )

    def stopping(self, what: str) -> None:
        # Past Python's own buffers: this may be a signal handler, called while the same stream is being written to.
        os.write(2, f"\nproctor: {what}\n".encode())


class PlainProgress(_Lines):
    """A line when a model begins, one every ten seconds, one at the end; on standard error."""

    def begin(self, run: str, model: Model, suite: Suite, total: int, kept: int) -> None:
        self.model = one_line(model.uri)
        self.counts = Counts(total, kept)
        self.last = time.monotonic()
        tokens = f", {kept} already answered" if kept else ""
        click.echo(f"{self.model}: {one_line(suite.name)}: {total} attempts over {_count(len(suite.entries), 'task')}{tokens}", err=True)

    def further(self, model: Model, requests: int) -> None:
        self.counts.total += requests
        click.echo(f"{self.model}: {self.counts.line()} · then {_count(requests, 'request')} to {one_line(model.uri)}", err=True)

    def answer(self, ask: Ask, response: Response, reused: bool) -> None:
        self.counts.add(response, reused)
        if time.monotonic() - self.last > PLAIN_SECONDS:
            self.last = time.monotonic()
            click.echo(f"{self.model}: {self.counts.line()} · {ask.task}", err=True)

    def scoring(self) -> None:
        click.echo(f"{self.model}: {self.counts.line()} · scoring", err=True)


class LiveProgress(_Lines):
    """One live line per model, on standard error."""

    def begin(self, run: str, model: Model, suite: Suite, total: int, kept: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.counts = Counts(total, kept)
        console = Console(stderr=True)
        self.progress: Progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}", markup=False),
            console=console,
            refresh_per_second=8,
        )
        self.bar: TaskID = self.progress.add_task(one_line(model.uri), total=total, completed=kept, line=self.counts.line())
        self.drawn = 0.0
        self.progress.start()

    def further(self, model: Model, requests: int) -> None:
        self.counts.total += requests
        self.progress.update(self.bar, total=self.counts.total)

    def answer(self, ask: Ask, response: Response, reused: bool) -> None:
        self.counts.add(response, reused)
        if time.monotonic() - self.drawn > 0.1 or self.counts.done == self.counts.total:
            self.drawn = time.monotonic()
            self.progress.update(self.bar, completed=self.counts.done, line=f"{self.counts.line()} · {ask.task}")

    def scoring(self) -> None:
        self.progress.update(self.bar, line=f"{self.counts.line()} · scoring")

    def end(self) -> None:
        if hasattr(self, "progress"):
            self.progress.update(self.bar, line=self.counts.line())
            self.progress.stop()


def observer(*, silent: bool) -> Observer:
    """What suits where standard error goes."""
    if silent:
        return Observer()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _short(number: int) -> str:
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{name}"
    return str(number)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
