"""Asking: a run's requests go to the model, and each answer is kept as it comes.

First every attempt's first request. Then, in rounds, what depends on answers: the next turn of conversations, second questions, what
judges are asked (`Task.next_steps`). A round's requests go out together, so that a server is kept busy and a local model shares what
they begin with alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing

import msgspec

from proctor.engine.journal import Entry, Journal, Key
from proctor.engine.kept import kept_answers, kept_exchanges
from proctor.engine.observer import Observer
from proctor.engine.plan import Plan
from proctor.engine.stopping import Allowance, ErrorBudget, Stopping
from proctor.errors import ModelError, RunStopped
from proctor.models.base import Ask, Model
from proctor.results.columns import request_hash
from proctor.results.store import Store
from proctor.tasks.task import Task
from proctor.types import Exchange, Response, Step


class Judges:
    """The models that judge, opened when they are first asked; a context manager that closes them.

    Args:
        model: the one that sits the exam, which may be its own judge.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._opened: dict[str, Model] = {}

    def open(self, uris: Iterable[str], allowance: Allowance) -> None:
        """Open them before anything is asked, so that a name mistyped costs nothing. Raises `ModelError`."""
        for uri in uris:
            allowance.check(self[uri])
            if "generate" not in self[uri].kinds:
                raise ModelError(f"judge {uri}: it writes no text, and so can judge nothing")

    def __getitem__(self, uri: str) -> Model:
        """The judge named `uri`; the model itself where it is empty. Raises `ModelError` for one that cannot be opened."""
        if not uri:
            return self._model
        if uri not in self._opened:
            from proctor.models.open import open_model

            judge = open_model(uri)
            self._opened[uri] = self._model if judge.fingerprint == self._model.fingerprint else judge
        return self._opened[uri]

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *_: object) -> None:
        for judge in self._opened.values():
            if judge is not self._model:
                judge.close()


def assemble(task: Task, ask: Ask, journal: Journal, judges: Judges) -> tuple[Response | None, list[Step]]:
    """What the journal has of an attempt.

    Returns:
        The response with its exchanges, None where there is none; and the steps that have no answer yet, or a failed one.
    """
    key = (ask.task, ask.item.id, ask.epoch)
    entry = journal.get(key)
    if entry is None:
        return None, []
    response = entry.response
    while task.has_steps and response.finish != "error":
        steps = task.next_steps(ask.item, ask.epoch, ask.request, response)
        if not steps:
            break
        answers = [_answer(journal, key, ask.epoch, step) for step in steps]
        unanswered = [step for step, answer in zip(steps, answers, strict=True) if answer is None or answer.finish == "error"]
        exchanges = tuple(
            Exchange(step.name, step.request, answer, step.by, judges[step.by].fingerprint if step.by else "")
            for step, answer in zip(steps, answers, strict=True)
            if answer is not None
        )
        response = msgspec.structs.replace(response, exchanges=response.exchanges + exchanges)
        if unanswered:
            return response, unanswered
    return response, []


def _answer(journal: Journal, key: Key, epoch: int, step: Step) -> Response | None:
    """The answer to a step; None where there is none, or one to another question (what it depends on was asked again)."""
    entry = journal.get(key, step.name)
    return None if entry is None or entry.hash != request_hash(step.request, epoch) else entry.response


class Asking:
    """Asks what a run has no answer to.

    Args:
        plan: every attempt.
        model: the one that sits the exam.
        judges: the models that judge.
        journal: where answers are kept.
        store: whose other runs may have answers to the same requests.
        run: its name.
        observer: is told what happens.
        allowance: what may be spent.
    """

    def __init__(
        self,
        plan: Plan,
        model: Model,
        judges: Judges,
        journal: Journal,
        store: Store,
        run: str,
        observer: Observer,
        allowance: Allowance,
    ) -> None:
        self._plan, self._model, self._judges, self._journal = plan, model, judges, journal
        self._store, self._run, self._observer, self._allowance = store, run, observer, allowance

    def everything(self) -> int:
        """Ask whatever is not answered; how many requests the model itself finished.

        Raises:
            RunStopped: the allowance or the error budget is spent.
            KeyboardInterrupt: the user said so.
            ProctorError: the model, a judge or the disk failed.
        """
        journal, plan = self._journal, self._plan
        answered = len(journal) - journal.failed
        self._observer.begin(self._run, self._model, plan.suite, plan.total, answered)
        if answered < plan.total:
            self._model.begin(plan.suite.tasks)
        finished = 0 if answered == plan.total else self._first(answered)
        return finished + self._further()

    def _first(self, answered: int) -> int:
        kept: dict[str, Response] = {}
        if self._model.by_request:
            # Without a journal (it stays where the run was made) this run's own Parquet file is as good as another run's.
            besides = self._run if answered else ""
            hashes = (request_hash(ask.request, ask.epoch) for _, ask in self._plan.asks())
            kept = kept_answers(self._store, self._model.fingerprint, besides, hashes)
        return self._round(self._model, (ask for _, ask in self._plan.asks()), kept.get)

    def _further(self) -> int:
        """The rounds; each asks every step that is due, of one model after the other."""
        tasks = [task for task in self._plan.suite.tasks if task.has_steps]
        if not tasks:
            return 0
        kept = kept_exchanges(self._store, [task.name for task in tasks])
        tried: set[tuple[Key, str]] = set()
        finished = 0
        while True:
            due = Counter(ask_by for _, ask_by in self._due(tried))
            if not due:
                return finished
            for by, count in due.items():
                model = self._judges[by]
                self._observer.further(model, count)

                def asks(by: str = by) -> Iterator[Ask]:
                    for ask, ask_by in self._due(tried):
                        if ask_by == by:
                            tried.add(((ask.task, ask.item.id, ask.epoch), ask.step))
                            yield ask

                def known(digest: str, model: Model = model) -> Response | None:
                    return kept.get((model.fingerprint, digest)) if model.by_request else None

                finished += self._round(model, asks(), known) * (not by)

    def _due(self, tried: set[tuple[Key, str]]) -> Iterator[tuple[Ask, str]]:
        """The steps that can be asked now and have not been tried in this call, and of whom."""
        index = 0
        for task, ask in self._plan.asks():
            if not task.has_steps:
                continue
            key = (ask.task, ask.item.id, ask.epoch)
            for step in assemble(task, ask, self._journal, self._judges)[1]:
                if (key, step.name) not in tried:
                    yield msgspec.structs.replace(ask, index=index, request=step.request, step=step.name), step.by
                    index += 1

    def _round(self, model: Model, asks: Iterator[Ask], kept: Callable[[str], Response | None]) -> int:
        """Requests that do not depend on one another, to one model; how many it finished."""
        journal, observer = self._journal, self._observer
        stopping = Stopping(model, self._allowance, observer.stopping)
        begun, all_begun = 0, False
        hashes: dict[int, str] = {}  # of what is under way

        def unanswered() -> Iterator[Ask]:
            nonlocal begun, all_begun
            for ask in asks:
                key = (ask.task, ask.item.id, ask.epoch)
                digest = request_hash(ask.request, ask.epoch)
                if journal.answered(key, ask.step):
                    entry = journal.get(key, ask.step)
                    if entry is not None and entry.hash == digest:
                        continue
                answer = kept(digest)
                if answer is not None:
                    journal.append(Entry(*key, digest, answer, reused=True, step=ask.step))
                    observer.answer(ask, answer, True)
                    continue
                stopping.look()
                if stopping.reason:
                    return
                begun += 1
                hashes[ask.index] = digest
                yield ask
            all_begun = True

        budget = ErrorBudget()
        finished = 0
        with stopping, closing(_answers(model, unanswered())) as answers:
            for ask, response in answers:
                response = _clean(response)
                digest = hashes.pop(ask.index, None) or request_hash(ask.request, ask.epoch)
                journal.append(Entry(ask.task, ask.item.id, ask.epoch, digest, response, step=ask.step))
                observer.answer(ask, response, False)
                finished += 1
                stopping.after(ask, response)
                if stopping.at_once:
                    break
                if model.by_request and not stopping.reason:
                    budget.spend(response)
        if stopping.interrupted:
            raise KeyboardInterrupt
        if stopping.reason and not (all_begun and finished == begun):
            raise RunStopped(
                f"stopped, {stopping.reason}; {len(journal) - journal.failed} of {self._plan.total} attempts are answered and kept: "
                "the same command continues"
            )
        return finished


def _answers(model: Model, asks: Iterator[Ask]) -> Generator[tuple[Ask, Response], None, None]:
    """The model's answers; nothing is loaded or connected where nothing is left to ask."""
    first = next(asks, None)
    if first is None:
        return

    def all_asks() -> Iterator[Ask]:
        yield first
        yield from asks

    answers = model.answer(all_asks())
    try:
        yield from answers
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


def _clean(response: Response) -> Response:
    """A response that can be kept: numbers that are numbers, text that is Unicode."""
    if response.loglikelihoods is not None and not all(math.isfinite(one) for prompt in response.loglikelihoods for one in prompt):
        return Response(finish="error", error="the model gave a log-likelihood that is not a finite number", started_at=response.started_at)
    if response.ranking is not None and not all(math.isfinite(one.score) for one in response.ranking):
        return Response(finish="error", error="the model ranked by a score that is not a finite number", started_at=response.started_at)
    for name in ("text", "error"):
        said = getattr(response, name)
        if said is not None and not said.isascii():
            response = msgspec.structs.replace(response, **{name: said.encode(errors="replace").decode()})
    return response


def answered(task: Task, ask: Ask, journal: Journal, judges: Judges) -> tuple[Response, bool]:
    """An attempt that is over: its response with all exchanges, and whether its first answer was kept from another run.

    Raises:
        ModelError: something of it has no answer.
    """
    entry = journal.get((ask.task, ask.item.id, ask.epoch))
    response, open_steps = assemble(task, ask, journal, judges)
    failed = {one.name for one in response.exchanges if one.response.finish == "error"} if response else set[str]()
    if entry is None or response is None or any(step.name not in failed for step in open_steps):
        raise ModelError(
            f"the model gave no answer to item '{ask.item.id}' of task '{ask.task}'; run the same command again to ask the rest"
        )
    return response, entry.reused
