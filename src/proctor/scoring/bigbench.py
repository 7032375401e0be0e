"""The metrics of BIG-bench's JSON tasks, by `bigbench/api/task_metrics.py` and `model_utils.py` of BIG-bench 1.0.0.

Where the two say it, numbers are BIG-bench's: shares from 0 to 1, BLEU, ROUGE and `sequence_f1` from 0 to 100.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct

from proctor.errors import DataError, MissingExtra
from proctor.scoring.base import Columns, Extraction, Metric
from proctor.scoring.classification import counts
from proctor.scoring.confusion import macro_f1
from proctor.scoring.generation import Bleu
from proctor.scoring.letters import choice_label
from proctor.scoring.task_scoring import TaskScoring, state_of
from proctor.scoring.text_signs import strip_thinking
from proctor.types import Item, Request, Response, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1  # raised when the same answer would get another number

Kind = Literal["choice", "written", "likelihood"]
_BRIER, _ECE = "calibration_multiple_choice_brier_score", "expected_calibration_error"
_NUMERIC = "numeric_match_with_0_1_relative_error"
_ROUGE = ("rouge1", "rouge2", "rougeLsum")
_OF_CHOICES = {  # (worst, best) of BIG-bench's SCORE_RANGES, which for some are conventions and no bounds
    "multiple_choice_grade": (0.0, 1.0),
    _BRIER: (1.0, 0.0),
    _ECE: (1.0, 0.0),
    "weighted_log_probabilities": (-10.0, 0.0),
    "weighted_probabilities": (-1.0, 1.0),
    "macro_f1": (0.0, 1.0),
}
_OF_TEXTS = {
    "exact_str_match": (0.0, 1.0),
    "case_insensitive_str_match": (0.0, 1.0),
    _NUMERIC: (0.0, 1.0),
    "sequence_f1": (0.0, 100.0),
    "bleu": (0.0, 100.0),
    **dict.fromkeys(_ROUGE, (0.0, 100.0)),
}
CHOICE_METRICS = tuple(_OF_CHOICES)
TEXT_METRICS = (*(name for name in _OF_TEXTS if name not in _ROUGE), "rouge")
LIKELIHOOD_METRICS = ("log_likelihood",)
WITHOUT = ("bleurt",)  # a neural model of its own, of several gigabytes, that runs in TensorFlow alone
_LIKELIHOODS = ("log_likelihood", "log_likelihood_per_word", "log_likelihood_per_char")
_BUCKETS = 15
NORMALISED = "normalised"


class HasScores(Protocol):
    """What is needed of an example."""

    @property
    def targets(self) -> Sequence[str]: ...


class Rules(Struct, frozen=True, kw_only=True):
    """How the answers to one task are scored.

    Attributes:
        kind: whether choices are compared, a text is written, or the right text's likelihood is asked.
        names: the numbers it reports, the main one first.
        low: the main number of guessing, on which `normalised` is 0.
        output_regex, stop_string: how the answer is found in a text.
        absolute: whether choices are compared by what they are worth unnormalised; it decides nothing but ties.
        compat: keep to BIG-bench where it is wrong, too: white space around an answer counts, and any number is near a negative one.
        labels: of `macro_f1`, the texts of all choices.
    """

    kind: Kind
    names: tuple[str, ...]
    low: float
    output_regex: str | None = None
    stop_string: str | None = None
    absolute: bool = False
    compat: bool = False
    labels: tuple[str, ...] = ()


def kind_of(metric: str) -> Kind:
    """What has to be asked for a number."""
    return "choice" if metric in _OF_CHOICES else "likelihood" if metric in _LIKELIHOODS else "written"


def reported(metrics: Sequence[str], examples: Sequence[HasScores]) -> tuple[str, ...]:
    """The numbers that the metrics of a task give, those that Proctor does not compute left out."""
    names: list[str] = []
    for name in metrics:
        if name == "rouge":
            names += _ROUGE
        elif name == "log_likelihood":
            names += _LIKELIHOODS[: 1 if any(len(one.targets) > 1 for one in examples) else 3]
        elif name not in WITHOUT:
            names.append(name)
    if "multiple_choice_grade" in metrics:
        names += [_BRIER, _ECE]
    return tuple(dict.fromkeys(names))


def low_score(name: str, scores: Sequence[dict[str, float]]) -> float:
    """What a number is on guessing for `multiple_choice_grade` (the mean worth of a choice), else the worst there is."""
    if name == "multiple_choice_grade":
        return sum(sum(one.values()) / len(one) for one in scores) / len(scores)
    return _range(name)[0]


def _range(name: str) -> tuple[float, float]:
    return {**_OF_CHOICES, **_OF_TEXTS}.get(name, (-10.0, 0.0))


class BigBenchScoring(TaskScoring):
    """Scores examples as BIG-bench does; made by `proctor.tasks.bigbench`.

    Besides its metrics a task reports `normalised`: its main number on BIG-bench's scale of 0 (guessing, or the worst) to 100 (perfect), of
    which BIG-bench takes the mean over subtasks. Items have `target_scores` among their fields, one for each choice.
    """

    def __init__(self, rules: Rules) -> None:
        described = {key: list(value) if isinstance(value, tuple) else value for key, value in _fields(rules)}
        scorer: dict[str, Any] = {"scorer": "bigbench", "version": VERSION, **described}
        if rules.kind == "written":
            scorer["extract"] = [["regex", rules.output_regex]]
        super().__init__([], {"scorers": [scorer]}, "choice" if rules.kind == "choice" else rules.kind, True, "none")
        self.rules = rules
        self._bleu = Bleu(tokenize="intl") if "bleu" in rules.names else None
        self._rouge = _rouge_scorer() if any(name in _ROUGE for name in rules.names) else None
        self._labels = {label: index for index, label in enumerate(sorted(set(rules.labels)))}
        made = [self._metric(name) for name in rules.names]
        self.metrics = (*made, self._normalised(made[0]))

    def check(self, items: Any) -> None:
        """Nothing: the file was checked when it was read."""

    def _metric(self, name: str) -> Metric:
        if name == "bleu" and self._bleu is not None:
            return self._bleu.metrics[0]
        low, high = _range(name)
        better, bounds = low < high, (min(low, high), max(low, high))
        if name == _BRIER:
            return Metric(name, better, bounds, statistics=_brier_sums, value=lambda sums: _ratio(sums[..., 0], sums[..., 1]))
        if name == _ECE:
            return Metric(name, better, bounds, statistics=_bucket_sums, value=_calibration_error)
        if name == "macro_f1":
            return Metric(name, better, bounds, statistics=counts, value=macro_f1)
        return Metric(name, better, bounds)

    def _normalised(self, main: Metric) -> Metric:
        low, high = self.rules.low, _range(main.name)[1]
        value = main.value
        if value is None:
            return Metric(NORMALISED, bounds=None)
        return Metric(NORMALISED, bounds=None, statistics=main.statistics, value=lambda sums: 100 * (value(sums) - low) / (high - low))

    def score(self, item: Item, request: Request, response: Response) -> Score:
        if response.finish == "error":
            return Score("failed", self._worst(), None, response.error or "no answer")
        if response.finish == "refused":
            return Score("refused", self._worst(), None, response.error or "refused by the provider")
        if self.rules.kind == "written":
            return self._score_written(item, response)
        if not response.loglikelihoods:
            return Score("failed", self._worst(), None, "the response has no log-likelihoods")
        numbers = [-math.inf if math.isnan(one) else one for one in response.loglikelihoods[0]]
        return self._score_choice(item, numbers) if self.rules.kind == "choice" else self._score_target(item, numbers)

    def _worst(self) -> dict[str, float]:
        values = {metric.name: _range(metric.name)[0] for metric in self.metrics if metric.is_mean and metric.name != NORMALISED}
        return self._with_normalised(values)

    def _with_normalised(self, values: dict[str, float]) -> dict[str, float]:
        main = self.rules.names[0]
        if main in values and self.metrics[0].is_mean:
            values[NORMALISED] = 100 * (values[main] - self.rules.low) / (_range(main)[1] - self.rules.low)
        return values

    def _score_choice(self, item: Item, absolute: list[float]) -> Score:
        worth: list[float] = item.fields["target_scores"]
        if "" in item.choices and len(absolute) == len(item.choices) - 1:  # it is not asked
            place = item.choices.index("")
            absolute = [*absolute[:place], 0.0, *absolute[place:]]
        if len(absolute) != len(item.choices):
            raise DataError(f"item '{item.id}': expected log-likelihoods of its {len(item.choices)} choices, found {len(absolute)}")
        total = _logsumexp(absolute)
        relative = [one - total for one in absolute] if total > -math.inf else [-math.log(len(absolute))] * len(absolute)
        pick = _pick(absolute if self.rules.absolute else relative)
        shares = [math.exp(one) for one in relative]
        whole = sum(worth)
        wanted = [one / whole if whole else 0.0 for one in worth]
        best = shares.index(max(shares))
        values = {
            "multiple_choice_grade": float(worth[pick]),
            "weighted_log_probabilities": math.fsum(one * number for one, number in zip(worth, absolute, strict=True) if one),
            "weighted_probabilities": math.fsum(one * math.exp(number) for one, number in zip(worth, absolute, strict=True)),
            "brier_sum": math.fsum(t * (p - 1) ** 2 + (1 - t) * p**2 for t, p in zip(wanted, shares, strict=True)),
            "choices": float(len(shares)),
            "top_share": shares[best],
            "top_right": float(best == wanted.index(max(wanted))),
        }
        if self._labels:
            values |= {"expected": float(self._labels[item.choices[worth.index(1)]]), "predicted": float(self._labels[item.choices[pick]])}
        wanted_names = {*self.rules.names, "brier_sum", "choices", "top_share", "top_right", "expected", "predicted"}
        kept = {name: value for name, value in values.items() if name in wanted_names}
        right = worth[pick] == max(worth)
        reason = "" if right else f"expected {choice_label(worth.index(max(worth)))}"
        return Score("scored", self._with_normalised(kept), choice_label(pick), reason)

    def _score_target(self, item: Item, numbers: list[float]) -> Score:
        if len(self.rules.names) == 1:
            return Score("scored", self._with_normalised({"log_likelihood": _logsumexp(numbers)}))
        text = item.target[0]
        found = (numbers[0], numbers[0] / max(len(text.split()), 1), numbers[0] / max(len(text), 1))
        return Score("scored", self._with_normalised(dict(zip(_LIKELIHOODS, found, strict=True))))

    def _score_written(self, item: Item, response: Response) -> Score:
        text = strip_thinking(response.text or "")
        found = self._found(text or "")
        said = found.answer or ""
        values = {name: self._text_value(name, said, item.target) for name in self.rules.names if name != "bleu" and name not in _ROUGE}
        values |= self._rouge_values(said, item.target)
        if self._bleu is not None:
            values |= self._bleu.measure(said, item, response).values
        reason = "" if values.get(self.rules.names[0], 0) >= _range(self.rules.names[0])[1] else f"expected {item.target[0]!r:.80}"
        if found.answer is None:
            reason = f"nothing in the answer fits {self.rules.output_regex}" if response.text else "the response is empty"
        return Score(state_of(found, text or "", response), self._with_normalised(values), found.answer, reason)

    def _found(self, text: str) -> Extraction:
        """The answer in a text, by `model_utils.postprocess_output`."""
        stop, regex = self.rules.stop_string, self.rules.output_regex
        ended = False
        if stop and (at := text.find(stop)) > 0:
            text, ended = text[: at + len(stop)], True
        if regex:
            match = re.search(regex, text)
            if match is None:
                return Extraction(None)
            ended = ended or match.end() < len(text)
            text = (match[1] or "") if match.re.groups else match[0]
        text = text if self.rules.compat else text.strip()
        return Extraction(text or None, needs_end=not ended)

    def _text_value(self, name: str, said: str, targets: Sequence[str]) -> float:
        if name == "exact_str_match":
            plain: Callable[[str], str] = str if self.rules.compat else str.strip
            return float(plain(said) in map(plain, targets))
        if name == "case_insensitive_str_match":
            return float(said.strip().lower() in [one.strip().lower() for one in targets])
        if name == _NUMERIC:
            return float(_near(said, targets[0], compat=self.rules.compat))
        wanted = targets[0].split(" ")
        labels = (said.split(" ") + ["O"] * len(wanted))[: len(wanted)]
        return 100 * sum(one == other for one, other in zip(labels, wanted, strict=True)) / len(wanted)

    def _rouge_values(self, said: str, targets: Sequence[str]) -> dict[str, float]:
        if self._rouge is None:
            return {}
        # t5.evaluation.metrics.rouge puts a line's end after each sentence, which rougeLsum reads.
        scores = [self._rouge.score(one.replace(" . ", " .\n"), said.replace(" . ", " .\n")) for one in targets]
        return {name: 100 * max(float(one[name].fmeasure) for one in scores) for name in _ROUGE if name in self.rules.names}


def _near(said: str, target: str, *, compat: bool) -> bool:
    """Whether a number is within a tenth of the target. BIG-bench divides by the signed target: all is near a negative one."""
    try:
        value, wanted = float(said), float(target)
    except ValueError:
        return False
    return abs(value - wanted) / ((wanted if compat else abs(wanted)) if wanted else 1) <= 0.1


def _pick(values: Sequence[float]) -> int:
    """The largest; of several, one that BIG-bench's hash of all of them chooses."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    best = np.flatnonzero(array == array.max())
    return int(best[int(hashlib.sha256(array.tobytes()).hexdigest(), 16) % len(best)])


def _logsumexp(values: Sequence[float]) -> float:
    from scipy.special import logsumexp

    return float(logsumexp(values))


def _column(columns: Columns, name: str) -> NDArray[np.float64]:
    """The attempts' values of a name; 0 where an attempt has none."""
    import numpy as np

    found = columns.values.get(name)
    return np.zeros(len(columns.answers)) if found is None else np.nan_to_num(found)


def _brier_sums(columns: Columns) -> NDArray[np.float64]:
    import numpy as np

    return np.stack([_column(columns, "brier_sum"), _column(columns, "choices")], axis=1)


def _bucket_sums(columns: Columns) -> NDArray[np.float64]:
    """Shape (attempts, 1 + buckets): 1, and in the bucket of its confidence whether it is right minus how sure it is."""
    import numpy as np

    sure, right, there = _column(columns, "top_share"), _column(columns, "top_right"), _column(columns, "choices") > 0
    edges = np.array([(index + 1) / _BUCKETS for index in range(_BUCKETS)])
    buckets = np.minimum(np.searchsorted(edges, sure, side="right"), _BUCKETS - 1)
    rows = np.zeros((len(sure), 1 + _BUCKETS))
    rows[:, 0] = there
    rows[np.arange(len(sure)), 1 + buckets] = np.where(there, right - sure, 0.0)
    return rows


def _calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return _ratio(np.abs(sums[..., 1:]).sum(axis=-1), sums[..., 0])


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.divide(above, below, out=np.full_like(above, np.nan, dtype=float), where=below > 0))


def _rouge_scorer() -> Any:
    try:
        from rouge_score import rouge_scorer
    except ImportError:
        raise MissingExtra("the metric 'rouge' of BIG-bench", "metrics") from None
    return rouge_scorer.RougeScorer(list(_ROUGE))


def _fields(rules: Rules) -> list[tuple[str, Any]]:
    return [(name, getattr(rules, name)) for name in rules.__struct_fields__]
