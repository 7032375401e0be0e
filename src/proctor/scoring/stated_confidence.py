"""What a model says of its own confidence: reading second questions as a number from 0 to 1."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from proctor.scoring.base import Metric
from proctor.scoring.letters import find_letter
from proctor.scoring.text_signs import strip_thinking
from proctor.types import Exchange, Likelihood, Response

VERSION = 1  # raised when the same answers would be read as another confidence; part of the protocol
SURER = "surer than "  # what the names of comparisons with another item begin with
FIRST, SECOND = ", first", ", second"  # how they end: where the item itself was shown
WORDS = {"very unlikely": 0.1, "unlikely": 0.3, "about even": 0.5, "likely": 0.7, "very likely": 0.9}
Scale = Literal["percent", "ten", "words"]

_NUMBER = re.compile(
    r"(?<![\w.,+-])(?P<number>\d+(?:[.,]\d+)?)\s*"
    r"(?:(?P<percent>%|percent\b|per cent\b|(?:/|out of)\s*100\b)|(?P<ten>(?:/|out of)\s*10\b))?(?![\w])"
)


class ConfidenceLike(Protocol):
    """What is needed of `proctor.tasks.spec.ConfidenceSpec` (a later room)."""

    @property
    def ask(self) -> str: ...
    @property
    def scale(self) -> Scale: ...


class Stated(Struct, frozen=True):
    """A kind of second question: `p_true`, `p_ik`, `verbal` or `relative`, and on what scale a spoken one answers."""

    ask: str
    scale: Scale = "percent"

    @property
    def name(self) -> str:
        """Of the metric, and of the value kept with each attempt."""
        return f"confidence_{self.ask}"

    @property
    def metric(self) -> Metric:
        """Its mean over items: no score, and in no composite."""
        return Metric(self.name)

    def value(self, response: Response) -> float | None:
        """The confidence of one attempt, from 0 to 1; None where it was not asked, or the answer cannot be read."""
        if self.ask == "relative":
            shares = [_own_share(one) for one in response.exchanges if one.name.startswith(SURER)]
            known = [share for share in shares if share is not None]
            return math.fsum(known) / len(known) if known else None
        for one in response.exchanges:
            if one.name == self.ask:
                return spoken(one.response.text or "", self.scale) if self.ask == "verbal" else first_share(one)
        return None


def stated_of(specs: Sequence[ConfidenceLike]) -> tuple[Stated, ...]:
    """The readers of a task's second questions."""
    return tuple(Stated(one.ask, one.scale) for one in specs)


def first_share(exchange: Exchange) -> float | None:
    """The probability of the first of two answers, beside the second: by likelihood, or 1 or 0 where it was written."""
    response = exchange.response
    if isinstance(exchange.request, Likelihood):
        if not response.loglikelihoods or len(response.loglikelihoods[0]) != 2:
            return None
        first, second = response.loglikelihoods[0]
        return 1 / (1 + math.exp(min(700.0, second - first)))
    said = strip_thinking(response.text or "")
    letter = find_letter(said, (), 2).answer if said else None
    return None if letter is None else float(letter == "A")


def _own_share(exchange: Exchange) -> float | None:
    share = first_share(exchange)
    return share if share is None or exchange.name.endswith(FIRST) else 1 - share


def comparison(exchange: Exchange) -> tuple[str, float] | None:
    """Of a comparison: the other item's id, and the probability that the model is surer of this one. None of any other exchange."""
    if not exchange.name.startswith(SURER):
        return None
    share = _own_share(exchange)
    return None if share is None else (exchange.name.removeprefix(SURER).removesuffix(FIRST).removesuffix(SECOND), share)


def spoken(text: str, scale: Scale = "percent") -> float | None:
    """A confidence that was written: `85 %`, `85`, `0.85`, `8/10`, `8 out of 10`; or one of the words.

    A number with its unit goes before one without, the first of several before the others. Without a unit a number is read on the
    scale asked for; on that of percent one with a point and not above 1 is a share.

    Args:
        text: the answer; thinking in it does not count.
        scale: what was asked for: a number to 100 (`percent`), to 10 (`ten`), or one of `WORDS`.

    Returns:
        from 0 to 1; None where there is no number, or one off the scale.
    """
    said = strip_thinking(text)
    if said is None:
        return None
    if scale == "words":
        return _worded(said)
    found = list(_NUMBER.finditer(said))
    found.sort(key=lambda match: not (match["percent"] or match["ten"]))
    if not found:
        return None
    number = float(found[0]["number"].replace(",", "."))
    if found[0]["percent"]:
        value = number / 100
    elif found[0]["ten"]:
        value = number / 10
    elif number <= 1 and re.search(r"[.,]", found[0]["number"]):
        value = number
    else:
        value = number / (100 if scale == "percent" else 10)
    return value if value <= 1 else None


def _worded(text: str) -> float | None:
    """The value of the one phrase of `WORDS` in the text; None where there is none, or several."""
    plain = " ".join(text.casefold().split())
    found = {word for word in WORDS if re.search(rf"\b{word}\b", plain)}
    longest = {word for word in found if not any(word != other and word in other for other in found)}
    # "likely" beside "very likely" was said on its own only where it stands without the other.
    return WORDS[longest.pop()] if len(longest) == 1 else None
