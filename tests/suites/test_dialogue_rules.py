"""The built-in conversations: for each an answer that keeps the rules of all its turns, and one that breaks every rule."""

import pytest

from proctor import load_task
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
