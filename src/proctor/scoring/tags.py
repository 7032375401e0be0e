"""A label for each token: tags (token accuracy, macro F1, mcc) and entities (precision, recall, F1 of the chunks tags spell)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from proctor.errors import TaskError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.confusion import confusion_rows, macro_f1, mcc, one_f1
from proctor.scoring.counts import counted, f_of, prf_metrics
from proctor.scoring.structured import tokens
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Chunk = tuple[str, int, int]
_ORDER = ("token_accuracy", "token_macro_f1", "token_mcc")


class _TokenScorer(Scorer):
    """Shared by the scorers whose target is one tag for each token: a list, a JSON list, or tags between white space."""

    def check(self, item: Item) -> str | None:
        target = item.target
        if not isinstance(target, str | list | tuple) or not tokens(target):
            return f"the target must be a list of tags, or tags with spaces between them, not {target!r}"
        return None


def aligned(said: Sequence[str], wanted: Sequence[str], filler: str | None) -> list[str | None]:
    """The tags of an answer, one for each token of the target: what is too much is cut, what lacks is `filler`."""
    return [*said[: len(wanted)], *[filler] * (len(wanted) - len(said))]


class Tags(_TokenScorer):
    """Accuracy, macro F1 and Matthews' correlation over all tokens of the sample, whatever item they stand in.

    Tags are compared as written. Tokens without a tag (an answer that is too short, an attempt without one) are wrong; tags too many are
    ignored. Averages as in `classification`, tokens being the attempts; resampled by items.

    Args:
        main: the main metric; default token_accuracy.
        each: tags whose own F1 is reported too, as `f1_TAG`.
    """

    name = "tags"

    def __init__(
        self,
        *,
        main: Literal["token_accuracy", "token_macro_f1", "token_mcc"] = "token_accuracy",
        each: list[str] | None = None,
    ) -> None:
        always = tuple(each or ())
        if len(set(always)) < len(always):
            raise TaskError(f"tags.each must name tags, each once, not {each}")
        counts = partial(_token_counts, always=always)
        made = {
            "token_accuracy": Metric("token_accuracy", statistics=counts, value=_hit_share),
            "token_macro_f1": Metric("token_macro_f1", statistics=counts, value=macro_f1),
            "token_mcc": Metric("token_mcc", bounds=(-1.0, 1.0), statistics=counts, value=mcc),
        }
        self.metrics = (
            made[main],
            *(made[name] for name in _ORDER if name != main),
            *(Metric(f"f1_{tag}", statistics=counts, value=partial(one_f1, place=place)) for place, tag in enumerate(always)),
        )

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        wanted, said = tokens(item.target), tokens(answer)
        right = sum(one == true for one, true in zip(said, wanted, strict=False))
        return Measured({"token_accuracy": right / len(wanted)}, _length(said, wanted))

    def unanswered(self, item: Item) -> dict[str, float]:
        return {"token_accuracy": 0.0}


class Entities(_TokenScorer):
    """Precision, recall and F1 of the entities that BIO tags spell, over the whole sample: right where type and both ends are.

    Entities are read from tags as conlleval does, so that any of IOB1, IOB2, IOE1, IOE2, IOBES and BILOU will do, and an I- without a B-
    begins an entity; seqeval's default gives the same. An answer's missing tags are O. token_accuracy is over all tokens.

    Args:
        each: types whose own F1, precision and recall are reported too, as `f1_TYPE`, ….
    """

    name = "entities"

    def __init__(self, *, each: list[str] | None = None) -> None:
        self._each = tuple(each or ())
        if len(set(self._each)) < len(self._each):
            raise TaskError(f"entities.each must name types, each once, not {each}")
        own = [
            Metric(f"{part}_{kind}", statistics=metric.statistics, value=metric.value)
            for kind in self._each
            for part, metric in zip(("f1", "precision", "recall"), prf_metrics(f"entity {kind}"), strict=True)
        ]
        self.metrics = (*prf_metrics("entity"), Metric("token_accuracy", statistics=_token_shares, value=_ratio), *own)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        wanted, said = tokens(item.target), tokens(answer)
        tags = [tag or "O" for tag in aligned(said, wanted, "O")]
        values = self._values(set(chunks(tags)), item)
        same = sum(one == true for one, true in zip(tags, wanted, strict=True))
        return Measured({**values, "tokens_right": float(same)}, _length(said, wanted))

    def unanswered(self, item: Item) -> dict[str, float]:
        return {**self._values(set(), item), "tokens_right": 0.0}

    def _values(self, found: set[Chunk], item: Item) -> dict[str, float]:
        wanted = tokens(item.target)
        given = set(chunks(wanted))
        right = found & given
        values = {"entity_f1": f_of(len(right), len(found), len(given)), "tokens": float(len(wanted))}
        values |= counted("entity", len(right), len(found), len(given))
        for kind in self._each:
            numbers = [sum(chunk[0] == kind for chunk in one) for one in (right, found, given)]
            values |= counted(f"entity {kind}", *numbers)
        return values


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """The (type, first token, last token) of each entity that tags spell, by the rules of conlleval.pl (Tjong Kim Sang and Buchholz 2000).

    Tags are `O` or a letter of B, I, E, S (L and U are E and S, M is I) and a type after a hyphen.
    """
    found: list[Chunk] = []
    before, kind_before, start = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, kind = tag.partition("-")
        mark = {"L": "E", "U": "S", "M": "I"}.get(mark, mark)
        other = kind != kind_before
        if before != "O" and (before in ("E", "S") or mark in ("B", "S", "O") or other):
            found.append((kind_before, start, place - 1))
        if mark != "O" and (mark in ("B", "S") or before in ("E", "S", "O") or other):
            start = place
        before, kind_before = mark, kind
    return found


def _length(said: Sequence[Any], wanted: Sequence[Any]) -> str:
    return "" if len(said) == len(wanted) else f"{len(said)} tags for {len(wanted)} tokens"


def _token_counts(columns: Columns, always: tuple[str, ...]) -> NDArray[np.float64]:
    """`confusion_rows` of tokens, summed by attempt."""
    import numpy as np

    wanted = [tokens(target) for target in columns.targets]
    known = set().union(*map(set, wanted)) - set(always)
    classes = [*always, *sorted(known)]
    rows = np.zeros((len(wanted), 3 * len(classes) + 1))
    for row, answer, true in zip(rows, columns.answers, wanted, strict=True):
        said = aligned([] if answer is None else tokens(answer), true, None)
        row += confusion_rows(list(zip(true, said, strict=True)), classes).sum(axis=0)
    return rows


def _hit_share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    k = (sums.shape[-1] - 1) // 3
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 2 * k + 1 :].sum(axis=-1) / sums[..., :k].sum(axis=-1))


def _token_shares(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    return np.stack([columns.values["tokens_right"], columns.values["tokens"]], axis=1)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])
