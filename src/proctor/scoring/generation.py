"""Translation and summarisation: bleu, chrf (sacrebleu), rouge (rouge-score)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proctor.errors import MissingExtra, TaskError
from proctor.scoring.base import Columns, Measured, Metric
from proctor.scoring.text import _TextScorer, accepted
from proctor.types import Item, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _references(target: Any) -> list[str]:
    return [str(one) for one in (target if isinstance(target, list | tuple) else [target])]


class _CorpusScorer(_TextScorer):
    """A sacrebleu metric: of the corpus from summed statistics; an attempt's own value is that of its one sentence.

    An attempt without an answer is an empty translation.
    """

    _corpus: Any
    _sentence: Any

    def _metric(self) -> Metric:
        return Metric(self.name, bounds=(0.0, 100.0), statistics=self._statistics, value=self._value)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        return Measured({self.name: float(self._sentence.sentence_score(answer, accepted(item)).score)})

    def unanswered(self, item: Item) -> dict[str, float]:
        return {self.name: 0.0}

    def _statistics(self, columns: Columns) -> NDArray[np.float64]:
        import numpy as np

        # sacrebleu's own per-sentence statistics; with one corpus call per attempt the number of references may vary.
        rows = [
            self._corpus._extract_corpus_statistics([answer or ""], [[reference] for reference in _references(target)])[0]
            for answer, target in zip(columns.answers, columns.targets, strict=True)
        ]
        return np.asarray(rows, dtype=np.float64)

    def _value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        flat = sums.reshape(-1, sums.shape[-1])
        scores = [float(self._corpus._compute_score_from_stats([round(number) for number in row]).score) for row in flat]
        return np.asarray(scores, dtype=np.float64).reshape(sums.shape[:-1])


class Bleu(_CorpusScorer):
    """Corpus BLEU as sacrebleu computes it (exponential smoothing); from 0 to 100. A sentence's own value uses the effective order.

    Args:
        tokenize: sacrebleu's tokenizer: `13a` (default), `intl`, `zh`, `char`, `none`, …; some need further packages.
        lowercase: compare in lower case.
    """

    name = "bleu"

    def __init__(self, *, tokenize: str = "13a", lowercase: bool = False) -> None:
        metrics = _sacrebleu("bleu")
        if tokenize not in metrics.BLEU.TOKENIZERS:
            raise TaskError(f"bleu.tokenize: sacrebleu has no tokenizer '{tokenize}'; there are: {', '.join(metrics.BLEU.TOKENIZERS)}")
        try:
            self._corpus = metrics.BLEU(tokenize=tokenize, lowercase=lowercase)
            self._sentence = metrics.BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)
        except (ImportError, RuntimeError) as error:
            raise TaskError(f"bleu.tokenize: '{tokenize}' cannot be used: {' '.join(str(error).split())}") from error
        self.metrics = (self._metric(),)


class Chrf(_CorpusScorer):
    """Corpus chrF as sacrebleu computes it; from 0 to 100.

    Args:
        word_order: 0 is chrF, 2 chrF++.
        lowercase: compare in lower case.
    """

    name = "chrf"

    def __init__(self, *, word_order: int = 0, lowercase: bool = False) -> None:
        metrics = _sacrebleu("chrf")
        if not 0 <= word_order <= 6:
            raise TaskError(f"chrf.word_order must be between 0 and 6, not {word_order}")
        self._corpus = self._sentence = metrics.CHRF(word_order=word_order, lowercase=lowercase)
        self.metrics = (self._metric(),)


class Rouge(_TextScorer):
    """ROUGE-1, ROUGE-2 and ROUGE-L as F-measures by Google's rouge-score, each of the reference it fits best; means over attempts.

    Its tokenizer keeps only ASCII letters and digits: text in other scripts scores 0.

    Args:
        stem: compare Porter stems.
    """

    name = "rouge"
    metrics = (Metric("rouge1"), Metric("rouge2"), Metric("rougeL"))

    def __init__(self, *, stem: bool = False) -> None:
        try:
            from rouge_score import rouge_scorer
        except ImportError:
            raise MissingExtra("the scorer 'rouge'", "metrics") from None
        self._scorer = rouge_scorer.RougeScorer([metric.name for metric in self.metrics], use_stemmer=stem)

    def measure(self, answer: str, item: Item, response: Response) -> Measured:
        scores = self._scorer.score_multi(accepted(item), answer)
        return Measured({name: float(score.fmeasure) for name, score in scores.items()})


def _sacrebleu(name: str) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise MissingExtra(f"the scorer '{name}'", "metrics") from None
    return metrics
