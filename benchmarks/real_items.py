"""Requests from real items of the shared data, in lm-evaluation-harness's prompts: what the benchmarks of local models ask.

The data is no part of the repository: PROCTOR_SHARED, or ../shared beside it, holds `data/`.
"""

import csv
import json
import os
import re
from pathlib import Path

HERE = Path(__file__).parent

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2] / "shared")) / "data"

Asked = tuple[str, list[str]]
"""A context, and the continuations to be scored after it; for generation the stop texts."""


def mmlu(items: int, subjects: int = 57) -> list[Asked]:
    """Five examples of the subject, then the question; the letters are scored. So many items of each subject."""

    def rows(part: str, subject: str) -> list[list[str]]:
        with (SHARED / "mmlu" / part / f"{subject}_{part}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    def question(row: list[str]) -> str:
        return row[0].strip() + "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", row[1:5], strict=True)) + "\nAnswer:"

    asked: list[Asked] = []
    names = sorted(path.stem.removesuffix("_test") for path in (SHARED / "mmlu" / "test").glob("*_test.csv"))
    for subject in names[:subjects]:
        head = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
        head += "".join(f"{question(row)} {row[5]}\n\n" for row in rows("dev", subject))
        asked += [(head + question(row), [" A", " B", " C", " D"]) for row in rows("test", subject)[:items]]
    return asked


def arc(items: int) -> list[Asked]:
    """25 fixed examples, then the question; the texts of the choices are scored. The last items serve as examples."""
    found = []
    for row in json.loads((SHARED / "llm_adapters_commonsense_math" / "ARC-Challenge_test.json").read_text()):
        text = row["instruction"].removeprefix("Please choose the correct answer to the question:").strip()
        question, _, rest = text.partition("\n\nAnswer1: ")
        parts = re.split(r" Answer\d: ", rest.partition("\n\nAnswer format")[0])
        found.append((f"Question: {question.strip()}\nAnswer:", [f" {p.strip()}" for p in parts], int(row["answer"][-1]) - 1))
    shots = "".join(f"{question}{choices[right]}\n\n" for question, choices, right in found[-25:])
    return [(shots + question, choices) for question, choices, _ in found[: min(items, len(found) - 25)]]


def piqa(items: int) -> list[Asked]:
    """No examples; two whole solutions are scored."""
    rows = [json.loads(line) for line in (SHARED / "piqa" / "valid.jsonl").read_text().splitlines()]
    return [(f"Question: {row['goal']}\nAnswer:", [f" {row['sol1']}", f" {row['sol2']}"]) for row in rows[:items]]


def gsm8k(items: int) -> list[Asked]:
    """Five fixed examples with their reasoning, then the question; the answer is written."""
    folder = SHARED / "gsm8k"
    shots = [json.loads(line) for line in (folder / "train_first500.jsonl").read_text().splitlines()[:5]]
    head = "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in shots)
    test = next(folder.rglob("test.jsonl"))
    rows = [json.loads(line) for line in test.read_text().splitlines()[:items]]
    return [(f"{head}Question: {row['question']}\nAnswer:", ["Question:", "</s>", "<|im_end|>"]) for row in rows]
