"""Why a run ends before its last item: the user says so, the money or time allowed is used up, or the server only fails."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from proctor.errors import ModelError, RunStopped, UsageError
from proctor.models.base import Ask, Model
from proctor.types import Response, prompts_of

# The error budget. A server that is down, or answers nothing but errors, should not be asked ten thousand times.
FAILED_IN_A_ROW = 20
FAILED_SHARE, FAILED_SHARE_AFTER = 0.5, 50

# Requests under way are paid for, so they are waited for, so long (seconds).
FINISH_INTERRUPTED, FINISH_TIME, FINISH_COST = 10.0, 10.0, 60.0

_CHARACTERS_PER_TOKEN = 4.0


class ErrorBudget:
    """Stops a run in which the server only fails.

    A failure that was tried again and again is the server's; one that was given up at once (a request the server will not take, an item
    without a prediction, an exception in a function) is the item's: it is counted, and the run goes on. (So with `tries=1`, where nothing
    is tried again, nothing stops the run.)
    """

    def __init__(self) -> None:
        self.finished = 0
        self.failed = 0
        self.in_a_row = 0

    def spend(self, response: Response) -> None:
        """Count one attempt. Raises `RunStopped` where too many have failed."""
        self.finished += 1
        if response.finish != "error" or not response.retries:
            self.in_a_row = 0
            return
        self.failed += 1
        self.in_a_row += 1
        too_many = self.finished >= FAILED_SHARE_AFTER and self.failed > FAILED_SHARE * self.finished
        if self.in_a_row >= FAILED_IN_A_ROW or too_many:
            raise RunStopped(
                f"stopped: {self.failed} of {self.finished} attempts failed, the last with: {response.error}; "
                "what was answered is kept: mend the cause and the same command continues"
            )


class Allowance:
    """What one call of `run`, or one command, may spend over all its models; a later one that continues has its own.

    Args:
        max_cost: US dollars for answers, by known prices.
        max_time: seconds from now.

    Raises:
        UsageError: a number that is not positive.
    """

    def __init__(self, max_cost: float | None = None, max_time: float | None = None) -> None:
        for name, value in (("max_cost", max_cost), ("max_time", max_time)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name}: must be a positive number, not {value}")
        self.max_cost, self.max_time = max_cost, max_time
        self.cost, self.answers = 0.0, 0
        self.deadline = math.inf if max_time is None else time.monotonic() + max_time

    def check(self, model: Model) -> None:
        """Before anything is asked. Raises `ModelError` where the cost of a model's answers would not be known."""
        if self.max_cost is not None and not model.free and model.cost(1000, 1000) is None:
            raise ModelError(
                f"{model.uri}: max-cost needs the model's prices, and none are known; install the extra `prices`, "
                "or leave max-cost out where the model costs nothing or has a name of its own"
            )

    def spend(self, model: Model, ask: Ask, response: Response) -> None:
        """Count one answer's cost; of one that does not say its tokens, by its length."""
        if self.max_cost is None or model.free:
            return
        cost = response.cost
        if cost is None and response.finish != "error":
            cost = model.cost(round(_length(ask) / _CHARACTERS_PER_TOKEN), round(len(response.text or "") / _CHARACTERS_PER_TOKEN))
        if cost is not None:
            self.cost += cost
            self.answers += 1

    def used_up(self, model: Model) -> str | None:
        """Which allowance is used up, in words.

        The requests a model has under way are counted at what answers have cost so far, and once more: as many may begin before their
        answers are counted. So a run stops below `max_cost`, unless its first requests, those sent before any answer, cost more.
        """
        if self.max_cost is not None:
            expected = 2 * model.under_way * self.cost / self.answers if self.answers else 0.0
            if self.cost + expected >= self.max_cost:
                return f"max-cost: ${self.cost:.4f} of ${self.max_cost:g} are spent, the rest is for what is under way"
        if time.monotonic() >= self.deadline:
            return f"max-time: {self.max_time:g} s are over"
        return None


def _length(ask: Ask) -> int:
    return sum(len(message.content) for prompt in prompts_of(ask.request) for message in prompt.messages)


class Stopping:
    """While a model is asked: the one place that decides to stop, and waits for what is under way. A context manager.

    The first Ctrl-C (or SIGTERM, where it is treated alike) lets a model finish what it has under way; the second drops it. Handlers are
    put in place only where Python's own would raise `KeyboardInterrupt`, and only in the main thread.

    Args:
        model: the one that is asked.
        allowance: what may be spent.
        say: is told in a line what is being waited for.

    Attributes:
        reason: why nothing further is to be asked; None while there is no reason.
        at_once: nothing is worth waiting for.
        interrupted: the user said so.
    """

    def __init__(self, model: Model, allowance: Allowance, say: Callable[[str], None]) -> None:
        self.reason: str | None = None
        self.at_once = self.interrupted = False
        self._model, self._allowance, self._say = model, allowance, say
        self._handled: list[tuple[int, Any]] = []
        self._timer: threading.Timer | None = None

    def begin(self, reason: str, seconds: float) -> None:
        """Ask nothing further, and give what is under way so many seconds."""
        if self.reason is not None:
            return
        self.reason = reason
        under_way = self._model.under_way
        if not self._model.finish_started(seconds):
            self.at_once = True
        elif under_way:
            requests = "1 request is" if under_way == 1 else f"{under_way} requests are"
            again = "; once more drops them" if self.interrupted else ""
            self._say(f"stopping: {requests} under way and waited for, at most {seconds:g} s{again}")
        elif self._model.left_behind:
            self._say(f"stopping: {self._model.left_behind}")

    def after(self, ask: Ask, response: Response) -> None:
        """An answer came: is that enough?"""
        self._allowance.spend(self._model, ask, response)
        self.look()

    def look(self) -> None:
        """Stop where an allowance is used up."""
        reason = None if self.reason else self._allowance.used_up(self._model)
        if reason:
            self.begin(reason, FINISH_COST if reason.startswith("max-cost") else FINISH_TIME)

    def __enter__(self) -> Stopping:
        if self._allowance.deadline < math.inf:
            left = max(0.0, self._allowance.deadline - time.monotonic()) + 0.01
            self._timer = threading.Timer(min(left, threading.TIMEOUT_MAX), self.look)
            self._timer.daemon = True
            self._timer.start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is signal.default_int_handler:
                    self._handled.append((number, signal.signal(number, self._interrupt)))
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._handled:
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.reason is not None:  # the second time, or something is waited for already
            raise KeyboardInterrupt
        self.interrupted = True
        self.begin("interrupted", FINISH_INTERRUPTED)
        if self.at_once:
            raise KeyboardInterrupt
