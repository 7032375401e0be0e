"""The scorer of IFEval: strict and loose, by prompt and by instruction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError
from proctor.scoring.base import Columns, Measured, Metric, Scorer
from proctor.scoring.ifeval import languages
from proctor.scoring.ifeval.checks import complaint, kept, variants
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ifeval(Scorer):
    """Whether an answer keeps the instructions of its prompt, after Zhou et al. (2023), "Instruction-Following Evaluation for LLMs".

    The target is `{instruction_id_list, kwargs}` as in the authors' data: names of kinds (`punctuation:no_comma`; a language prefix `en:`
    is passed over) and, for each, a mapping of its arguments; both may also be JSON text. Strict takes the answer as it is. Loose takes an
    instruction as kept where any of eight versions of the answer keeps it: without its first line, its last line or both, each also
    without asterisks. `prompt_strict` and `prompt_loose` are the shares of prompts with every instruction kept, `inst_strict` and
    `inst_loose` the shares of all instructions. An attempt without an answer keeps none.

    Args:
        by_language: count sentences and words by the rules of the language the answer is in, and take the quotation marks of Chinese and
            Japanese too, as Multi-IF does.
    """

    name = "ifeval"
    default_extract = ("whole",)

    def __init__(self, *, by_language: bool = False) -> None:
        languages.require()
        self._by_language = by_language
        self.metrics = (
            Metric("prompt_strict"),
            Metric("inst_strict", statistics=_sums("kept_strict"), value=ratio),
            Metric("prompt_loose"),
            Metric("inst_loose", statistics=_sums("kept_loose"), value=ratio),
        )

    def check(self, item: Item) -> str | None:
        try:
            instructions(item.target)
        except ValueError as error:
            return str(error)
        return None

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        try:
            asked = instructions(item.target)
        except ValueError as error:
            raise DataError(f"item '{item.id}': {error}") from None
        strict, loose = verdicts(answer, asked, self._by_language)
        broken = [
            f"{kind} (kept loosely)" if loosely else kind
            for (kind, _), as_is, loosely in zip(asked, strict, loose, strict=True)
            if not as_is
        ]
        return Measured(_values(strict, loose), f"broken: {', '.join(broken)}" if broken else "")

    def unanswered(self, item: Item) -> dict[str, float]:
        try:
            none = [False] * len(instructions(item.target))
        except ValueError:  # results of another program, brought in without it
            return super().unanswered(item)
        return _values(none, none)


def instructions(target: Any) -> list[tuple[str, dict[str, Any]]]:
    """The (kind, arguments) pairs of a target `{instruction_id_list, kwargs}`. Raises `ValueError` saying what is wrong with it."""
    if not isinstance(target, dict) or not {"instruction_id_list", "kwargs"} <= target.keys():
        raise ValueError(f"the target must be {{instruction_id_list, kwargs}}, not {target!r:.200}")
    kinds, arguments = _decoded(target["instruction_id_list"]), _decoded(target["kwargs"])
    if not isinstance(kinds, list) or not isinstance(arguments, list) or not kinds or len(kinds) != len(arguments):
        raise ValueError(f"instruction_id_list and kwargs must be lists of equal length, not {kinds!r:.100} and {arguments!r:.100}")
    pairs = [
        (kind.removeprefix("en:") if isinstance(kind, str) else kind, _decoded(given)) for kind, given in zip(kinds, arguments, strict=True)
    ]
    for position, (kind, given) in enumerate(pairs, 1):
        wrong = complaint(kind, given)
        if wrong:
            raise ValueError(f"instruction {position}: {wrong}")
    return pairs


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"expected a list or mapping, or one as JSON, not {value!r:.100}") from None


def verdicts(answer: str, asked: list[tuple[str, dict[str, Any]]], by_language: bool = False) -> tuple[list[bool], list[bool]]:
    """Strict and loose verdict of each instruction."""
    versions = variants(answer)
    strict = [kept(answer, kind, arguments, by_language) for kind, arguments in asked]
    loose = [
        as_is or any(kept(version, kind, arguments, by_language) for version in versions)
        for as_is, (kind, arguments) in zip(strict, asked, strict=True)
    ]
    return strict, loose


def _values(strict: list[bool], loose: list[bool]) -> dict[str, float]:
    return {
        "prompt_strict": float(all(strict)),
        "prompt_loose": float(all(loose)),
        "inst_strict": sum(strict) / len(strict),
        "inst_loose": sum(loose) / len(loose),
        "kept_strict": float(sum(strict)),
        "kept_loose": float(sum(loose)),
        "instructions": float(len(strict)),
    }


def _sums(kept_name: str) -> Any:
    def statistics(columns: Columns) -> NDArray[np.float64]:
        import numpy as np

        return np.nan_to_num(np.stack([columns.values[kept_name], columns.values["instructions"]], axis=1))

    return statistics


def ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the first over sum of the second statistic; NaN where the second is 0."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])
