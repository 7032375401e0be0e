"""How near one field of an answer comes to the right one, from 0 to 1: the rules of MEGA-Bench, by its names.

Written after the definitions in the authors' evaluation code (Chen et al., ICLR 2025; https://github.com/TIGER-AI-Lab/MEGA-Bench). An
answer that cannot be read for a rule scores 0. Values may be texts, as the authors have them, or lists, numbers and mappings.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Hashable
from typing import Any

from proctor.scoring.field_values import Box, as_list, as_mapping, as_set, boxes, is_number, literal, points, tagged
from proctor.scoring.number_text import read_number

Rule = Callable[[Any, Any], float]

NEAR = 0.9  # below this similarity two texts are not nearly the same
_ARTICLES = ("the", "a")
_LETTER = re.compile(r"\(?([A-Za-z])")
_DROPPED = str.maketrans("", "", " -\n\t.")


# --- texts ---


def exact(answer: Any, right: Any) -> float:
    """Equal texts. Where one letter is right, the first letter of a longer answer is what counts: `(B) green`."""
    answer, right = str(answer), str(right)
    if len(right) == 1 and right.isalpha() and len(answer) > 1:
        found = _LETTER.match(answer)
        answer = found[1] if found else answer
    return float(answer == right)


def simple(answer: Any, right: Any) -> float:
    """The same without case, blanks, tabs, line breaks, hyphens and full stops."""
    return exact(str(answer).translate(_DROPPED).lower(), str(right).translate(_DROPPED).lower())


def _any_case(answer: Any, right: Any) -> float:
    return exact(str(answer).lower(), str(right).lower())


def _code_result(answer: Any, right: Any) -> float:
    block = re.search(r"```\w*(?:\s*\n+)?(.*?)(?:\n+\s*)?```", str(right), re.DOTALL)
    return exact(answer, block[1] if block else right)


def similarity(answer: Any, right: Any, least: float = 0.0) -> float:
    """1 − Damerau–Levenshtein distance / length of the longer text; 0 below `least`."""
    from rapidfuzz.distance import DamerauLevenshtein

    if not isinstance(answer, str):
        return 0.0
    return float(DamerauLevenshtein.normalized_similarity(answer, str(right), score_cutoff=least))


def near(answer: Any, right: Any) -> float:
    """Similarity without case, accents and articles; 0 below `NEAR`."""
    return similarity(_plain(answer), _plain(right), NEAR) if isinstance(answer, str) else 0.0


def _plain(text: Any) -> str:
    kept = " ".join(word for word in str(text).split(" ") if word.lower() not in _ARTICLES)
    return "".join(sign for sign in unicodedata.normalize("NFKD", kept) if not unicodedata.combining(sign)).lower()


def _one_of(answer: Any, right: Any) -> float:
    if isinstance(right, str):
        right = right.replace("，", ",")
    return max((simple(answer, one) for one in as_list(right)), default=0.0)


def _bleu(answer: Any, right: Any) -> float:
    """BLEU as the authors compute it: the right text as hypothesis, the answer as its reference."""
    import sacrebleu

    return float(sacrebleu.corpus_bleu([str(right)], [[answer]]).score) / 100 if isinstance(answer, str) else 0.0


def _latex(answer: Any, right: Any) -> float:
    from proctor.scoring.math_process import equal

    if not isinstance(answer, str):
        return 0.0
    same = equal([str(right)], answer, 15.0)
    return float(same) if same is not None else simple(answer, right)


def _text_and_latex(answer: Any, right: Any) -> float:
    if not isinstance(answer, str):
        return 0.0
    (text, formulas), (right_text, right_formulas) = _apart(answer), _apart(str(right))
    if not simple(text.replace(",", ""), right_text.replace(",", "")):
        return 0.0
    return float(formulas == right_formulas) or _latex(formulas, right_formulas)


def _apart(text: str) -> tuple[str, str]:
    """What stands outside of $…$, and inside."""
    parts = re.split(r"\$([^$]*)\$", text)
    return "".join(part.strip() for part in parts[::2]), " ".join(part.strip().replace(",", "") for part in parts[1::2])


# --- numbers ---


def _relative(answer: Any, right: Any) -> float:
    """max(0, 1 − |answer − right| / |right|)."""
    given, wanted = _number(answer), _number(right)
    if given is None or wanted is None:
        return 0.0
    return max(0.0, 1 - abs((given - wanted) / wanted)) if wanted else float(given == wanted)


def _whole(answer: Any, right: Any) -> float:
    given, wanted = _number(answer), _number(right)
    return float(given is not None and given == wanted and given == int(given) and not isinstance(literal_or(answer), float))


def _within_a_percent(answer: Any, right: Any) -> float:
    """Within 1 % of the right number; a list of numbers in any order. What is no number is compared as `simple`."""
    answer, right = (_after_sign(str(value)) for value in (answer, right))
    given, wanted = as_list(answer), as_list(right)
    if len(wanted) > 1 and all(map(is_number, wanted)):
        if len(given) != len(wanted) or not all(map(is_number, given)):
            return 0.0
        return float(all(_close(one, other) for one, other in zip(sorted(given), sorted(wanted), strict=True)))
    number, wanted_number = read_number(answer), read_number(right)
    if number is None or wanted_number is None or not _is_only_number(right):
        return simple(answer, right)
    scales = [1 / 100 if "%" in text else 1.0 for text in (answer, right)]
    return float(_close(float(number) * scales[0], float(wanted_number) * scales[1]))


def _boxed(answer: Any, right: Any) -> float:
    def inside(value: Any) -> str:
        found = re.search(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", str(value))
        return found[1] if found else str(value)

    return _within_a_percent(inside(answer), inside(right))


def _after_sign(text: str) -> str:
    text = re.sub(r"\\[()\[\]]", "", text)
    found = re.search(r"(?:=|≈|\\approx)\s*(.+)", text)
    return found[1].strip() if found else text


def _is_only_number(text: str) -> bool:
    return not re.search(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", "", text))


def _close(given: float, wanted: float) -> bool:
    return abs(given - wanted) <= abs(wanted) * 0.01


def _square_root_of_error(answer: Any, right: Any) -> float:
    """1 − |answer − right| / 0.1, at least 0."""
    given, wanted = _number(answer), _number(right)
    return 0.0 if given is None or wanted is None else max(0.0, 1 - abs(given - wanted) / 0.1)


def _angles(answer: Any, right: Any) -> float:
    """1 − mean |answer − right| / 10 over a sequence of angles in degrees, at least 0."""
    given, wanted = as_list(answer), as_list(right)
    if not wanted or len(given) != len(wanted) or not all(map(is_number, [*given, *wanted])):
        return 0.0
    error = math.fsum(abs(one - other) for one, other in zip(given, wanted, strict=True)) / len(wanted)
    return max(0.0, 1 - error / 10) if math.isfinite(error) else 0.0


def literal_or(value: Any) -> Any:
    """What a text spells, or the value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return literal(value)
    except ValueError:
        return value


def _number(value: Any) -> float | None:
    found = literal_or(value)
    return float(found) if is_number(found) and math.isfinite(found) else None


# --- sets and sequences ---


def _set_equality(answer: Any, right: Any) -> float:
    return float(as_set(answer) == as_set(right))


def _set_equality_any_case(answer: Any, right: Any) -> float:
    return float(_lower(as_set(answer)) == _lower(as_set(right)))


def _lines_equal(answer: Any, right: Any) -> float:
    def lines(value: Any) -> set[str]:
        return {line.lower() for line in str(value).replace("\\n", "\n").split("\n")}

    return float(lines(answer) == lines(right))


def jaccard(answer: Any, right: Any) -> float:
    """|A ∩ B| / |A ∪ B|; 1 for two empty sets."""
    return 0.0 if answer is None else _overlap(as_set(answer), as_set(right))


def _jaccard_any_case(answer: Any, right: Any) -> float:
    return 0.0 if answer is None else _overlap(_lower(as_set(answer)), _lower(as_set(right)))


def _chess_moves(answer: Any, right: Any) -> float:
    """Jaccard index of moves, signs of check and mate aside."""

    def moves(value: Any) -> set[Hashable]:
        return {str(move).rstrip("+#") for move in as_set(value)}

    return _overlap(moves(answer), moves(right))


def _set_precision(answer: Any, right: Any) -> float:
    given = as_set(answer)
    return len(given & as_set(right)) / len(given) if given else 1.0


def _overlap(given: set[Hashable], wanted: set[Hashable]) -> float:
    together = given | wanted
    return len(given & wanted) / len(together) if together else 1.0


def _lower(values: set[Hashable]) -> set[Hashable]:
    def one(value: Hashable) -> Hashable:
        return tuple(map(one, value)) if isinstance(value, tuple) else value.lower() if isinstance(value, str) else str(value).lower()

    return {one(value) for value in values}


def _sequence(answer: Any, right: Any) -> float:
    return float(as_list(answer) == as_list(right))


def _sequence_any_case(answer: Any, right: Any) -> float:
    given, wanted = ([str(item).lower() for item in as_list(value)] for value in (answer, right))
    return float(given == wanted)


def _sequence_accuracy(answer: Any, right: Any) -> float:
    """The share of places where the two lists agree; 0 where they are of unequal length."""
    given, wanted = as_list(answer), as_list(right)
    if not wanted or len(given) != len(wanted):
        return 0.0
    return sum(str(one).lower() == str(other).lower() for one, other in zip(given, wanted, strict=True)) / len(wanted)


def _common_beginning(answer: Any, right: Any) -> float:
    """The length of the common beginning of the lists, as a share of the right one's."""
    given, wanted = as_list(answer), as_list(right)
    same = 0
    for one, other in zip(given, wanted, strict=False):
        if one != other:
            break
        same += 1
    return same / len(wanted) if wanted else float(not given)


# --- mappings ---


def _mapping_equality(answer: Any, right: Any) -> float:
    given = as_mapping(answer)
    return float(given is not None and given == as_mapping(right))


def _mapping_precision(answer: Any, right: Any) -> float:
    given, wanted = as_mapping(answer), as_mapping(right) or {}
    return sum(exact(value, wanted[key]) for key, value in given.items() if key in wanted) / len(given) if given else 0.0


def _mapping_recall(answer: Any, right: Any) -> float:
    given, wanted = as_mapping(answer), as_mapping(right)
    return sum(exact(given.get(key), value) for key, value in wanted.items()) / len(wanted) if given is not None and wanted else 0.0


def _over_all_keys(rule: Rule) -> Rule:
    """The mean of `rule` over the keys that either mapping has."""

    def score(answer: Any, right: Any) -> float:
        given, wanted = as_mapping(answer), as_mapping(right) or {}
        if given is None:
            return 0.0
        keys = sorted({*given, *wanted})
        return sum(rule(given.get(key, []), wanted.get(key, [])) for key in keys) / len(keys) if keys else 1.0

    return score


# --- places in a picture, as shares of its width and height ---


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; 0 where the union has no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union if union > 0 else 0.0


def _best_boxes(answer: Any, right: Any) -> float:
    """The mean, over the answer's boxes, of the IoU with the right box that each fits best."""
    given, wanted = boxes(answer), boxes(right)
    return sum(max((iou(one, other) for other in wanted), default=0.0) for one in given) / len(given) if given else 0.0


def _one_box(answer: Any, right: Any) -> float:
    given, wanted = boxes(answer), boxes(right)
    return iou(given[0], wanted[0]) if len(given) == 1 and wanted else 0.0


def _box_sequence(answer: Any, right: Any) -> float:
    given, wanted = boxes(answer), boxes(right)
    return sum(map(iou, given, wanted)) / len(wanted) if wanted and len(given) == len(wanted) else 0.0


def _tagged_box(answer: Any, right: Any) -> float:
    return _best_boxes(tagged(answer, "box", 4), tagged(right, "box", 4))


def _point_distance(answer: Any, right: Any) -> float:
    """max(0, 1 − distance) of two points between tags, each within the picture."""
    given, wanted = tagged(answer, "point", 2), tagged(right, "point", 2)
    if len(given) != 1 or len(wanted) != 1 or not all(0 <= edge <= 1 for edge in (*given[0], *wanted[0])):
        return 0.0
    return max(0.0, 1 - math.dist(given[0], wanted[0]))


def _key_points(answer: Any, right: Any) -> float:
    """The mean of exp(−10 · distance / √2) over points in order; 0 where their numbers differ."""
    given, wanted = points(answer), points(right)
    if not wanted or len(given) != len(wanted):
        return 0.0
    return math.fsum(math.exp(-10 * math.dist(*pair) / math.sqrt(2)) for pair in zip(given, wanted, strict=True)) / len(wanted)


def point_in_box(answer: Any, allowed: Any) -> float:
    """Whether the point `<point>x, y</point>` lies in one of the allowed boxes."""
    given = tagged(answer, "point", 2)
    if len(given) != 1:
        return 0.0
    x, y = given[0]
    found = [box for one in (allowed if isinstance(allowed, list) else [allowed]) for box in boxes(one)]
    return float(any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in found))


RULES: dict[str, Rule] = {
    "exact_str_match": exact,
    "exact_str_match_case_insensitive": _any_case,
    "simple_str_match": simple,
    "code_result_exact_str_match": _code_result,
    "near_str_match": near,
    "normalized_similarity_damerau_levenshtein": similarity,
    "multi_ref_phrase": _one_of,
    "bleu": _bleu,
    "latex_expr_equality": _latex,
    "text_with_latex_expr_equality": _text_and_latex,
    "number_rel_diff_ratio": _relative,
    "positive_int_match": _whole,
    "general_single_numerical_match": _within_a_percent,
    "boxed_single_numerical_match": _boxed,
    "normalized_rmse": _square_root_of_error,
    "angle_seq_float_rmse": _angles,
    "set_equality": _set_equality,
    "set_equality_case_insensitive": _set_equality_any_case,
    "str_set_equality_comma": _set_equality_any_case,
    "str_set_equality_line_break": _lines_equal,
    "jaccard_index": jaccard,
    "jaccard_index_case_insensitive": _jaccard_any_case,
    "set_precision": _set_precision,
    "chess_move_list_jaccard_index": _chess_moves,
    "sequence_equality": _sequence,
    "sequence_equality_case_insensitive": _sequence_any_case,
    "sequence_accuracy_case_insensitive": _sequence_accuracy,
    "longest_common_list_prefix_ratio": _common_beginning,
    "dict_equality": _mapping_equality,
    "dict_precision": _mapping_precision,
    "dict_exact_str_match_agg_recall": _mapping_recall,
    "dict_jaccard_agg_jaccard": _over_all_keys(jaccard),
    "dict_set_equality_agg_jaccard": _over_all_keys(_set_equality),
    "dict_nbbox_iou_tuple_agg_jaccard": _over_all_keys(_best_boxes),
    "nbbox_iou_single": _one_box,
    "nbbox_iou_tuple": _best_boxes,
    "nbbox_iou_sequence": _box_sequence,
    "xml_nbbox_iou_single": _tagged_box,
    "xml_norm_point_distance": _point_distance,
    "xml_norm_point_in_bbox": point_in_box,
    "sequence_coords_similarity": _key_points,
}
NEED = {
    "near_str_match": "metrics",
    "normalized_similarity_damerau_levenshtein": "metrics",
    "bleu": "metrics",
    "latex_expr_equality": "math",
    "text_with_latex_expr_equality": "math",
}
"""The extra whose packages a rule needs."""

NOT_HERE = {
    "gpt_4o_as_judge": "it asks a judge model",
    "ascii_art_gpt4o_judge": "it asks a judge model",
    "program_judge": "it runs the model's program",
    "constrained_generation": "it has rules for each poem and text",
    "symbolic_planning_test": "it executes plans",
    "nli_entailment": "it asks a model of entailment",
    "geo_proximity_location_dict": "it looks places up",
    "gleu_cn": "it needs a Chinese tokenizer",
}
