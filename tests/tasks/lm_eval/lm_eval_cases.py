"""Task files and data made up for the comparison with lm-evaluation-harness, and a model that answers from a hash of what it is asked.

Used on both sides: by `record_lm_eval.py` in an environment with lm-eval, where the answers are recorded, and by the tests. Nothing but the
standard library and PyYAML is imported.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import yaml

WORDS = "amber birch cobalt dune ember fjord grove hazel inlet jade kelp lotus maple nectar onyx pearl quartz river slate tulip".split()  # noqa: SIM905
ANSWERS = [
    *["amber", "birch", "Cobalt.", " dune", "The answer is (B).", "#### 42", "42", "7", "(C)", "A", "yes", "No"],
    *["I think: D", "amber birch cobalt", "", "[invalid]", "per: Ana $$ loc: Oslo, none", "[('a', 'NOUN'), ('b', 'VERB')]"],
    *["#### 1,234 and #### 7", "jade kelp lotus maple nectar", "the river is wide"],
]


class Function(str):
    """`!function` in a task file."""


yaml.SafeDumper.add_representer(Function, lambda dumper, data: dumper.represent_scalar("!function", str(data)))

UTILS = """
import re
from functools import partial


def process_docs(dataset):
    def change(doc):
        return {"query": "Q: " + doc["question"].strip(), "gold": doc["answer"]}

    return dataset.map(change)


def short_docs(dataset):
    return dataset.filter(lambda doc: len(doc["question"]) % 3 != 0).map(lambda doc: {"query": doc["question"].upper()})


def to_text(doc):
    return f"{doc['question']} ({len(doc['choices'])})"


def to_target(doc):
    return doc["answer"]


def to_choice(doc):
    return [choice.title() for choice in doc["choices"]]


def shot_text(doc):
    return "EXAMPLE " + doc["question"]


def samples():
    return [{"question": f"sample {i}", "choices": ["a", "b", "c", "d"], "answer": i % 4, "letter": "ABCD"[i % 4]} for i in range(6)]


def results(doc, results):
    lls = [result[0] for result in results]
    best = lls.index(max(lls))
    return {"acc": float(best == doc["answer"]), "margin": max(lls) - min(lls)}


def text_results(doc, results):
    said = results[0]
    return {"length": len(said), "starts": said[:1].isalpha(), "pair": (said, doc["a"])}


def share_of_pairs(items):
    return sum(said.strip() == right for said, right in items) / len(items)


def overlap(references, predictions, **kwargs):
    right, said = set(references[0].lower().split()), set(predictions[0].lower().split())
    return len(right & said) / max(1, len(right | said))


def several_numbers(references, predictions, **kwargs):
    right, said = references[0], predictions[0]
    return {"same_length": float(len(right) == len(said)), "first_letter": float(right[:1] == said[:1])}


def pair_metric(items):
    return items


def upper_docs(dataset):
    return dataset.map(lambda doc: {"question": doc["question"].upper()}, remove_columns=["id"])


def largest_share(items):
    return max(sum(said == right for right, said in items), 1) / len(items)


def first_word(resps, docs):
    return [[resp.split(" ")[0] for resp in of_doc] for of_doc in resps]


def macro_f1(items):
    golds, preds = zip(*items)
    total = 0.0
    for name in sorted(set(golds)):
        hits = sum(g == p == name for g, p in items)
        both = sum(g == name for g in golds) + sum(p == name for p in preds)
        total += 2 * hits / both if both else 0.0
    return total / len(set(golds))


class Shorten:
    def __init__(self, size=3):
        self.size = size

    def apply(self, resps, docs):
        return [[resp[: self.size] for resp in of_doc] for of_doc in resps]
"""


def data() -> dict[str, list[dict[str, Any]]]:
    """File name to documents."""
    rng = random.Random(5)

    def words(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))

    def quiz(count: int, name: str) -> list[dict[str, Any]]:
        rows = []
        for i in range(count):
            choices = [words(1, 3) for _ in range(4)]
            answer = rng.randrange(4)
            spaces = ["", " ", "\n", "  "][i % 4]  # white space at the boundary
            rows.append(
                {
                    "id": f"{name}{i}",
                    "question": f"{words(3, 8)}?{spaces}" if i % 5 else f"Où est {words(1, 2)} — 日本?",
                    "choices": choices,
                    "answer": answer,
                    "letter": "ABCD"[answer],
                    "text": choices[answer],
                    "several": sorted({answer, rng.randrange(4)}),
                    "binary": answer % 2,
                    "passage": {"title": words(1, 2), "body": words(2, 4)},
                }
            )
        return rows

    def sums(count: int) -> list[dict[str, Any]]:
        rows = []
        for i in range(count):
            said = rng.choice(["42", "7", "amber", "birch", "cobalt", "dune", "B", "(C)", "yes", "no", "1,234"])
            rows.append(
                {
                    "q": f"{words(2, 5)} {i} + {i}",
                    "a": said,
                    "accepted": [said, rng.choice(WORDS)],
                    "choices": ["A", "river", "(C)", "amber birch"],
                    "n": i,
                }
            )
        return rows

    quiz_test, quiz_train, quiz_val = quiz(21, "t"), quiz(9, "r"), quiz(12, "v")
    quiz_val[3] = dict(quiz_val[2])  # two documents that are equal
    cloze = [{"text": words(4, 9), "last": rng.choice(WORDS)} for _ in range(15)]
    texts = [{"page": f"{words(5, 30)}\n\n {words(3, 9)} "} for _ in range(9)] + [{"page": "é ü  ß"}, {"page": "one"}]
    blanks = [
        {"start": [f"{words(2, 4)} {one}" for one in ("he", "she")], "end": words(2, 4), "right": rng.randrange(2)} for _ in range(14)
    ]
    lines = [
        {"src": words(3, 6), "ref": rng.choice(["jade kelp lotus maple nectar", "the river is wide", "amber birch cobalt dune ember"])}
        for _ in range(12)
    ]
    many = [{"src": one["src"], "refs": [one["ref"], "a river is wide and long"]} for one in lines]
    return {
        "quiz_test.jsonl": quiz_test,
        "quiz_train.jsonl": quiz_train,
        "quiz_val.jsonl": quiz_val,
        "sums.jsonl": sums(18),
        "sums_train.jsonl": sums(8),
        "cloze.jsonl": cloze,
        "texts.jsonl": texts,
        "blanks.jsonl": blanks,
        "lines.jsonl": lines,
        "many.jsonl": many,
    }


def tasks(folder: Path) -> dict[str, dict[str, Any]]:
    """Name to task file; `folder` holds the data."""

    def files(**splits: str) -> dict[str, Any]:
        return {"dataset_path": "json", "dataset_kwargs": {"data_files": {split: str(folder / name) for split, name in splits.items()}}}

    quiz = {
        **files(test="quiz_test.jsonl", train="quiz_train.jsonl", validation="quiz_val.jsonl"),
        "output_type": "multiple_choice",
        "test_split": "test",
        "fewshot_split": "train",
        "doc_to_text": "{{question}}\nAnswer:",
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "metadata": {"version": 1.0},
    }
    letters = {
        **quiz,
        "doc_to_text": "{{question.strip()}}{% for c in choices %}\n{{'ABCD'[loop.index0]}}. {{c}}{% endfor %}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
    }
    sums = {
        **files(test="sums.jsonl", train="sums_train.jsonl"),
        "output_type": "generate_until",
        "test_split": "test",
        "fewshot_split": "train",
        "doc_to_text": "Q: {{q}}\nA:",
        "doc_to_target": "{{a}}",
        "generation_kwargs": {"until": ["\n", "Q:"], "do_sample": False, "max_gen_toks": 32},
        "metadata": {"version": 2.0},
    }
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    first = {"function": "take_first"}

    def filtered(*steps: dict[str, Any], name: str = "got") -> dict[str, Any]:
        return {"filter_list": [{"name": name, "filter": [*steps, first]}]}

    cloze = {
        **files(validation="cloze.jsonl"),
        "output_type": "loglikelihood",
        "validation_split": "validation",
        "doc_to_text": "{{text}}",
        "doc_to_target": " {{last}}",
    }
    texts = {
        **files(test="texts.jsonl"),
        "output_type": "loglikelihood_rolling",
        "test_split": "test",
        "doc_to_text": "",
        "doc_to_target": "page",
    }
    lines = {
        **files(test="lines.jsonl"),
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "{{src}} =",
        "doc_to_target": "ref",
    }
    corpus = [{"metric": name, "aggregation": name, "higher_is_better": name != "ter"} for name in ("bleu", "chrf", "ter")]
    validation = {key: value for key, value in quiz.items() if key not in ("test_split", "fewshot_split")} | {
        "validation_split": "validation"
    }
    return {
        "mc_plain": quiz,
        "mc_described": {**quiz, "description": "About {{passage.title}}.\n\n"},
        "mc_letters": letters,
        "mc_first": {**letters, "fewshot_config": {"sampler": "first_n"}, "num_fewshot": 2},
        "mc_never": {**quiz, "num_fewshot": 0},
        "mc_index": {**quiz, "doc_to_target": "{{answer}}"},
        "mc_letter_target": {**letters, "doc_to_target": "letter"},
        "mc_text_target": {**quiz, "doc_to_target": "{{choices[answer]}}"},
        "mc_choice_template": {**quiz, "doc_to_choice": "{{[choices[0], choices[1], 'none']}}"},  # some targets are beyond the choices
        "mc_choice_dict": {**quiz, "doc_to_choice": {"a": "amber", "b": "birch", "c": "a longer one", "d": "ü"}},
        "mc_several": {**quiz, "doc_to_target": "several"},
        "mc_metrics": {
            **quiz,
            "metric_list": [{"metric": one} for one in ("acc", "acc_norm", "acc_bytes", "exact_match", "brier_score", "mcc")],
        },
        "mc_mutual": {**quiz, "metric_list": [{"metric": "acc_mutual_info"}, {"metric": "acc"}]},
        "mc_f1": {
            **quiz,
            "doc_to_choice": ["no", "yes"],
            "doc_to_target": "binary",
            "metric_list": [{"metric": "f1"}, {"metric": "acc"}, {"metric": "mcc"}],
        },
        "mc_own_f1": {**quiz, "metric_list": [{"metric": "f1", "aggregation": Function("utils.macro_f1"), "higher_is_better": True}]},
        "mc_median": {**quiz, "metric_list": [{"metric": "acc", "aggregation": "median", "higher_is_better": True}]},
        "mc_nanmean": {**quiz, "metric_list": [{"metric": "acc_norm", "aggregation": "nanmean", "higher_is_better": True}]},
        "mc_delimiter": {**quiz, "target_delimiter": "\n-> ", "fewshot_delimiter": "\n###\n"},
        "mc_no_delimiter": {**quiz, "target_delimiter": ""},
        "mc_prefix": {**quiz, "gen_prefix": "Surely"},
        "mc_prefix_space": {**quiz, "gen_prefix": "It is "},
        "mc_prefix_column": {**quiz, "gen_prefix": "letter"},
        "mc_samples": {
            **quiz,
            "fewshot_split": None,
            "fewshot_config": {
                "sampler": "first_n",
                "samples": [{"question": f"s{i}?", "choices": ["w", "x", "y", "z"], "answer": i % 4} for i in range(6)],
            },
        },
        "mc_samples_code": {**quiz, "fewshot_split": None, "fewshot_config": {"samples": Function("utils.samples")}},
        "mc_shot_text": {
            **quiz,
            "fewshot_config": {"doc_to_text": Function("utils.shot_text"), "doc_to_target": "{{letter}}", "target_delimiter": " => "},
        },
        "mc_same_split": validation,
        "mc_named_same_split": {**validation, "fewshot_split": "validation"},
        "mc_test_as_pool": {**quiz, "fewshot_split": "test"},
        "mc_training": {key: value for key, value in quiz.items() if key != "fewshot_split"} | {"training_split": "train"},
        "mc_process_docs": {**quiz, "process_docs": Function("utils.process_docs"), "doc_to_text": "query", "doc_to_target": "gold"},
        "mc_filtered_docs": {**quiz, "process_docs": Function("utils.short_docs"), "doc_to_text": "{{query}}"},
        "mc_functions": {
            **quiz,
            "doc_to_text": Function("utils.to_text"),
            "doc_to_target": Function("utils.to_target"),
            "doc_to_choice": Function("utils.to_choice"),
        },
        "mc_results": {
            **quiz,
            "process_results": Function("utils.results"),
            "metric_list": [
                {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
                {"metric": "margin", "aggregation": "mean", "higher_is_better": False},
            ],
        },
        "mc_contexts": {
            **files(test="blanks.jsonl"),
            "output_type": "multiple_choice",
            "test_split": "test",
            "doc_to_text": "{{right}}",
            "doc_to_target": "end",
            "doc_to_choice": "start",
        },
        "mc_number_text": {**quiz, "doc_to_text": "{{id}}", "doc_to_choice": "{{choices}}"},
        "mc_empty_context": {**quiz, "doc_to_text": "", "target_delimiter": ""},
        "gen_plain": sums,
        "gen_default": {key: value for key, value in sums.items() if key != "generation_kwargs"},
        "gen_ignoring": {
            **sums,
            "metric_list": [
                {**exact, "ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True, "regexes_to_ignore": [",", r"\$"]}
            ],
        },
        "gen_accepted": {**sums, "doc_to_target": "accepted"},
        "gen_accepted_list": {
            **sums,
            "doc_to_target": "{{accepted}}",
            "metric_list": [exact, {"metric": Function("utils.overlap"), "aggregation": "mean", "higher_is_better": True}],
        },
        "gen_accepted_overlap": {
            **sums,
            "doc_to_target": "accepted",
            "metric_list": [
                {"metric": Function("utils.overlap"), "aggregation": "mean", "higher_is_better": True},
                {**exact, "ignore_case": True},
            ],
        },
        "gen_numbers": {
            **sums,
            "metric_list": [{"metric": Function("utils.several_numbers"), "aggregation": "mean", "higher_is_better": True}],
        },
        "gen_overlap_median": {
            **sums,
            "metric_list": [{"metric": Function("utils.overlap"), "aggregation": "median", "higher_is_better": True}, exact],
        },
        "gen_raw": {**sums, "filter_list": [{"name": "raw", "filter": [{"function": "remove_whitespace"}]}]},
        "gen_until_text": {**sums, "generation_kwargs": {"until": "END", "temperature": 0}},
        "mc_shots_processed": {**quiz, "fewshot_config": {"process_docs": Function("utils.upper_docs"), "fewshot_delimiter": "\n--\n"}},
        "mc_shots_prefix": {**quiz, "gen_prefix": "So:", "fewshot_config": {"gen_prefix": "Thus "}},
        "mc_percent": {
            **quiz,
            "target_delimiter": "",
            "doc_to_text": "{{question.strip()}}\n\n",
            "doc_to_choice": "{{choices | map('capitalize') | list}}",
        },
        "gen_number_target": {**sums, "doc_to_target": "n"},
        "gen_choice": {**sums, "doc_to_choice": ["42", "amber", "yes"], "doc_to_target": "{{n % 3}}"},
        "gen_described": {**sums, "description": "Do the sums.\n", "gen_prefix": "So"},
        "gen_regex": {**sums, **filtered({"function": "regex", "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1})},
        "gen_two_filters": {
            **sums,
            "filter_list": [
                {"name": "strict-match", "filter": [{"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"}, first]},
                {
                    "name": "flexible-extract",
                    "filter": [{"function": "regex", "group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"}, first],
                },
            ],
            "metric_list": [{**exact, "ignore_case": True, "regexes_to_ignore": [",", r"\.$"]}],
        },
        "gen_space": {**sums, **filtered({"function": "remove_whitespace"}, name="none")},
        "gen_lower": {**sums, **filtered({"function": "lowercase"})},
        "gen_upper": {**sums, **filtered({"function": "uppercase"})},
        "gen_map": {**sums, **filtered({"function": "map", "mapping_dict": {"42": "amber", "A": "birch"}, "default_value": "7"})},
        "gen_letters": {
            **sums,
            **filtered(
                {
                    "function": "multi_choice_regex",
                    "regex_pattern": r"(\([A-Z]\))",
                    "ignore_case": True,
                    "ignore_punctuation": True,
                    "regexes_to_ignore": ["the"],
                }
            ),
        },
        "gen_span": {**sums, **filtered({"function": "format_span"})},
        "gen_tags": {
            **sums,
            "metric_list": [
                {"metric": Function("utils.pair_metric"), "aggregation": Function("utils.largest_share"), "higher_is_better": True}
            ],
            **filtered({"function": "regex_pos"}),
        },
        "gen_custom": {**sums, **filtered({"function": "custom", "filter_fn": Function("utils.first_word")})},
        "gen_class_filter": {**sums, **filtered({"function": Function("utils.Shorten"), "size": 2})},
        "gen_votes": {
            **sums,
            "repeats": 4,
            "generation_kwargs": {"until": ["\n"], "do_sample": True, "temperature": 0.7},
            **filtered({"function": "majority_vote"}, name="vote"),
        },
        "gen_first_k": {
            **sums,
            "repeats": 5,
            "filter_list": [
                {"name": "first", "filter": [first]},
                {"name": "vote3", "filter": [{"function": "take_first_k", "k": 3}, {"function": "majority_vote"}, first]},
            ],
        },
        "gen_results": {
            **sums,
            "process_results": Function("utils.text_results"),
            "metric_list": [
                {"metric": "length", "aggregation": "mean", "higher_is_better": False},
                {"metric": "starts", "aggregation": "mean", "higher_is_better": True},
                {"metric": "pair", "aggregation": Function("utils.share_of_pairs"), "higher_is_better": True},
            ],
        },
        "gen_bleu": {**lines, "metric_list": corpus},
        "gen_chrf_plus": {**lines, "metric_list": [{"metric": "chrf++", "aggregation": "chrf++", "higher_is_better": True}]},
        "gen_bypass": {**sums, "metric_list": [{"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}]},
        "ll_plain": cloze,
        "ll_shots": {**cloze, "test_split": "validation", "fewshot_split": "validation", "fewshot_config": {"sampler": "first_n"}},
        "ll_acc": {**cloze, "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]},
        "ll_empty": {**cloze, "doc_to_text": ""},
        "roll_plain": texts,
        "roll_one": {**texts, "metric_list": [{"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}]},
    }


def groups() -> dict[str, dict[str, Any]]:
    """Name to group file."""
    both = [{"metric": "acc", "weight_by_size": True}, {"metric": "acc_norm", "weight_by_size": False}]
    return {
        "weighted": {"group": "weighted", "task": ["mc_plain", "mc_same_split", "mc_filtered_docs"], "aggregate_metric_list": both},
        "plainly": {
            "group": "plainly",
            "task": ["mc_plain", "mc_same_split"],
            "aggregate_metric_list": [{"metric": "acc", "weight_by_size": False}],
        },
        "nested": {
            "group": "nested",
            "group_alias": "Nested",
            "task": [
                "ll_acc",
                {"group": "inner", "task": ["mc_plain", "mc_contexts"], "aggregate_metric_list": [{"metric": "acc"}]},
                "plainly",
            ],
            "aggregate_metric_list": [{"metric": "acc", "aggregation": "mean", "weight_by_size": True}],
            "metadata": {"version": 3},
        },
        "filters": {"group": "filters", "task": ["gen_two_filters", "gen_plain"], "aggregate_metric_list": [{"metric": "exact_match"}]},
        "chosen": {
            "group": "chosen",
            "task": ["gen_two_filters"],
            "aggregate_metric_list": [{"metric": "exact_match", "filter_list": "strict-match"}],
        },
        "listing": {"group": "listing", "task": ["mc_plain", "gen_plain"]},
        "overriding": {
            "group": "overriding",
            "target_delimiter": " ~ ",
            "task": ["mc_index", {"task": "mc_letters", "num_fewshot": 1}],
            "aggregate_metric_list": [{"metric": "acc"}],
        },
    }


# How the tasks are run: name to (few-shot, chat, limit, names); None: all tasks, and the groups.
BUNDLES: dict[str, tuple[int | None, str, int | None]] = {
    "default": (None, "off", None),
    "three": (3, "off", None),
    "five_turns": (5, "turns", None),
    "three_one_turn": (3, "one-turn", None),
    "zero_turns": (0, "turns", None),
    "three_limited": (3, "off", 6),
}
WITHOUT_SHOTS = ("mc_contexts", "gen_bleu", "gen_chrf_plus", "roll_plain", "roll_one", "ll_plain", "ll_acc", "ll_empty")


def names(bundle: str) -> list[str]:
    """The tasks of a bundle."""
    shots, _, limit = BUNDLES[bundle]
    every = list(tasks(Path()))
    if limit:
        return ["mc_plain", "mc_same_split", "gen_plain", "gen_votes", "ll_shots"]
    return [name for name in every if not shots or name not in WITHOUT_SHOTS]


def write(folder: Path) -> None:
    """All files, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in data().items():
        (folder / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    place = folder / "tasks"
    place.mkdir(exist_ok=True)
    (place / "utils.py").write_text(UTILS, encoding="utf-8")
    for name, keys in tasks(folder).items():
        (place / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **keys}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for name, keys in groups().items():
        (place / f"_{name}.yaml").write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------- the model


def _hash(*parts: Any) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "replace")).digest()[:6], "big")


def loglikelihood(context: str, continuation: str) -> tuple[float, bool]:
    """In steps of a quarter, so that choices tie now and then."""
    value = _hash("ll", context, continuation)
    return -(value % 60) / 4 - 0.25, value % 3 == 0


def rolling(text: str) -> float:
    """The log-likelihood of a text."""
    return -(_hash("roll", text) % 10_000) / 100 - len(text) * 0.7


def generated(context: str, time: int) -> str:
    """An answer; another each time the same is asked."""
    return ANSWERS[_hash("gen", context, time) % len(ANSWERS)]


def chat_text(messages: list[dict[str, str]], opened: bool) -> str:
    """A chat template: `opened` leaves the last turn, the assistant's, to be gone on with."""
    text = "".join(f"<{one['role']}>{one['content']}</{one['role']}>\n" for one in messages)
    if opened:
        return text.removesuffix("</assistant>\n")
    return text + "<assistant>"
