"""The built-in conversations: for each an answer that keeps the rules of all its turns, and one that breaks every rule."""

import json

import pytest

import proctor
from proctor import load_task
from proctor.scoring.ifeval.checks import kept as kept_at
from proctor.scoring.ifeval.scorer import instructions
from proctor.types import Exchange, Generate, Prompt, Response

GOOD = {
    "harbour": "<<Dawn at the harbour>>\nGrey light comes over the water and the boats lie still. A gull calls.",
    "baker": "Dear baker, your bread was very good. Please keep two loaves for me. See you on Friday.",
    "kettle": "fill the kettle with fresh water and put the lid on. switch it on and wait until it boils. then pour it over the tea.",
    "garden": "* Turn the soil\n* Sow peas and beans\n* Cut back the old roses",
    "lamp": "<<The lamp Lumen>>\nReading late has never been so pleasant: Lumen gives a warm and steady light, needs less power than a "
    "candle gives off, folds away when the day is done, and looks good on any desk in any room of the house. Order it today."
    "\n\nP.S. It is sold out every spring.",
    "letter": "Dear [name]\nthe heating in [address] does not work. Please send someone this week.\nWith kind regards",
    "train": '"I ran down the stairs, but the platform was empty. The red light of the last carriage went round the bend."',
    "storm": "A GREAT STORM COMES TONIGHT. CLOSE THE WINDOWS AND STAY IN THE HOUSE UNTIL THE MORNING.",
    "city": '{"name": "Vienna", "country": "Austria", "population": 2000000, "river": "Danube"}',
    "bees": "Bees carry *pollen* from flower to flower. Without them many *fruits* would not grow. So farmers need them.",
    "chess": "<<Chess>>\nThe KING is the piece that matters. Lose your king and you LOSE the game, so keep him safe.",
    "moon": "The moon goes round the earth in a month.\n***\nIts light is that of the sun: it shines on frozen dust.",
}
BAD = "No! well, no. " * 40 + "\n\ncake water honey danger,\n* one, two"


def conversation(text):
    later = tuple(Exchange(f"turn {number}", Generate(Prompt()), Response(text=text)) for number in (2, 3))
    return Response(text=text, exchanges=later)


@pytest.fixture(scope="module")
def task():
    return load_task("dialogue_rules")


def test_rules_that_are_kept_count_at_every_turn(task):
    assert {item.id for item in task.items} == set(GOOD)
    for item in task.items:
        score = task.scoring.score(item, task.request(item), conversation(GOOD[item.id]))
        assert score.values["accuracy"] == 1, (item.id, score.reason)
        assert score.values["kept_before"] == 3
        assert score.values["lost"] == 0


def test_rules_that_are_broken_do_not(task):
    for item in task.items:
        values = task.scoring.score(item, task.request(item), conversation(BAD)).values
        assert values["turn_3_prompt_loose"] == 0, item.id
        assert values["turn_3_kept_strict"] <= 1, item.id


def test_each_turn_adds_one_rule(task):
    for item in task.items:
        assert [len(turn["instruction_id_list"]) for turn in item.target] == [1, 2, 3]
        assert len(item.fields["then"]) == 2


def test_a_run_reports_the_turns_and_what_is_forgotten(task, tmp_path):
    """A model that keeps all rules in two turns and gives an answer of its own in the third, which breaks the oldest rule of some."""

    def model(prompt):
        item = next(item for item in task.items if item.fields["ask"] in prompt)
        return "Well, no. It is late." if item.fields["then"][1] in prompt else GOOD[item.id]

    [run] = proctor.run("dialogue_rules", model, out=tmp_path)
    metrics = {metric.name: metric.value for metric in run.manifest.tasks[0].metrics}
    assert (metrics["turn_1"], metrics["turn_2"]) == (1.0, 1.0)
    assert 0 < metrics["turn_3"] < 0.5
    rows = [json.loads(row) for row in run.attempts()["exchanges"].to_list()]
    assert [[one["name"] for one in row] for row in rows] == [["turn 2", "turn 3"]] * 12
    kept = [[kept_at("Well, no. It is late.", kind, arguments) for kind, arguments in instructions(item.target[1])] for item in task.items]
    assert metrics["forgotten"] == pytest.approx(sum(not one for row in kept for one in row) / (12 + 24))
