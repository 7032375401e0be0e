"""Speech and text recognition: word and character error rate."""

from __future__ import annotations

import string
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from proctor.errors import DataError, MissingExtra
from proctor.scoring.base import Columns, Measured, Metric
from proctor.scoring.text import _TextScorer, accepted
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ErrorRate(_TextScorer):
    """Word error rate (wer) and character error rate (cer): edits over the whole sample, by the length of the references.

    Edits are insertions, deletions and substitutions, as few as can be (Levenshtein), found by rapidfuzz; jiwer gives the same. Both are
    lower is better and have no upper bound, so that they enter no composite. White space is collapsed for words and characters alike. Of
    several references the one with the lowest error rate counts, for words and for characters each. An attempt without an answer is an
    empty transcript.

    Args:
        ignore_case: compare case-folded.
        ignore_punctuation: compare without ASCII punctuation.
        main: the main metric; default wer.
    """

    name = "error_rate"

    def __init__(self, *, ignore_case: bool = False, ignore_punctuation: bool = False, main: Literal["wer", "cer"] = "wer") -> None:
        try:
            from rapidfuzz.distance import Levenshtein
        except ImportError:
            raise MissingExtra("the scorer 'error_rate'", "metrics") from None
        self._distance: Any = Levenshtein.distance
        self._ignore_case, self._ignore_punctuation = ignore_case, ignore_punctuation
        made = {name: Metric(name, False, None, partial(_sums, name=name), _rate) for name in ("wer", "cer")}
        self.metrics = (made[main], *(metric for name, metric in made.items() if name != main))

    def check(self, item: Item) -> str | None:
        complaint = super().check(item)
        if complaint is None and not all(self._plain(text) for text in accepted(item)):
            return "a reference without words has no error rate"
        return complaint

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        values = self._values(answer, item)
        return Measured(values, f"{values['wer:edits']:.0f} edits of {values['wer:length']:.0f} words")

    def unanswered(self, item: Item) -> dict[str, float]:
        return self._values("", item)

    def _plain(self, text: str) -> str:
        text = text.casefold() if self._ignore_case else text
        return " ".join((text.translate(_PUNCTUATION) if self._ignore_punctuation else text).split())

    def _values(self, answer: str, item: Item) -> dict[str, float]:
        said, references = self._plain(answer), [self._plain(text) for text in accepted(item)]
        if not all(references):
            raise DataError(f"item '{item.id}': {self.check(item)}")
        values: dict[str, float] = {}
        for name, pieces in (("wer", str.split), ("cer", list)):
            counts = [(self._distance(pieces(said), pieces(one)), len(pieces(one))) for one in references]
            edits, length = min(counts, key=lambda pair: pair[0] / pair[1])
            values |= {name: edits / length, f"{name}:edits": float(edits), f"{name}:length": float(length)}
        return values


def _sums(columns: Columns, name: str) -> NDArray[np.float64]:
    import numpy as np

    return np.stack([columns.values[f"{name}:edits"], columns.values[f"{name}:length"]], axis=1)


def _rate(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])
