"""Reading comprehension with questions that have no answer: `squad`."""

from __future__ import annotations

from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.text import squad_normalise, token_f1
from proctor.types import Item, Response


class Squad(Scorer):
    """Exact match and token F1 as the evaluation script of SQuAD 2.0 computes them, of the accepted text that fits best.

    The target is a list of accepted texts, empty where the question has no answer: then the answer must be none, too. An answer that
    normalises to nothing, `no_answer`, and an attempt in which nothing was found are no answer.

    Args:
        no_answer: the words by which a model says that there is none, compared after SQuAD's normalisation.
    """

    name = "squad"
    default_extract = ("first_line",)
    metrics = (Metric("f1"), Metric("exact"))

    def __init__(self, *, no_answer: str = "unanswerable") -> None:
        self._none = squad_normalise(no_answer)

    def check(self, item: Item) -> str | None:
        texts = item.target if isinstance(item.target, list | tuple) else [item.target]
        return None if all(isinstance(one, str) for one in texts) else f"expected a list of accepted texts, not {item.target!r:.80}"

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        texts = item.target if isinstance(item.target, list | tuple) else [item.target]
        wanted = [text for text in texts if squad_normalise(text)]
        said = squad_normalise(answer)
        silent = said in ("", self._none)
        if silent or not wanted:
            right = float(silent and not wanted)
            return Measured(
                {"f1": right, "exact": right}, "" if right else f"expected {wanted[0]!r:.80}" if wanted else "there is no answer"
            )
        exact = float(said in {squad_normalise(text) for text in wanted})
        f1 = max(token_f1(answer, text) for text in wanted)
        return Measured({"f1": f1, "exact": exact}, "" if exact else f"expected {wanted[0]!r:.80}")

    def unanswered(self, item: Item) -> dict[str, float]:
        return self.measure("", item, Response()).values
