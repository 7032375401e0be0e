"""MT-Bench by the shipped task: what its judge is asked and what comes of its replies, against FastEval's prompts, replies and means."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from proctor.tasks.load import load_task
from proctor.types import Exchange, Response

CATEGORIES = ("writing", "roleplay", "extraction", "reasoning", "math", "coding", "stem", "humanities")


@pytest.fixture(scope="module")
def fasteval():
    folder = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "fasteval"
    if not folder.is_dir():
        pytest.skip("needs the shared data (PROCTOR_SHARED)")
    return folder


@pytest.fixture(scope="module")
def tasks(fasteval, tmp_path_factory):
    """The eight tasks over FastEval's questions, put into the form of the hub's data."""
    work = tmp_path_factory.mktemp("mt_bench")
    questions = json.loads((fasteval / "data__mt-bench__questions.json").read_text(encoding="utf-8"))
    with (work / "rows.jsonl").open("w", encoding="utf-8") as file:
        for name, question in questions.items():
            row = {"prompt_id": int(name), "category": question["category"], "prompt": question["turns"]}
            file.write(json.dumps({**row, "reference": question.get("reference", [])}) + "\n")
    (work / "map.yaml").write_text("HuggingFaceH4/mt_bench_prompts: rows.jsonl\n", encoding="utf-8")
    found = [load_task(f"mt_bench/{category}", data=work / "map.yaml") for category in CATEGORIES]
    assert [len(task.items) for task in found] == [10] * 8
    return found


def converse(task, item, answers, replies):
    """The judge's requests about two answers, by turn, and the score that its replies give."""
    request, response, asked = task.request(item), Response(text=answers[0]), {}
    while steps := task.next_steps(item, 0, request, response):
        said = []
        for step in steps:
            if step.by:
                number = len(asked)
                asked[step.name] = step.request
                said.append(Exchange(step.name, step.request, Response(text=replies[number]), step.by))
            else:
                said.append(Exchange(step.name, step.request, Response(text=answers[1])))
        response = Response(text=answers[0], exchanges=(*response.exchanges, *said))
    return list(asked.values()), task.scoring.score(item, request, response)


def test_the_judge_is_asked_what_fasteval_asks(tasks, fasteval):
    templates = json.loads((fasteval / "data__mt-bench__judge_prompts.json").read_text(encoding="utf-8"))
    answered = json.loads((fasteval / "mt_bench_answers_3models.json").read_text(encoding="utf-8"))["gpt-4-0613"]
    for task in tasks:
        for item in task.items:
            answers, (first, second) = answered[item.id], item.fields["prompt"]
            reference = item.fields["reference"]
            requests, _ = converse(task, item, answers, ["[[1]]", "[[1]]"])
            shown = {
                "question": first,
                "answer": answers[0],
                "question_1": first,
                "question_2": second,
                "answer_1": answers[0],
                "answer_2": answers[1],
            }
            shown |= {f"ref_answer_{number}": text for number, text in enumerate(reference, 1)}
            names = ("single-math-v1", "single-math-v1-multi-turn") if reference else ("single-v1", "single-v1-multi-turn")
            for request, name in zip(requests, names, strict=True):
                system, user = (message.content for message in request.prompt.messages)
                assert system == templates[name]["system_prompt"]
                assert user == templates[name]["prompt_template"].format(**shown)


def test_decoding_is_fastchats(tasks):
    temperatures = {task.spec.task.rpartition("/")[2]: task.spec.response.temperature for task in tasks}
    assert temperatures == {
        "writing": 0.7,
        "roleplay": 0.7,
        "extraction": 0.0,
        "reasoning": 0.0,
        "math": 0.0,
        "coding": 0.0,
        "stem": 0.1,
        "humanities": 0.1,
    }


def test_published_means_of_both_turns_of_34_models(tasks, fasteval):
    published = json.loads((fasteval / "mt_bench_scores_published.json").read_text(encoding="utf-8"))
    replied = {}
    for line in (fasteval / "mt_bench_judge_replies.jsonl").read_text(encoding="utf-8").splitlines():
        reply = json.loads(line)
        replied[reply["model"], reply["question_id"], reply["turn_number"]] = reply["judge_reply"]
    assert len(published) == 34
    for model, means in published.items():
        by_category = {}
        for task in tasks:
            replies = [(item, [replied[model, item.id, turn] for turn in (0, 1)]) for item in task.items]
            scores = [converse(task, item, ["one", "two"], said)[1] for item, said in replies]
            assert {score.state for score in scores} == {"scored"}
            by_category[task.name] = [[score.values[name] for name in ("turn_1", "turn_2", "points")] for score in scores]
        first, second, both = np.mean([row for rows in by_category.values() for row in rows], axis=0)
        assert first == pytest.approx(means["first_turn"]), model
        assert second == pytest.approx(means["second_turn"]), model
        assert both == pytest.approx(means["average"]), model
        for category, mean in means["categories"].items():
            assert np.mean([row[2] for row in by_category[f"mt_bench/{category}"]]) == pytest.approx(mean), (model, category)
