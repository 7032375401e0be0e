"""Scorers that compare texts: exact_match, quasi_exact, f1, contains."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Literal

from proctor.errors import DataError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.letters import choice_label
from proctor.types import Item, Response

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def accepted(item: Item) -> list[str]:
    """The texts any of which is right: a text or number, or a list of them; of an item with choices, the letters of the right ones.

    Raises:
        DataError: the target is something else, or an empty list.
    """
    targets = item.target if isinstance(item.target, list | tuple) else [item.target]
    if not targets or not all(isinstance(target, str | int | float) and not isinstance(target, bool) for target in targets):
        raise DataError(f"item '{item.id}': the target must be a text or a list of accepted texts, not {item.target!r}")
    if item.choices and all(isinstance(target, int) for target in targets):
        return [choice_label(target) for target in targets]
    return [str(target) for target in targets]


def squad_normalise(text: str) -> str:
    """Lower case, without punctuation (ASCII) and English articles, white space collapsed.

    Source: `normalize_answer` of the official SQuAD 1.1 evaluation script; HELM's quasi-exact match uses the same.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, target: str) -> float:
    """F1 of the bags of words of two texts after `squad_normalise`; 0 where they share none (also where both are empty).

    Source: `f1_score` of the official SQuAD 1.1 evaluation script.
    """
    said, wanted = squad_normalise(answer).split(), squad_normalise(target).split()
    same = sum((Counter(said) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


class _TextScorer(Scorer):
    """Shared by the scorers whose target is a text or a list of accepted texts."""

    def check(self, item: Item) -> str | None:
        try:
            accepted(item)
        except DataError as error:
            return str(error).partition(": ")[2]
        return None


class ExactMatch(_TextScorer):
    """Whether the answer is one of the accepted texts, white space at the ends aside.

    Args:
        ignore_case: compare case-folded.
        ignore_punctuation: compare without ASCII punctuation, and with white space collapsed.
    """

    name = "exact_match"
    metrics = (Metric("exact_match"),)

    def __init__(self, *, ignore_case: bool = False, ignore_punctuation: bool = False) -> None:
        self._ignore_case = ignore_case
        self._ignore_punctuation = ignore_punctuation

    def _plain(self, text: str) -> str:
        if self._ignore_punctuation:
            text = " ".join(text.translate(_PUNCTUATION).split())
        return (text.casefold() if self._ignore_case else text).strip()

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        right = self._plain(answer) in {self._plain(target) for target in accepted(item)}
        return Measured({"exact_match": float(right)}, "" if right else _wanted(item))


class QuasiExact(_TextScorer):
    """Whether the answer equals an accepted text after SQuAD's normalisation (see `squad_normalise`): HELM's quasi-exact match.

    An answer and a target that both normalise to nothing (such as "a" and "the") are equal, as in the published scripts.
    """

    name = "quasi_exact"
    metrics = (Metric("quasi_exact"),)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        right = squad_normalise(answer) in {squad_normalise(target) for target in accepted(item)}
        return Measured({"quasi_exact": float(right)}, "" if right else _wanted(item))


class F1(_TextScorer):
    """SQuAD's token F1 between the answer and the accepted text it fits best (see `token_f1`)."""

    name = "f1"
    metrics = (Metric("f1"),)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        best = max(accepted(item), key=lambda target: token_f1(answer, target))
        return Measured({"f1": token_f1(answer, best)}, f"compared with '{best[:80]}'")


class Contains(_TextScorer):
    """Whether target texts occur in the answer, for retrieval from long contexts.

    Args:
        need: `any` of the targets suffices (1 or 0), or `all` count: then the value is the share of them that occur, as in RULER.
        ignore_case: compare case-folded (default).
    """

    name = "contains"
    metrics = (Metric("contains"),)

    def __init__(self, *, need: Literal["any", "all"] = "any", ignore_case: bool = True) -> None:
        self._need = need
        self._fold = str.casefold if ignore_case else str

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        said = self._fold(answer)
        targets = accepted(item)
        missing = [target for target in targets if self._fold(target) not in said]
        found = len(targets) - len(missing)
        value = float(found > 0) if self._need == "any" else found / len(targets)
        return Measured({"contains": value}, f"without {_short(missing)}" if value < 1 else "")


class QuasiContains(_TextScorer):
    """Whether an accepted text occurs in the answer, both after SQuAD's normalisation (see `squad_normalise`).

    This is `best_subspan_em` of Lost in the Middle (Liu et al., 2024). A target that normalises to nothing is in every answer, as there.
    """

    name = "quasi_contains"
    metrics = (Metric("quasi_contains"),)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        said = squad_normalise(answer)
        right = any(squad_normalise(target) in said for target in accepted(item))
        return Measured({"quasi_contains": float(right)}, "" if right else f"without {_short(accepted(item))}")


def _wanted(item: Item) -> str:
    return f"expected {_short(accepted(item))}"


def _short(texts: list[str]) -> str:
    shown = " or ".join(f"'{text[:60]}'" for text in texts[:3])
    return shown + (f" (and {len(texts) - 3} more)" if len(texts) > 3 else "")
