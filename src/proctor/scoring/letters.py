"""Choice letters: naming the choices of a question, and finding the letter a free text settles on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proctor.scoring.base import Extraction

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What announces an answer: "the answer is", "Answer:", "correct option is", "I choose", "\boxed{".
_ANNOUNCED = re.compile(
    r"""(?: \b(?:answer|(?:correct|right|best)\ (?:choice|option|letter))
            (?: \s+ (?:to|for|of|here) \b [^.:\n]{0,60}? )? [*_\s]* (?: [:=] | \b(?:is|would\ be|must\ be|should\ be)\b )
        | \bI(?:\ would|['’]d|\ will|['’]ll)?\ (?:choose|pick|select|go\ with)\b
        | \\boxed\s*\{ )
        [*_:\s]* (?: (?:the\ )?(?:option|choice|letter)\b\ * | (?:therefore|thus|clearly|probably|most\ likely|likely)\b,?\ * )? """,
    re.IGNORECASE | re.VERBOSE,
)
# The same in German, French, Spanish, Portuguese, Italian, Russian, Chinese and Japanese.
_ANNOUNCED_ELSEWHERE = re.compile(
    r"""(?: \b(?:antwort|lösung|(?:richtige|korrekte)\ (?:option|wahl|möglichkeit)|réponse|respuesta|resposta|risposta|ответ
                |opción\ correcta|(?:opção|alternativa)\ corret[ao]|opzione\ corretta|bonne\ option)
            (?: \ (?:correct[ae]|corrett?a|certa|giusta|exact[ae]|finale?|definitiva) )?
            (?: \s+ (?:auf|zu|zur|für|à|au|a|al|alla|de|del|della|du|da|do|pour|para|per|на) \b [^.:\n]{0,60}? )?
            [*_\s]* (?: [:=\uff1a] | \b(?:ist|lautet|wäre|est|serait|es|sería|é|seria|è|sarebbe|будет|является)\b | (?<=\s)[–—-](?=\s) )
        | (?:答案|正确选项|正確選項) [*_\s]* (?: 应该是|應該是|应为|應為|是|为|為|[:=\uff1a] )
        | [故应應我] (?:选择?|選擇?)
        | (?:答え|正解|解答|回答) [*_\s]* (?: は|[:=\uff1a] ) )
        [*_:\uff1a、\uff0c\s]* (?: (?:(?:die|der|la|a|il)\ |l['’])?
            (?:option|buchstabe|lettre|opción|letra|opção|alternativa|opzione|lettera|вариант|буква)\b\ * | 选项\ * | 選項\ * )? """,
    re.IGNORECASE | re.VERBOSE,
)
_WRAPPERS = r"(?:[\s*_(\[{$\"'`“‘„«\uff08「『【]|\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{)*"
_WORD = r"[^\W\u3040-\u30ff\u3400-\u9fff]"  # a word goes on; Chinese and Japanese write theirs without a space after a letter
_LETTER_HERE = re.compile(rf"(?P<open>{_WRAPPERS})(?P<letter>[A-Za-z])(?!{_WORD}|['’])(?P<after>[^\n]{{0,24}})")
_BOLD = re.compile(r"\*\*[\s(]*+([A-Z])(?:[).:][^*\n]*+)?+[\s)]*+\*\*")
_CONFIRMED = re.compile(r"\b([A-Z])\b[*_)\]]*\s+(?:is|would be|must be)\s+(?:therefore\s+)?(?:the\s+)?(?:correct|right|best|most likely)\b")
_IN_PARENTHESES = re.compile(r"\(([A-Z])\)|\b(?:[Oo]ption|[Cc]hoice)\s+([A-Z])\b")
# "A" and "I" are also words, elsewhere "E", "O" and "Y" too; as letters they are followed by punctuation, an end, or one of these.
_AFTER_A_LETTER = re.compile(
    r"\s+(?:because|since|as|due|which|and|but|is|given|weil|denn|da|parce|car|puisque|porque|ya|pois|perché|poiché|потому|так)\b",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[。\uff0c、\uff01\uff1f\uff1a\uff1b\uff09」』】\u3040-\u30ff\u3400-\u9fff]|\s*»")
_DENIED = re.compile(r"\s*(?:では|じゃ)")
_DENIED_BEFORE = re.compile(r"(?:\b(?:not|neither|nor)|n['’]t)\s+(?:option|choice)?[\s*_(]*$", re.IGNORECASE)
_DENIED_AFTER = re.compile(r"[\s*_)]*\b(?:is|are|was|would\ be)(?:n['’]t\b|\s+(?:not|incorrect|wrong|false)\b)", re.IGNORECASE)
_OR_ANOTHER = re.compile(r"[\s\"'*_)]*\bor\b", re.IGNORECASE)


def choice_label(index: int) -> str:
    """The letter of the choice at `index` (from 0); beyond Z its number from 1."""
    return LETTERS[index] if index < len(LETTERS) else str(index + 1)


def as_letters(text: str, names: Sequence[str]) -> str:
    """`text` with each name of a choice (`2`, `b`, `§`) that stands alone replaced by the letter of its place; letters themselves stay.

    Args:
        text: an answer.
        names: what the choices were named by, in their order.
    """
    places = {name: LETTERS[place] for place, name in enumerate(names) if name.casefold() != LETTERS[place].casefold()}
    if not places:
        return text
    listed = "|".join(re.escape(name) for name in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\w.])(?:{listed})(?!\w|[.,]\d)", lambda match: places[match[0]], text)


def choice_index(label: str, count: int) -> int | None:
    """The inverse of `choice_label` among `count` choices; None where `label` names none of them."""
    text = label.strip().upper()
    if len(text) == 1 and text in LETTERS:
        index = LETTERS.index(text)
    elif text.isdecimal() and len(text) < 6:
        index = int(text) - 1
        if index < len(LETTERS):
            return None
    else:
        return None
    return index if index < count else None


def find_letter(text: str, choices: Sequence[str], count: int | None = None) -> Extraction:
    """The letter of the choice that `text` settles on.

    Looked for in this order; the first rule that finds a letter decides:

    1. the last announced answer: "The answer is (B)", "Answer: B", "\\boxed{B}", "(B) is correct", "the answer is Paris" (a choice's text),
       "Die Antwort ist B", "答案是B" and the like in the languages named above `_ANNOUNCED_ELSEWHERE`;
    2. the text begins with a letter that stands alone: "B", "(B)", "B.", "**B** because";
    3. the last line does so;
    4. the last letter in bold;
    5. the only letter written in parentheses or after "option", in the last line, else in the whole text;
    6. the text is a choice's text, or is short (200 characters) and contains exactly one; a choice that is part of another one found does
       not count.

    An announced letter beyond the choices finds nothing at all: that is an answer, only an impossible one. "A" and "I" as words are
    not letters. An announced answer, and one at the beginning, stands even if the text is cut off later; the others need its end.

    Args:
        text: the response.
        choices: the texts of the choices; may be empty.
        count: how many letters there are; default: one for each choice, or 26.
    """
    valid = LETTERS[: count or len(choices) or len(LETTERS)]
    statements = [*_ANNOUNCED.finditer(text), *_ANNOUNCED_ELSEWHERE.finditer(text), *_CONFIRMED.finditer(text)]
    for match in sorted(statements, key=lambda match: match.start(), reverse=True):
        if match.re is _CONFIRMED:
            return Extraction(match[1] if match[1] in valid else None)
        rest = text[match.end() : match.end() + 400]
        by_text = _choice_at_start(rest, choices)
        if by_text is not None and by_text < len(valid):
            tail = rest[rest.casefold().find(choices[by_text].strip().casefold()) + len(choices[by_text].strip()) :]
            return Extraction(None if _OR_ANOTHER.match(tail) else valid[by_text])
        announced = _letter_at_start(rest, words="AI" if match.re is _ANNOUNCED else "AEIOY")
        if announced is not None:
            return Extraction(announced if announced in valid else None)
    at_start = _standing_alone(text.strip()[:200], valid)
    if at_start is not None:
        return Extraction(at_start)
    lines = text.strip().splitlines()
    found = _standing_alone(lines[-1].strip()[:200], valid) if lines else None
    if found is None:
        bold = [letter for letter in _BOLD.findall(text) if letter in valid]
        found = bold[-1] if bold else None
    for part in (lines[-1] if lines else "", text):
        marked = {match[1] or match[2] for match in _IN_PARENTHESES.finditer(part) if not _denied(part, match)}
        if found is None and len(marked) == 1 and marked <= set(valid):
            found = marked.pop()
    if found is None:
        index = _only_choice_within(text, choices[: len(valid)])
        found = valid[index] if index is not None else None
    return Extraction(found, needs_end=found is not None)


def _denied(text: str, match: re.Match[str]) -> bool:
    """Whether a letter is named to be ruled out: "not (A)", "option A is incorrect"."""
    before, after = text[max(0, match.start() - 24) : match.start()], text[match.end() : match.end() + 24]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


def _letter_at_start(text: str, words: str) -> str | None:
    """The letter that `text` begins with; one of `words` only where it cannot be a word."""
    match = _LETTER_HERE.match(text)
    if match is None or _DENIED.match(match["after"]):
        return None
    letter, after, opened = match["letter"], match["after"], match["open"]
    marked = bool(re.search(r"[(\[{*\uff08「『【]", opened))
    if letter.upper() in words or letter.islower():
        ends = (
            not after.strip()
            or after[0] in ")]}*:;!?$\"'”’`"
            or _NO_WORD.match(after)
            or (after[0] in ".," and not re.match(r"[.,]\w", after))
        )
        if not (ends or (letter.isupper() and _AFTER_A_LETTER.match(after)) or (marked and after[:1] in ")]}*")):
            return None
    return letter.upper()


def _standing_alone(line: str, valid: str) -> str | None:
    """The letter a line begins with, where it cannot be a word or the first of several letters."""
    match = re.match(r"[\s*_(\[`\"']*([A-Za-z])(?P<close>[\s*_)\]`\"'.:]*)(?P<rest>.*)", line, re.DOTALL)
    if match is None or match[1].upper() not in valid:
        return None
    close, rest = match["close"], match["rest"]
    if rest and match[1].islower() and not (close[:1] == ")" and line.lstrip()[:1] == "("):
        return None
    if not rest:
        return match[1].upper()
    separated = re.match(r"[*_)\]`\"'.:]*[).:*\]]", close) is not None and (close[-1:].isspace() or close.endswith("*") or ")" in close)
    dashed = close.isspace() and re.match(r"[-–—]\s", rest) is not None
    newline = "\n" in close
    comma = not close and re.match(r",\s+(?![A-Z]\b)", rest) is not None and match[1] != "I"
    return match[1].upper() if separated or dashed or newline or comma else None


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" \t\n.*_\"'`“”‘’()").casefold()


def _choice_at_start(text: str, choices: Sequence[str]) -> int | None:
    """The choice with the longest text (two characters at least, or a digit) that `text` begins with."""
    start = _plain(text)
    best: tuple[int, int] | None = None
    for index, choice in enumerate(choices):
        wanted = _plain(choice)
        long_enough = len(wanted) > 1 or wanted.isdecimal()
        fits = long_enough and start.startswith(wanted) and not re.match(r"\w|[.,]\d", start[len(wanted) :])
        if fits and (best is None or len(wanted) > best[0]):
            best = (len(wanted), index)
    return best[1] if best else None


def _only_choice_within(text: str, choices: Sequence[str]) -> int | None:
    plain = _plain(text)
    wanted = [_plain(choice) for choice in choices]
    equal = [index for index, choice in enumerate(wanted) if choice and choice == plain]
    if equal:
        return equal[0]
    if len(plain) > 200:  # in a long text some choice or other is mentioned by chance
        return None
    within = [i for i, choice in enumerate(wanted) if len(choice) > 1 and re.search(rf"(?<!\w){re.escape(choice)}(?!\w|[.,]\d)", plain)]
    whole = [i for i in within if not any(i != j and wanted[i] in wanted[j] for j in within)]
    return whole[0] if len(whole) == 1 else None
