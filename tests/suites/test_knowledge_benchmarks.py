"""Knowledge examinations: real items through the shipped task files, put and scored; answers of models that the authors scored.

The items lie in PROCTOR_SHARED/data, which is not part of the project; what is not there is skipped.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import os
from pathlib import Path

import pytest

from proctor import load_suite, load_task
from proctor.scoring.letters import choice_index
from proctor.tasks.load import benchmark_files
from proctor.types import Generate, Response

SHARED = Path(os.environ.get("PROCTOR_SHARED") or Path(__file__).parents[3] / "shared") / "data"

MAP = """
cais/mmlu:
  files: {data}/mmlu/{{split}}/{{name}}_{{split}}.csv
  columns: [question, A, B, C, D, answer]
  rows: {{question: question, subject: name, choices: [A, B, C, D], answer: "{{{{ 'ABCD'.index(answer) }}}}"}}
TIGER-Lab/MMLU-Pro: {{test: "{data}/mmlu_pro/items.jsonl", validation: "{work}/validation.jsonl"}}
edinburgh-dawg/mmlu-redux-2.0: {work}/redux/{{name}}.jsonl
haonan-li/cmmlu: "{data}/cmmlu__CC-BY-NC-SA/{{split}}/{{name}}.csv"
"""
AGIEVAL = """
hails/agieval-{exam}:
  files: {data}/agieval/{exam}.jsonl
  rows:
    query: "{{{{ passage or '' }}}}{query}"
    choices: options
    gold: "{{{{ label | replace(' ', '') | list if label is string else label }}}}"
"""
ENGLISH = (
    "Q: {{{{ question }}}} Answer Choices: {{{{ options | join(' ') }}}}\\nA: Among A through "
    "{{{{ 'ABCDE'[(options | length) - 1] }}}}, the answer is"
)
CHINESE = "问题：{{{{ question }}}} 选项：{{{{ options | join(' ') }}}}\\n答案：从A到{{{{ 'ABCDE'[(options | length) - 1] }}}}, 我们应选择"


def needs(folder: str) -> Path:
    path = SHARED / folder
    if not path.exists():
        pytest.skip(f"{folder} is not among the shared data")
    return path


@pytest.fixture(scope="module")
def data_map(tmp_path_factory):
    """The map of what is there."""
    work = tmp_path_factory.mktemp("data")
    (work / "map.yaml").write_text(MAP.format(data=SHARED, work=work))
    example = {"question": "1 + 1?", "options": ["2", "3"], "answer": "A", "answer_index": 0, "src": "x", "question_id": 0}
    with (work / "validation.jsonl").open("w") as file:
        for category in ("math", "law"):
            for number in range(5):
                said = f"A: Let's think step by step. {number}. The answer is (A)."
                own = {"question_id": f"{category}{number}", "category": category, "question": f"{category} {number}?"}
                file.write(json.dumps({**example, **own, "cot_content": said}) + "\n")
    return work / "map.yaml"


def right_and_wrong(task, *, written: str = "{}") -> None:
    """Every item of a sample can be put; the right choice is scored 1 and every other 0."""
    for item in task.limited(20).items:
        request = task.request(item)
        right = item.target if isinstance(item.target, int) else item.target[0]
        for index, _ in enumerate(item.choices):
            if isinstance(request, Generate):
                response = Response(text=written.format("ABCDEFGHIJ"[index]))
            else:
                response = Response(loglikelihoods=(tuple(0.0 if i == index else -9.0 for i in range(len(item.choices))),))
            assert task.scoring.score(item, request, response).values["acc"] == float(index == right), item.id


def test_every_shipped_file_is_read_and_says_what_must_be_said():
    for name, file in benchmark_files():
        for spec in file.specs:
            assert spec.licence, name
            assert spec.citation or spec.description, name
            assert spec.languages, name
            assert name == file.name or name.split("_")[0] in file.name.replace("/", "_"), name


def test_mmlu(data_map):
    needs("mmlu")
    suite = load_suite("mmlu", data=data_map)
    assert len(suite.tasks) == 57
    assert sum(len(task.items) for task in suite.tasks) == 14_042
    sizes = {group.name: len(group.tasks) for group in suite.groups}
    assert sizes == {"mmlu/stem": 18, "mmlu/humanities": 13, "mmlu/social_sciences": 12, "mmlu/other": 14, "mmlu": 57}  # as the authors'
    assert sum(entry.weight for entry in suite.entries) == pytest.approx(1)
    for task in suite.tasks[::9]:
        right_and_wrong(task)
    task = load_task("mmlu/high_school_us_history", data=data_map)
    prompt = task.request(task.items[0]).prompts[0]
    system, *turns = prompt.messages
    assert system.content == "The following are multiple choice questions (with answers) about high school us history."
    assert [turn.role for turn in turns] == ["user", "assistant"] * 5 + ["user"]
    with (SHARED / "mmlu/dev/high_school_us_history_dev.csv").open(newline="") as file:
        first = next(csv.reader(file))
    assert turns[0].content == f"{first[0].strip()}\nA. {first[1]}\nB. {first[2]}\nC. {first[3]}\nD. {first[4]}\nAnswer:"
    assert turns[1].content == first[5]


def test_mmlu_pro_prompt_and_items(data_map):
    needs("mmlu_pro")
    task = load_task("mmlu-pro/math", data=data_map)
    assert len(task.items) == 1351
    system, *turns = task.request(task.items[0]).prompt.messages
    assert system.content.startswith("The following are multiple choice questions (with answers) about math. Think step by step")
    assert len(turns) == 11
    assert turns[0].content == "Question:\nmath 0?\nOptions:\nA. 2\nB. 3\nAnswer: Let's think step by step."
    assert turns[1].content == "0. The answer is (A)."
    right_and_wrong(task, written="so the answer is ({}).")
    assert min(len(item.choices) for item in load_task("mmlu-pro/law", data=data_map).items) == 3


def test_mmlu_pro_letters_are_those_the_authors_read(data_map):
    """350 raw outputs each, beside the letter the authors read out of them (`pred`).

    The runs of the two Llamas were read before the authors' third rule, the last letter that stands alone, came to the other two: with it
    some of their unread answers get a letter. All others agree.
    """
    folder = needs("mmlu_pro")
    tasks = {task.spec.each["category"]: task for task in _categories(data_map)}
    differing = {model: _unlike(folder, model, tasks) for model in ("Llama-2-7b-hf", "Meta-Llama-3-70B", "gemini-1.5-flash-002")}
    assert differing == {"Llama-2-7b-hf": 9, "Meta-Llama-3-70B": 6, "gemini-1.5-flash-002": 0}


def _unlike(folder, model, tasks) -> int:
    """How many answers the authors left unread have a letter here; any other difference fails."""
    differing = 0
    for line in (folder / f"outputs_{model}.jsonl").read_text().splitlines():
        row = json.loads(line)
        task = tasks[row["category"]]
        item = task.by_id[str(row["question_id"])]
        score = task.scoring.score(item, Generate(None), Response(text=row["output"], finish="stop"))
        if score.answer != row["pred"]:
            assert row["pred"] is None, (row["question_id"], score.answer)
            differing += 1
        if score.answer is None:
            assert score.values == {"acc": 0, "acc_guessed": pytest.approx(1 / len(item.choices))}
        else:
            assert score.values["acc"] == float(choice_index(score.answer, len(item.choices)) == item.target)
    return differing


def _categories(data_map):
    work = data_map.parent
    text = (Path(load_task.__code__.co_filename).parents[1] / "suites/benchmarks/mmlu-pro.yaml").read_text()
    (work / "zero.yaml").write_text(text.replace("shots: validation", "").replace("shots: 5", "shots: 0"))
    for task in load_suite(work / "zero.yaml", data=data_map).tasks:
        task.by_id = {item.id: item for item in task.items}
        yield task


def test_mmlu_redux_with_and_without_the_flagged_items(data_map):
    folder = needs("mmlu_redux/items")
    flagged = total = 0
    (data_map.parent / "redux").mkdir(exist_ok=True)
    for path in folder.glob("*.csv"):
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
        delimiter = ";" if text.splitlines()[0].count(";") > 2 else ","
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        name = path.stem.removeprefix("mmlu_")
        with (data_map.parent / f"redux/{name}.jsonl").open("w") as file:
            for row in rows:
                label = (row["error_type"] or "ok").strip().lower().replace(" ", "_")
                row |= {"choices": ast.literal_eval(row["choices"]), "answer": int(row["answer"]), "error_type": label}
                file.write(json.dumps({key: value for key, value in row.items() if key}) + "\n")
                flagged += label != "ok"
                total += 1
    assert (total, flagged) == (5700, 370)
    everything, faultless = load_suite("mmlu-redux", data=data_map), load_suite("mmlu-redux-ok", data=data_map)
    assert sum(len(task.items) for task in everything.tasks) == total
    assert sum(len(task.items) for task in faultless.tasks) == total - flagged
    assert {item.metadata["error_type"] for task in faultless.tasks for item in task.items} == {"ok"}
    assert len({item.metadata["error_type"] for task in everything.tasks for item in task.items}) > 4
    right_and_wrong(everything.tasks[0])


def test_cmmlu(data_map):
    needs("cmmlu__CC-BY-NC-SA")
    suite = load_suite("cmmlu", data=data_map)
    assert len(suite.tasks) == 67
    assert sum(len(task.items) for task in suite.tasks) == 11_582
    sizes = {group.name.removeprefix("cmmlu/"): len(group.tasks) for group in suite.groups}
    assert sizes == {"stem": 17, "humanities": 13, "social_sciences": 22, "other": 15, "china_specific": 15, "cmmlu": 67}
    for task in suite.tasks[::6]:
        right_and_wrong(task)
    task = load_task("cmmlu/agronomy", data=data_map)
    prompt = task.request(task.items[0]).prompts[0]
    assert prompt.messages[0].content == "以下是关于农学的单项选择题，请直接给出正确答案的选项。"
    assert prompt.messages[-1].content.startswith("题目：")
    assert prompt.messages[-1].content.endswith("\n答案是：")
    assert len(prompt.messages) == 12


def test_agieval(data_map, tmp_path):
    folder = needs("agieval")
    english = ["aqua-rat", "lsat-ar", "lsat-lr", "sat-en-without-passage", "sat-math"]
    chinese = [f"gaokao-{exam}" for exam in ("biology", "chemistry", "geography", "history", "mathqa", "physics")]
    entries = [AGIEVAL.format(exam=exam, data=SHARED, query=ENGLISH.format()) for exam in english]
    entries += [AGIEVAL.format(exam=exam, data=SHARED, query=CHINESE.format()) for exam in chinese]
    cloze = f"\nhails/agieval-gaokao-mathcloze:\n  files: {folder}/gaokao-mathcloze.jsonl\n"
    cloze += '  rows: {query: "问题：{{ question }}\\n答案：", answer: answer}\n'
    (tmp_path / "map.yaml").write_text("".join(entries) + cloze)
    for exam in (*english, *chinese[:-1]):
        task = load_task(f"agieval_choice/{exam}", data=tmp_path / "map.yaml")
        right_and_wrong(task)
    text = load_task("agieval_choice/sat-math", data=tmp_path / "map.yaml")
    assert text.request(text.items[0]).prompts[0].messages[0].content.endswith("(D)10\nA: Among A through D, the answer is")
    several = load_task("agieval_several/gaokao-physics", data=tmp_path / "map.yaml")
    item = several.items[0]
    assert several.scoring.score(item, Generate(None), Response(text="C")).values == {"acc": 1, "f1": 1}
    assert several.scoring.score(item, Generate(None), Response(text="BC")).values == {"acc": 0, "f1": pytest.approx(2 / 3)}
    blank = load_task("agieval_cloze/gaokao-mathcloze", data=tmp_path / "map.yaml")
    assert blank.scoring.score(blank.items[0], Generate(None), Response(text=f"{blank.items[0].target}")).values == {"math": 1}
    assert blank.scoring.score(blank.items[0], Generate(None), Response(text="17")).values == {"math": 0}


def test_mmcu_counts_an_answer_as_its_authors_do(tmp_path):
    """Letters of seven models over 25 subjects (no question texts): right is who names every right letter and no other."""
    folder = needs("mmcu_results__CC-BY-NC-SA")
    (tmp_path / "map.yaml").write_text("Felixgithub2017/MMCU: '{file}.csv'\n")
    (tmp_path / "法律.csv").write_text("question,A,B,C,D,answer\nq,a,b,c,d,ABD\n")
    task = load_task("mmcu/law-law", data=tmp_path / "map.yaml")
    assert task.request(task.items[0]).prompt.messages[-1].content == "q\nA. a\nB. b\nC. c\nD. d\n正确答案的序号是："
    for text, acc in (("A、B、D。", 1), ("ABD", 1), ("答案是 A,B;D", 1), ("AB", 0), ("ABCD", 0), ("无", 0)):
        assert task.scoring.score(task.items[0], Generate(None), Response(text=text)).values["acc"] == acc, text
    suite_of = {group.name for group in _mmcu_groups()}
    assert {"mmcu/medicine", "mmcu/law", "mmcu/education", "mmcu/psychology", "mmcu"} == suite_of
    scorer_item = task.items[0]
    unlike = 0
    with (folder / "predictions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            item = type(scorer_item)(row["index"], {}, ("a", "b", "c", "d"), row["gold"])
            if task.scoring._parts[0].scorer.check(item):
                continue
            for model in ("MOSS16B", "bloomz_7b1_mt", "gpt3.5turbo"):
                score = task.scoring.score(item, Generate(None), Response(text=row[model] or "-"))
                unlike += score.values["acc"] != float(row[model] == row["gold"])
    assert unlike <= 20  # the same letters in another order: theirs compares texts


def _mmcu_groups():
    from proctor.tasks.grouping import groups_of_file

    return groups_of_file(next(file for name, file in benchmark_files() if name == "mmcu"))


FOUR = {"A": "eins", "B": "zwei", "C": "drei", "D": "vier"}
MADE_UP = [
    ("ceval/law", "ceval/ceval-exam", {"id": 0, "question": "Q", **FOUR, "answer": "B"}, "Q\nA. eins\nB. zwei\nC. drei\nD. vier\n答案："),
    ("m3ke/Film-Other", "TJUNLP/M3KE", {"id": 0, "question": "Q", **FOUR, "answer": "B"}, "D. vier\n你所选的答案是："),
    (
        "turkishmmlu/Physics",
        "AYueksel/TurkishMMLU",
        {"question": " Q ", "choices": ["a", "b", "c", "d", "e"], "answer": "B"},
        "Soru: Q\nA. a\nB. b\nC. c\nD. d\nE. e\nCevap:",
    ),
    (
        "bnmmlu",
        "samanjoy2/BnMMLU",
        {"Unique_Serial": 7, "question": "Q", "options": ["a", "b", "c", "d"], "correct_answer": "B", "subject_name": "x"},
        "প্রশ্ন: Q\nA. a\nB. b\nC. c\nD. d\nউত্তর:",
    ),
    (
        "headqa/es-nursing",
        "EleutherAI/headqa",
        {"name": "n", "qid": "1", "category": "nursery", "qtext": "Q", "ra": 2, "year": "2013"}
        | {"answers": [{"aid": 1, "atext": "a"}, {"aid": 2, "atext": "b"}]},
        "Question: Q\nAnswer:",
    ),
    (
        "pmmeval_mlogiqa/es",
        "Qwen/P-MMEval",
        {"context": "C", "question": "Q", "options": ["a", "b", "c", "d"], "answer": 1},
        "Passage: C\nQuestion: Q\nChoices:\nA.a\nB.b\nC.c\nD.d\nPlease choose",
    ),
    (
        "mmmlu/es",
        "openai/MMMLU",
        {"Question": "Q", **FOUR, "Answer": "B", "Subject": "s"},
        "Q\nA. eins\nB. zwei\nC. drei\nD. vier\nAnswer:",
    ),
    (
        "global-mmlu/es",
        "CohereLabs/Global-MMLU",
        {"sample_id": "s/1", "question": "Q", "option_a": "a", "option_b": "b", "option_c": "c", "option_d": "d", "answer": "B"}
        | {"subject": "s", "subject_category": "STEM", "cultural_sensitivity_label": "-"},
        "Q\nA. a\nB. b\nC. c\nD. d\nAnswer:",
    ),
    (
        "gpqa/diamond",
        "Idavidrein/gpqa",
        {"Record ID": "r", "Question": "Q", "Correct Answer": " b", "High-level domain": "Physics"}
        | {f"Incorrect Answer {n}": text for n, text in ((1, "a"), (2, "c"), (3, "d"))},
        "What is the correct answer to this question:Q\nChoices:\nA. a\nB. b\nC. c\nD. d\nAnswer:",
    ),
    (
        "musr/team_allocation",
        "TAUR-Lab/MuSR",
        {"narrative": "N", "question": "Q", "choices": "['a: b', 'c']", "answer_index": 1},
        "N\n\nQ\n\n1 - a: b\n2 - c\nAnswer:",
    ),
    (
        "mmlu-pro-likelihood",
        "TIGER-Lab/MMLU-Pro",
        {"question_id": 1, "question": "Q", "options": ["a", "b", "c"], "answer_index": 1, "answer": "B", "category": "law"},
        "Q\nA. a\nB. b\nC. c\nAnswer:",
    ),
]


@pytest.mark.parametrize(("name", "hub", "row", "text"), MADE_UP, ids=[case[0] for case in MADE_UP])
def test_made_up_rows_of_benchmarks_whose_items_are_not_at_hand(name, hub, row, text, tmp_path):
    """The columns are those of the data sets' cards and of other programs that read them; the second choice is the right one."""
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    examples = [
        {key: f"{value} {n}" if key in ("question", "question_id") else value for key, value in row.items()}
        | ({"id": n} if "id" in row else {})
        for n in range(5)
    ]
    (tmp_path / "shots.jsonl").write_text("".join(json.dumps(one) + "\n" for one in examples))
    pattern = "test.jsonl" if name.split("/")[0] in ("m3ke", "pmmeval_mlogiqa") else None
    splits = dict.fromkeys(("test", "val", "train", "team_allocation"), "test.jsonl") | {
        "dev": "shots.jsonl",
        "validation": "shots.jsonl",
    }
    (tmp_path / "map.yaml").write_text(json.dumps({hub: pattern or splits}))
    task = load_task(name, data=tmp_path / "map.yaml")
    [item] = task.items
    assert item.target == 1
    request = task.request(item)
    prompt = request.prompt if isinstance(request, Generate) else request.prompts[0]
    assert text in prompt.messages[-1].content
    right_and_wrong(task, written='{{"answer": "{}"}}')
