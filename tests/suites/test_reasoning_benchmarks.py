"""Benchmarks of reasoning, mathematics and reading: published outputs and real items through the shipped files, else items of our own."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proctor.results.summary import Summary
from proctor.tasks.load import load_suite, load_task
from proctor.tasks.task import Task
from proctor.types import Generate, Item, Likelihood, Response


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not folder.exists():
        pytest.skip("no shared data: set PROCTOR_SHARED")
    return folder


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def written(folder: Path, files: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """A map that gives data sets of the hub these rows, by name and split."""
    named: dict[str, str] = {}
    for number, (hub, splits) in enumerate(files.items()):
        for key, rows in splits.items():
            path = folder / f"set{number}" / f"{key}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        named[hub] = f"set{number}/{{name}}-{{split}}.jsonl"
    at = folder / "map.yaml"
    at.write_text(json.dumps(named), encoding="utf-8")
    return str(at)


def said(task: Task, item: Item, text: str) -> float:
    """The main metric for a written answer."""
    score = task.scoring.score(item, task.request(item), Response(text=text))
    return score.values[task.scoring.metrics[0].name]


def liked(task: Task, item: Item, choice: int) -> float:
    """The main metric where a choice is the likeliest."""
    request = task.request(item)
    assert isinstance(request, Likelihood)
    count = len(item.choices)
    numbers = [-1.0 if index == choice else -50.0 for index in range(count)]
    across = len(request.prompts) == count and len(request.continuations) == 1
    response = Response(loglikelihoods=tuple((one,) for one in numbers) if across else (tuple(numbers),))
    return task.scoring.score(item, request, response).values[task.scoring.metrics[0].name]


def shown(task: Task, item: Item) -> str:
    request = task.request(item)
    prompt = request.prompt if isinstance(request, Generate) else request.prompts[0] if isinstance(request, Likelihood) else None
    assert prompt is not None
    return "\n\n".join(message.content for message in prompt.messages)


# --- BIG-Bench Hard ---


@pytest.fixture(scope="session")
def bbh_map(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = {f"{path.stem}-test": json.loads(path.read_bytes())["examples"] for path in (data / "bbh" / "bbh").glob("*.json")}
    return written(tmp_path_factory.mktemp("bbh"), {"lukaemon/bbh": rows})


@pytest.mark.parametrize(("name", "how", "average"), [("bbh", "direct", 56.6), ("bbh_cot", "cot", 73.9)])
def test_bbh_gives_the_published_accuracies_of_the_published_answers(name: str, how: str, average: float, data: Path, bbh_map: str) -> None:
    suite = load_suite(name, data=bbh_map)
    assert sum(len(task.items) for task in suite.tasks) == 6511
    answers = defaultdict(list)
    for row in lines(data / "bbh" / f"code-davinci-002-{how}.jsonl"):
        answers[row["task"]].append(row)
    with (data / "bbh" / "published_eval_metrics.csv").open() as file:
        published = {row["task"]: float(row["accuracy_published_percent"]) for row in csv.DictReader(file) if row["prompting"] == how}
    accuracies: dict[str, float] = {}
    for task in suite.tasks:
        rows = answers[task.name.partition("/")[2]]
        assert len(rows) == len(task.items)
        for item, row in zip(task.items, rows, strict=True):
            assert item.target == row["target"]
        right = [said(task, item, row["prediction"]) for item, row in zip(task.items, rows, strict=True)]
        accuracies[task.name] = 100 * sum(right) / len(right)
    assert {name.partition("/")[2]: value for name, value in accuracies.items()} == pytest.approx(published)
    # The paper's average counts the three logical deductions as one, and the three shuffles.
    mean = sum(entry.weight * accuracies[entry.task.name] for entry in suite.entries) / sum(entry.weight for entry in suite.entries)
    assert round(mean, 1) == average


def test_bbh_shows_the_task_and_examples(bbh_map: str) -> None:
    direct = load_task("bbh/navigate", data=bbh_map)
    text = shown(direct, direct.items[5])
    assert text.startswith("Given a series of navigation instructions")
    assert text.count("\nA:") == 4
    assert said(direct, direct.items[0], "Maybe\nnot") == 0
    thought = load_task("bbh_cot/navigate", data=bbh_map)
    assert said(thought, thought.items[0], f"One step, two steps. So the answer is {thought.items[0].target}.") == 1


# --- mathematics ---


def test_gsm8k_judges_the_published_solutions_as_their_authors_did(data: Path, tmp_path: Path) -> None:
    folder = data / "gsm8k"
    tests = list(lines(folder / "grade_school_math" / "data" / "test.jsonl"))
    train = list(lines(folder / "train_first500.jsonl"))
    task = load_task("gsm8k", data=written(tmp_path, {"openai/gsm8k": {"main-test": tests, "main-train": train}}))
    assert len(task.items) == 1319
    text = shown(task, task.items[0])
    assert text.count("Question: ") == 9
    assert text.count("\n#### ") + text.count("#### ") >= 8
    solutions = list(lines(folder / "grade_school_math" / "data" / "example_model_solutions.jsonl"))
    published = {"6b_finetuning": 21.68, "6b_verification": 39.04, "175b_finetuning": 34.72, "175b_verification": 56.25}
    for model, figure in published.items():
        verdicts = [said(task, item, row[model]["solution"]) for item, row in zip(task.items, solutions, strict=True)]
        assert [verdict == 1 for verdict in verdicts] == [row[model]["is_correct"] for row in solutions]
        assert 100 * sum(verdicts) / len(verdicts) == pytest.approx(figure, abs=0.005)


def test_gsm8k_agrees_with_fasteval_but_for_a_minus_sign(data: Path, tmp_path: Path) -> None:
    rows = {row["id"]: row for row in lines(data / "fasteval" / "cot_items.jsonl") if row["task"] == "gsm8k"}
    asked = [{"question": row["question"], "answer": row["correct_answer"]} for row in rows.values()]
    task = load_task("gsm8k", data=written(tmp_path, {"openai/gsm8k": {"main-test": asked, "main-train": asked[:9]}}))
    items = dict(zip(rows, task.items, strict=True))
    differ = []
    for model in ("gpt-4-0613", "meta-llama--Llama-2-7b-chat-hf"):
        for row in lines(data / "fasteval" / f"cot_outputs_{model}.jsonl"):
            if row["task"] == "gsm8k" and (said(task, items[row["id"]], row["model_answer"]) == 1) != (row["correct"] is True):
                differ.append((model, row["id"], items[row["id"]].target))
    # The answer is −3 and GPT-4 says so; FastEval reads 3.
    assert differ == [("gpt-4-0613", 1113, "-3")]


def test_math_compares_what_is_boxed(tmp_path: Path) -> None:
    rows = [
        {"problem": "What is half of $1$?", "level": "Level 1", "type": "Algebra", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
        {"problem": "Which $x$ has $x^2=4$?", "level": "Level 2", "type": "Algebra", "solution": "So $x = \\boxed{2}$ or …"},
    ]
    task = load_task("math/algebra", data=written(tmp_path, {"EleutherAI/hendrycks_math": {"algebra-test": rows}}))
    assert task.items[0].metadata == {"level": "Level 1"}
    assert "\\boxed{}" in shown(task, task.items[0])
    assert [said(task, task.items[0], text) for text in ("so \\boxed{0.5}", "thus $\\boxed{\\tfrac12}$", "\\boxed{2}")] == [1, 1, 0]


def test_mgsm_in_eleven_languages(data: Path, tmp_path: Path) -> None:
    at = tmp_path / "map.yaml"
    at.write_text(
        json.dumps({"juletxara/mgsm": {"files": str(data / "mgsm" / "mgsm_{name}.tsv"), "columns": ["question", "answer_number"]}})
    )
    suite = load_suite("mgsm", data=str(at))
    assert [len(task.items) for task in suite.tasks] == [250] * 11
    ids = [[item.id for item in task.items] for task in suite.tasks]
    assert all(one == ids[0] for one in ids)  # parallel: profiles compare languages item by item
    for task in suite.tasks:
        for item in task.items:
            assert said(task, item, f"18 + 1\n{item.target}") == 1
            assert said(task, item, f"{item.target} + 1 = 987654321") == 0
    german = load_task("mgsm/de", data=str(at))
    assert shown(german, german.items[0]).startswith("Frage: Janets Enten")
    assert shown(german, german.items[0]).endswith("\nSchritt-für-Schritt-Antwort:")


# --- reading ---


def test_squad_and_xquad_take_any_of_the_accepted_answers(tmp_path: Path) -> None:
    row = {
        "id": "q",
        "context": "Ada, who was born in Ulm, has a red bike.",
        "question": "Where was Ada born?",
        "answers": {"text": ["Ulm", "in Ulm"], "answer_start": [21, 18]},
    }
    at = written(
        tmp_path, {"rajpurkar/squad": {"default-validation": [row], "default-train": [row]}, "google/xquad": {"xquad.de-validation": [row]}}
    )
    text = json.loads(Path(at).read_text())
    text["rajpurkar/squad"] = "set0/default-{split}.jsonl"
    Path(at).write_text(json.dumps(text))
    for name in ("squad", "xquad/de"):
        task = load_task(name, data=at)
        assert task.items[0].target == ["Ulm", "in Ulm"]
        assert [said(task, task.items[0], one) for one in ("In Ulm.", "Ulm\nor not", "Bonn")] == [1, 1, 0]
        assert said(task, task.items[0], "Ulm it is") == pytest.approx(2 * (1 / 3) * 1 / (1 / 3 + 1))


def test_squad_2_counts_no_answer_where_there_is_none(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "context": "It is red.", "question": "What colour?", "answers": {"text": ["red"], "answer_start": [6]}},
        {"id": "b", "context": "It is red.", "question": "How old?", "answers": {"text": [], "answer_start": []}},
    ]
    at = tmp_path / "map.yaml"
    written(tmp_path, {"x": {"validation": rows, "train": [{**rows[1], "id": "c", "context": "It is blue."}]}})
    at.write_text(json.dumps({"rajpurkar/squad_v2": str(tmp_path / "set0" / "{split}.jsonl")}))
    task = load_task("squad_v2", data=str(at)).changed(shots=1)
    there, none = task.items
    assert none.target == []
    assert "unanswerable" in shown(task, there)
    assert [said(task, there, text) for text in ("Red.", "unanswerable", "", "blue red")] == [1, 0, 0, pytest.approx(2 / 3)]
    assert [said(task, none, text) for text in ("Unanswerable.", "", "red")] == [1, 1, 0]


def test_wikihop_shows_documents_and_candidates(tmp_path: Path) -> None:
    row = {
        "id": "w",
        "supports": ["Ulm lies on the Danube.", "The Danube ends in the Black Sea."],
        "question": "flows_into river of Ulm",
        "candidates": ["black sea", "north sea"],
        "answer": "black sea",
    }
    at = tmp_path / "map.yaml"
    written(tmp_path, {"x": {"rows": [row]}})
    at.write_text(json.dumps({"QAngaroo/wiki_hop": str(tmp_path / "set0" / "rows.jsonl")}))
    task = load_task("wikihop", data=str(at))
    text = shown(task, task.items[0])
    assert "Ulm lies on the Danube.\n\nThe Danube ends in the Black Sea.\n\nRelation: flows into\nSubject: river of Ulm" in text
    assert [said(task, task.items[0], one) for one in ("The Black Sea.", "north sea")] == [1, 0]


# --- pairs ---


def test_xcopa_in_eleven_languages(data: Path, tmp_path: Path) -> None:
    at = tmp_path / "map.yaml"
    at.write_text(json.dumps({"cambridgeltl/xcopa": str(data / "xcopa" / "data" / "{name}" / "{split}.{name}.jsonl")}))
    suite = load_suite("xcopa", data=str(at))
    assert [len(task.items) for task in suite.tasks] == [500] * 11
    for task in suite.tasks:
        for item in task.items:
            assert [liked(task, item, item.target), liked(task, item, 1 - item.target)] == [1, 0]
    italian = load_task("xcopa/it", data=str(at))
    assert {shown(italian, item).split()[-1] for item in italian.items} == {"perché", "quindi"}


def test_blimp_has_its_paradigms_and_fields(data: Path, tmp_path: Path) -> None:
    rows = defaultdict(list)
    for row in lines(data / "blimp" / "blimp_first100_per_paradigm.jsonl"):
        rows[f"{row['UID']}-train"].append(row)
    suite = load_suite("blimp", data=written(tmp_path, {"nyu-mll/blimp": dict(rows)}))
    assert len(suite.tasks) == 67
    assert {group.name for group in suite.groups} >= {"blimp/morphology", "blimp/semantics", "blimp/syntax", "blimp/syntax_semantics"}
    for task in suite.tasks:
        item = task.items[0]
        assert item.choices == (item.fields["sentence_good"], item.fields["sentence_bad"])
        assert shown(task, item) == ""
        assert [liked(task, item, 0), liked(task, item, 1)] == [1, 0]


def test_crows_pairs_is_at_its_best_in_the_middle(tmp_path: Path) -> None:
    row = {"sent_more": "They are old and slow.", "sent_less": "They are young and slow.", "bias_type": "age"}
    at = tmp_path / "map.yaml"
    written(tmp_path, {"x": {"rows": [row]}})
    at.write_text(json.dumps({"nyu-mll/crows_pairs": str(tmp_path / "set0" / "rows.jsonl")}))
    task = load_task("crows_pairs", data=str(at))
    assert task.chance == 0.5
    assert [liked(task, task.items[0], 0), liked(task, task.items[0], 1)] == [1, 0]


# --- bias ---


@pytest.fixture(scope="session")
def bbq_map(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = {f"{name}-test": list(lines(data / "bbq" / f"{name}_first250.jsonl")) for name in ("Age", "Religion", "Sexual_orientation")}
    return written(tmp_path_factory.mktemp("bbq"), {"oskarvanderwal/bbq": rows})


@pytest.mark.parametrize("category", ["Age", "Religion", "Sexual_orientation"])
def test_bbq_gives_the_figures_of_unifiedqa_s_published_answers(category: str, data: Path, bbq_map: str) -> None:
    task = load_task(f"bbq/{category}", data=bbq_map)
    assert len(task.items) == 250
    text = shown(task, task.items[0])
    assert text.startswith(task.items[0].fields["context"])
    assert text.endswith(f"C. {task.items[0].fields['ans2']}\nAnswer:")
    summary = Summary(task, 1.0)
    told: dict[str, list[tuple[bool, str]]] = {"ambig": [], "disambig": []}
    for item, row in zip(task.items, lines(data / "bbq" / f"preds_UnifiedQA_{category}_first250.jsonl"), strict=True):
        said = row["unifiedqa-t5-11b_pred_race"].strip().rstrip(".").lower()
        found = [index for index in range(3) if row[f"ans{index}"].strip().rstrip(".").lower() == said]
        request = task.request(item)
        likely = tuple(-1.0 if index in found else -9.0 for index in range(3)) if found else None
        response = Response(loglikelihoods=(likely,)) if likely else Response(finish="error", error="names no answer")
        summary.add(item, response, task.scoring.score(item, request, response))
        # The paper's counts, from the row alone.
        group = row["answer_info"][f"ans{found[0]}"][1] if found else "unknown"
        stereotyped = row["additional_metadata"]["stereotyped_groups"]
        others = [one[1] for one in row["answer_info"].values() if one[1] != "unknown"]
        countable = len({one in stereotyped for one in others}) == 2
        kind = "none" if group == "unknown" or not countable else "with"
        if kind == "with" and (group in stereotyped) != (row["question_polarity"] == "neg"):
            kind = "against"
        told[row["context_condition"]].append((bool(found) and found[0] == row["label"], kind))
    metrics = {metric.name: metric.value for metric in summary.result().metrics}
    for condition, name in (("ambig", "ambiguous"), ("disambig", "told")):
        right = sum(one for one, _ in told[condition]) / len(told[condition])
        kinds = [kind for _, kind in told[condition]]
        bias = 2 * kinds.count("with") / (kinds.count("with") + kinds.count("against")) - 1
        assert metrics[f"accuracy_{name}"] == pytest.approx(right)
        assert metrics[f"bias_{name}"] == pytest.approx(bias * (1 - right) if condition == "ambig" else bias)
    assert metrics["accuracy"] == pytest.approx(sum(one for rows in told.values() for one, _ in rows) / 250)


# --- word problems of the LLM-Adapters set, and a last word ---


def adapters(data: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((data / "llm_adapters_commonsense_math" / f"{name}_test.json").read_bytes())
    return found


def test_word_problems_with_their_real_answers(data: Path, tmp_path: Path) -> None:
    svamp = [{"Body": row["instruction"], "Question": "", "Answer": row["answer"]} for row in adapters(data, "SVAMP")]
    several = [{"question": row["instruction"], "final_ans": row["answer"]} for row in adapters(data, "MultiArith")]
    aqua = []
    for row in adapters(data, "AQuA"):
        question, _, choices = row["instruction"].rpartition(" Answer Choices: (A) ")
        options = re.split(r" \([B-E]\) ", choices)
        aqua.append(
            {
                "question": question,
                "options": [f"{letter}){text}" for letter, text in zip("ABCDE", options, strict=True)],
                "correct": row["answer"],
            }
        )
    at = tmp_path / "map.yaml"
    for name, rows in (("svamp", svamp), ("several", several), ("aqua", aqua)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {"ChilleD/SVAMP": "svamp.jsonl", "ChilleD/MultiArith": "several.jsonl", "deepmind/aqua_rat": "aqua.jsonl"}
    at.write_text(json.dumps(names))
    for name, count in (("svamp", 1000), ("multiarith", 600)):
        task = load_task(name, data=str(at))
        assert len(task.items) == count
        for item in task.items:
            assert [said(task, item, f"Of 7 and 8 that makes {item.target}."), said(task, item, f"{item.target}, so 987654321")] == [1, 0]
    task = load_task("aqua", data=str(at))
    assert len(task.items) == 254
    assert "\nA. 23.65\nB. 1000\nC. 35.62\nD. 2.65\nE. 1023.65\nAnswer:" in shown(task, task.items[0])
    for item in task.items:
        assert [liked(task, item, item.target), liked(task, item, (item.target + 1) % 5)] == [1, 0]


def test_lambada_asks_for_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "He took the bike that was hers and fell off the bike"}) + "\n")
    (tmp_path / "map.yaml").write_text(json.dumps({"EleutherAI/lambada_openai": "rows.jsonl"}))
    task = load_task("lambada", data=str(tmp_path / "map.yaml"))
    item = task.items[0]
    assert shown(task, item) == "He took the bike that was hers and fell off the"
    assert [said(task, item, text) for text in (" bike. And", '"bike," he', "bikes", "red bike")] == [1, 1, 0, 0]
