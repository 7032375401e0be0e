"""Variants of real MMLU items, by the shipped benchmark: whatever is moved, what is right stays right. Skipped without the shared data."""

import os
import re
from pathlib import Path

import pytest

from proctor import load_suite

FOLDER = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3].parent / "shared")) / "data" / "mmlu"
SUBJECTS = ("moral_disputes", "college_computer_science", "world_religions")  # with "all of the above" and "both A and B"
MAP = """
cais/mmlu:
  files: {folder}/{{split}}/{{name}}_{{split}}.csv
  columns: [question, A, B, C, D, key]
  rows: {{question: question, choices: [A, B, C, D], answer: "{{{{ 'ABCD'.index(key) }}}}"}}
"""

XCOPA = FOLDER.parent / "xcopa" / "data"
PARALLEL = """
task: copa
languages: it
data: {folder}/it/test.it.jsonl
item:
  id: idx
  choices: ["{{{{ choice1 }}}}", "{{{{ choice2 }}}}"]
  target: label
  target_as: index
prompt: |-
  {{{{ premise }}}}

  {{{{ options }}}}

  {{{{ question }}}}?
response: choice
variants:
  - {{name: vi, data: "{folder}/vi/test.vi.jsonl", languages: vi}}
  - {{name: et_turned, data: "{folder}/et/test.et.jsonl", languages: et, order: reverse}}
"""


@pytest.fixture
def suite(tmp_path):
    if not FOLDER.exists():
        pytest.skip(f"needs the real items of MMLU in {FOLDER} (PROCTOR_SHARED)")
    path = tmp_path / "map.yaml"
    path.write_text(MAP.format(folder=FOLDER))
    return lambda names: load_suite([f"mmlu/{subject}@{names}" for subject in SUBJECTS], data=path)


def test_orders_letters_and_distractors_keep_what_is_right(suite):
    tasks = suite("option_order,rotation_1,letters_digits,distractor_added,distractor_removed").tasks
    originals = {task.name: task for task in tasks if not task.variant}
    assert sum(len(task.items) for task in originals.values()) == 617
    for task in tasks:
        original = originals[task.spec.variant_of or task.name]
        for item, before in zip(task.items, original.items, strict=True):
            assert item.id == before.id
            right, was = item.choices[item.target], before.choices[before.target]
            assert right == was or re.sub(r"\b[A-D]\b", "", was) == re.sub(r"\b[1-4]\b", "", right)  # "both A and B" → "both 1 and 2"
            shown = task.prompter.question(item)
            assert [shown.index(f"\n{letter}. ") for letter in task.prompter.letters[: len(item.choices)]]
        if task.variant.get("order") or task.variant.get("rotate"):
            assert task.variant["unchanged"] < 0.07 * len(task.items)


def test_options_that_speak_of_others_stay(suite):
    tasks = suite("option_order,distractor_added").tasks
    originals = {task.name: task for task in tasks if not task.variant}
    met = 0
    for task in tasks:
        if not task.variant:
            continue
        for item, before in zip(task.items, originals[task.spec.variant_of].items, strict=True):
            for place, choice in enumerate(before.choices):
                if re.search(r"of the above|\bboth [A-D] and [A-D]", choice, re.IGNORECASE):
                    met += 1
                    assert item.choices[place] == choice
    assert met >= 10


def test_typos_change_only_words_of_the_question(suite):
    changed = 0
    tasks = suite("typos").tasks
    for task, original in zip(tasks[1::2], tasks[::2], strict=True):
        for item, before in zip(task.items, original.items, strict=True):
            assert (item.choices, item.target) == (before.choices, before.target)
            text, was = item.fields["question"], before.fields["question"]
            assert len(text) == len(was)
            assert [c for c in text if not c.isalpha()] == [c for c in was if not c.isalpha()]
            changed += text != was
    assert 0.5 < changed / 617 < 1


def test_translations_pair_by_their_ids(tmp_path):
    if not XCOPA.exists():
        pytest.skip(f"needs the real items of XCOPA in {XCOPA} (PROCTOR_SHARED)")
    (tmp_path / "copa.yaml").write_text(PARALLEL.format(folder=XCOPA))
    italian, vietnamese, estonian = load_suite(f"{tmp_path / 'copa.yaml'}@declared").tasks
    assert [task.spec.languages for task in (italian, vietnamese, estonian)] == [["it"], ["vi"], ["et"]]
    assert len(italian.items) == 500
    same = 0
    for one, two, three in zip(italian.items, vietnamese.items, estonian.items, strict=True):
        assert one.id == two.id == three.id
        assert three.target == 1 - (three.fields["label"] if isinstance(three.fields["label"], int) else int(three.fields["label"]))
        assert three.choices == (three.fields["choice1"], three.fields["choice2"])
        same += one.target == two.target
    assert same > 490  # the translators kept the labels, but for a few that the data set marks as changed
