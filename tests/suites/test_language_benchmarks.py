"""ARC, WinoGrande, PIQA, OpenBookQA, Social IQa, HellaSwag, TruthfulQA, BoolQ, GLUE and SuperGLUE through their shipped task files.

Real items (PROCTOR_SHARED/data) are brought into the columns of the hub, put, and scored with the right and with a wrong choice the
likeliest. Where none are there, items of our own in the same columns.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from proctor import load_task
from proctor.models.base import plain_text
from proctor.results.summary import Summary
from proctor.types import Likelihood, Response

SHARED = Path(os.environ.get("PROCTOR_SHARED") or Path(__file__).parents[3] / "shared") / "data"
ADAPTERS = "llm_adapters_commonsense_math"
YES_NO = {"true": 1, "false": 0, True: 1, False: 0}


def lines(name):
    return [json.loads(line) for line in (SHARED / name).read_text("utf-8").splitlines() if line]


def adapters(name, word):
    """(question, choices, place of the right one) of LLM-Adapters' files, which hold all of it in one text."""
    for row in json.loads((SHARED / ADAPTERS / f"{name}_test.json").read_text("utf-8")):
        text = row["instruction"].partition(": ")[2]
        text = re.split(rf"\n*\s*{word} format: ", text)[0] if word == "Answer" else text.partition(" Answer format: ")[0]
        question, *choices = re.split(rf"\s*{word}\d+: ", text)
        yield question.strip(), [choice.strip() for choice in choices], int(row["answer"][-1]) - 1


def arc(part):
    for index, (question, choices, right) in enumerate(adapters(f"ARC-{part}", "Answer")):
        labels = "ABCDE"[: len(choices)]
        yield {"id": str(index), "question": question, "choices": {"text": choices, "label": list(labels)}, "answerKey": labels[right]}


def winogrande():
    for sentence, choices, right in adapters("winogrande", "Option"):
        yield {"sentence": sentence, "option1": choices[0], "option2": choices[1], "answer": str(right + 1)}


def openbookqa():
    for index, (question, choices, right) in enumerate(adapters("openbookqa", "Answer")):
        text = {"text": choices, "label": list("ABCD")}
        yield {"id": str(index), "question_stem": question, "choices": text, "answerKey": "ABCD"[right]}


def siqa():
    for question, choices, right in adapters("social_i_qa", "Answer"):
        yield {
            "context": question,
            "question": "",
            **{f"answer{x}": c for x, c in zip("ABC", choices, strict=True)},
            "label": str(right + 1),
        }


def piqa():
    labels = (SHARED / "piqa/valid-labels.lst").read_text().split()
    return [{**row, "label": int(label)} for row, label in zip(lines("piqa/valid.jsonl"), labels, strict=True)]


def truthfulqa():
    for row in csv.DictReader(io.StringIO((SHARED / "truthfulqa/TruthfulQA.csv").read_text("utf-8"))):
        true, false = ([one.strip() for one in row[f"{x} Answers"].split(";") if one.strip()] for x in ("Correct", "Incorrect"))
        mc1 = {"choices": [row["Best Answer"], *false], "labels": [1] + [0] * len(false)}
        yield {
            "question": row["Question"],
            "mc1_targets": mc1,
            "mc2_targets": {"choices": true + false, "labels": [1] * len(true) + [0] * len(false)},
        }


def boolq():
    return [{**row, "answer": YES_NO[row["label"]] == 1} for row in lines("superglue_val/BoolQ/val_first1000.jsonl")]


def labelled(name, names):
    rows = lines(f"superglue_val/{name}/val.jsonl")
    return [{**row, "label": names.index(str(row["label"]).lower())} for row in rows]


def wsc():
    return [{**row, **row["target"], "target": None} for row in labelled("WSC", ["false", "true"])]


def copa():
    return lines("fewglue/COPA/train.jsonl")


def multirc():
    for row in lines("fewglue/MultiRC/train.jsonl"):
        for question in row["passage"]["questions"]:
            for answer in question["answers"]:
                place = {"paragraph": row["idx"], "question": question["idx"], "answer": answer["idx"]}
                text = {"paragraph": row["passage"]["text"], "question": question["question"], "answer": answer["text"]}
                yield {**text, "idx": place, "label": answer["label"]}


def record():
    for row in lines("fewglue/ReCoRD/train.jsonl"):
        text = row["passage"]["text"]
        entities = [text[one["start"] : one["end"] + 1] for one in row["passage"]["entities"]]
        for query in row["qas"]:
            place = {"passage": row["idx"], "query": query["idx"]}
            answers = [one["text"] for one in query["answers"]]
            yield {"passage": text, "query": query["query"], "entities": entities, "answers": answers, "idx": place}


def glue_rte():
    rows = labelled("RTE", ["entailment", "not_entailment"])
    return [{"sentence1": row["premise"], "sentence2": row["hypothesis"], "label": row["label"], "idx": row["idx"]} for row in rows]


# task -> (hub, configuration, split, rows, how many, what the first question holds)
REAL = {
    "arc/easy": (
        "allenai/ai2_arc",
        "ARC-Easy",
        "test",
        lambda: arc("Easy"),
        2376,
        "Question: Which statement best explains why photosynthesis",
    ),
    "arc/challenge": ("allenai/ai2_arc", "ARC-Challenge", "test", lambda: arc("Challenge"), 1172, "\nAnswer:"),
    "winogrande": (
        "allenai/winogrande",
        "winogrande_xl",
        "validation",
        winogrande,
        1267,
        "Sarah was a much better surgeon than Maria so Sarah",
    ),
    "openbookqa": ("allenai/openbookqa", "main", "test", openbookqa, 500, "A person wants to start saving money"),
    "siqa": ("allenai/social_i_qa", "default", "validation", siqa, 1954, "Q: Tracy didn't go home that evening"),
    "piqa": ("baber/piqa", "default", "validation", piqa, 1838, "Question: How do I ready a guinea pig cage"),
    "truthfulqa/mc1": (
        "truthfulqa/truthful_qa",
        "multiple_choice",
        "validation",
        truthfulqa,
        817,
        "Q: What happens to you if you eat watermelon seeds?",
    ),
    "truthfulqa/mc2": ("truthfulqa/truthful_qa", "multiple_choice", "validation", truthfulqa, 817, "A: I have no comment."),
    "boolq": ("google/boolq", "default", "validation", boolq, 1000, "Question: does ethanol take more energy make that produces?\nAnswer:"),
    "superglue_cb": (
        "aps/super_glue",
        "cb",
        "validation",
        lambda: labelled("CB", ["entailment", "contradiction", "neutral"]),
        56,
        "True, False, or Neither?",
    ),
    "superglue_rte": (
        "aps/super_glue",
        "rte",
        "validation",
        lambda: labelled("RTE", ["entailment", "not_entailment"]),
        277,
        "Christopher Reeve had an accident. True or False?",
    ),
    "superglue_wic": (
        "aps/super_glue",
        "wic",
        "validation",
        lambda: labelled("WiC", ["false", "true"]),
        500,
        "Is the word 'class' used in the same way",
    ),
    "superglue_wsc": ("aps/super_glue", "wsc.fixed", "validation", wsc, 104, 'does the pronoun "*him*" refer to "anyone"?'),
    "superglue_copa": ("aps/super_glue", "copa", "validation", copa, 32, "The chandelier shattered on the floor because"),
    "superglue_multirc": ("aps/super_glue", "multirc", "validation", multirc, None, "Is the answer correct?"),
    "superglue_record": ("aps/super_glue", "record", "validation", record, None, "\n- Chelsea come from behind"),
    "glue_rte": ("nyu-mll/glue", "rte", "validation", glue_rte, 277, "Christopher Reeve had an accident. True or False?"),
}
# The same for what is not here: items of our own.
OWN = {
    "hellaswag": (
        "Rowan/hellaswag",
        "default",
        "validation",
        [
            {
                "activity_label": "Baking bread",
                "ctx_a": "[header] How to bake [title] Mix it.",
                "ctx_b": "she",
                "endings": ["kneads the dough [step] well.", "flies off."],
                "label": "0",
                "source_id": "s1",
            },
        ],
        "Baking bread: How to bake. Mix it. She",
    ),
    "glue_cola": (
        "nyu-mll/glue",
        "cola",
        "validation",
        [{"sentence": "The dog barked.", "label": 1}, {"sentence": "Dog the barked.", "label": 0}],
        "does this sentence make sense?".capitalize(),
    ),
    "glue_sst2": (
        "nyu-mll/glue",
        "sst2",
        "validation",
        [{"sentence": "a joy ", "label": 1}, {"sentence": "a bore ", "label": 0}],
        "a joy\nQuestion: Is this sentence positive or negative?",
    ),
    "glue_mrpc": (
        "nyu-mll/glue",
        "mrpc",
        "validation",
        [{"sentence1": "It rains.", "sentence2": "Rain falls.", "label": 1}, {"sentence1": "a", "sentence2": "b", "label": 0}],
        "Sentence 2: Rain falls.",
    ),
    "glue_qqp": (
        "nyu-mll/glue",
        "qqp",
        "validation",
        [{"question1": "Who?", "question2": "Whom?", "label": 0}, {"question1": "a", "question2": "a", "label": 1}],
        "Question 2: Whom?",
    ),
    "glue_qnli": (
        "nyu-mll/glue",
        "qnli",
        "validation",
        [{"question": "Where?", "sentence": "In Rome.", "label": 0}, {"question": "When?", "sentence": "No.", "label": 1}],
        "In Rome.",
    ),
    "glue_wnli": (
        "nyu-mll/glue",
        "wnli",
        "validation",
        [{"sentence1": "It fell.", "sentence2": "The cup fell.", "label": 1}],
        "The cup fell. True or False?",
    ),
    "glue_mnli/matched": (
        "nyu-mll/glue",
        "mnli",
        "validation_matched",
        [{"premise": "It rains.", "hypothesis": "It is wet.", "label": 0}],
        "It is wet. True, False or Neither?",
    ),
    "glue_mnli/mismatched": (
        "nyu-mll/glue",
        "mnli",
        "validation_mismatched",
        [{"premise": "It rains.", "hypothesis": "It is dry.", "label": 2}],
        "It is dry. True, False or Neither?",
    ),
}


def load(task, hub, config, split, rows, folder):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {split: "rows.jsonl", "train": "rows.jsonl"}
    (folder / "map.yaml").write_text(json.dumps({hub: {config: splits} if config != "default" else splits}))
    return load_task(task, data=folder / "map.yaml")


def preferring(task, item, choices):
    """The response of a model to which these choices are the likeliest."""
    request = task.request(item)
    assert isinstance(request, Likelihood)
    numbers = [-1.0 if place in choices else -900.0 for place in range(len(item.choices))]
    if len(request.continuations) == 1:
        return request, Response(loglikelihoods=tuple((number,) for number in numbers))
    rows = (numbers, [-10.0] * len(numbers))[: len(request.prompts)]
    return request, Response(loglikelihoods=tuple(tuple(row) for row in rows))


def right_places(item):
    return set(item.target) if isinstance(item.target, list) else {item.target}


def metrics(task, scores):
    summary = Summary(task, 1.0)
    for item, score in zip(task.items, scores, strict=True):
        summary.add(item, Response(), score)
    return {metric.name: metric.value for metric in summary.result().metrics}


def scored(task, wrong):
    scores = []
    for item in task.items:
        right = right_places(item)
        chosen = {min(set(range(len(item.choices))) - right)} if wrong else right
        scores.append(task.scoring.score(item, *preferring(task, item, chosen)))
    return metrics(task, scores)


def check(task, holds):
    request = task.request(task.items[0])
    assert holds in plain_text(request.prompts[0])[0]
    main = task.scoring.metrics[0].name
    assert scored(task, wrong=False)[main] == pytest.approx(1.0)
    assert scored(task, wrong=True)[main] <= (1e-6 if main != "mcc" else -0.9)
    assert task.changed(shots=2).request(task.items[0]) != request if len(task.items) > 2 else True


@pytest.mark.parametrize("name", REAL)
def test_real_items_are_put_and_scored(name, tmp_path):
    hub, config, split, rows, count, holds = REAL[name]
    if not SHARED.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    task = load(name, hub, config, split, list(rows()), tmp_path)
    if count is not None:
        assert len(task.items) == count
    check(task, holds)


@pytest.mark.parametrize("name", OWN)
def test_items_of_our_own_are_put_and_scored(name, tmp_path):
    hub, config, split, rows, holds = OWN[name]
    check(load(name, hub, config, split, rows, tmp_path), holds)


def test_hellaswags_marks_are_taken_out_of_endings_too(tmp_path):
    hub, config, split, rows, _ = OWN["hellaswag"]
    assert load("hellaswag", hub, config, split, rows, tmp_path).items[0].choices == ("kneads the dough well.", "flies off.")


def test_winogrande_scores_what_follows_the_gap(tmp_path):
    rows = [{"sentence": "Ann met Bea and _ smiled.", "option1": "Ann", "option2": "Bea", "answer": "2"}]
    task = load("winogrande", "allenai/winogrande", "winogrande_xl", "validation", rows, tmp_path)
    request = task.request(task.items[0])
    assert [plain_text(prompt)[0] for prompt in request.prompts] == ["Ann met Bea and Ann", "Ann met Bea and Bea"]
    assert request.continuations == ("smiled.",)


def test_mc2_is_the_share_of_probability_on_true_answers(tmp_path):
    rows = [
        {
            "question": "Why?",
            "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]},
            "mc2_targets": {"choices": list("abcd"), "labels": [1, 1, 0, 0]},
        }
    ]
    task = load("truthfulqa/mc2", "truthfulqa/truthful_qa", "multiple_choice", "validation", rows, tmp_path)
    request = task.request(task.items[0])
    from math import log

    response = Response(loglikelihoods=(tuple(log(p) for p in (0.1, 0.2, 0.3, 0.05)),))
    score = task.scoring.score(task.items[0], request, response)
    assert task.scoring.metrics[0].name == "p_true"
    assert score.values["p_true"] == pytest.approx(0.3 / 0.65)


def test_f1_of_yes_is_scikit_learns(tmp_path):
    rows = [{"sentence1": f"s{n}", "sentence2": "t", "label": int(n % 3 == 0)} for n in range(30)]
    task = load("glue_mrpc", "nyu-mll/glue", "mrpc", "validation", rows, tmp_path)
    said = [int(n % 4 == 0) for n in range(30)]
    scores = [task.scoring.score(item, *preferring(task, item, {one})) for item, one in zip(task.items, said, strict=True)]
    found = metrics(task, scores)
    assert found["f1_yes"] == pytest.approx(f1_score([row["label"] for row in rows], said))
    assert found["macro_f1"] == pytest.approx(f1_score([row["label"] for row in rows], said, average="macro"))


def test_multirc_is_scored_over_answers_and_over_questions(tmp_path):
    """F1a by scikit-learn, EM by hand: question q is right where every answer of it is."""
    truth = [[1, 0, 0], [1, 1], [0, 1], [0, 0]]
    said = [[1, 0, 0], [1, 0], [1, 1], [0, 0]]
    rows = [
        {"paragraph": "p", "question": f"q{q}", "answer": f"a{a}", "idx": {"paragraph": 0, "question": q, "answer": a}, "label": label}
        for q, labels in enumerate(truth)
        for a, label in enumerate(labels)
    ]
    task = load("superglue_multirc", "aps/super_glue", "multirc", "validation", rows, tmp_path)
    flat = [one for answers in said for one in answers]
    scores = [task.scoring.score(item, *preferring(task, item, {one})) for item, one in zip(task.items, flat, strict=True)]
    found = metrics(task, scores)
    assert found["f1a"] == pytest.approx(f1_score([row["label"] for row in rows], flat))
    assert found["em"] == 0.5


def test_stsb_reads_a_number(tmp_path):
    rows = [{"sentence1": f"s{n}", "sentence2": "t", "label": n / 2} for n in range(10)]
    task = load("glue_stsb", "nyu-mll/glue", "stsb", "validation", rows, tmp_path)
    said = [f" {n / 2 + 0.3:.1f}" for n in range(9)] + ["alike"]  # the last is no number and counts as the middle, 2.5
    scores = [task.scoring.score(item, task.request(item), Response(text=text)) for item, text in zip(task.items, said, strict=True)]
    found = metrics(task, scores)
    from scipy.stats import pearsonr

    assert found["pearson"] == pytest.approx(pearsonr([n / 2 for n in range(10)], [n / 2 + 0.3 for n in range(9)] + [2.5]).statistic)


@pytest.mark.model
def test_a_real_model_sits_real_items(tmp_path):
    """SmolLM2-135M over 60 items each: clearly better than chance where it should be."""
    import proctor

    if not SHARED.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    found = {}
    for name in ("arc/easy", "piqa", "superglue_copa"):
        hub, config, split, rows, _, _ = REAL[name]
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir()
        task = load(name, hub, config, split, list(rows()), folder)
        (run,) = proctor.run(task, "smollm2", limit=60, out=tmp_path / "store")
        found[name] = run.manifest.tasks[0].main.value
    assert found["arc/easy"] > 0.35
    assert found["piqa"] > 0.55
    assert found["superglue_copa"] > 0.5
