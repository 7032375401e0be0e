import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.errors import DataError, TaskError
from proctor.scoring.multi_answer import MultiAnswer
from proctor.types import Exchange, Generate, Item, Prompt, Response


def measure(answer, target, **options):
    return MultiAnswer(**options).measure(answer, Item("1", {}, target=target), Response())


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ("<task1>red<task1/> so <task2>\nAda <task2/>", (1, 1, 1)),
        ("<task1>red</task1><task2>Ada</task2>", (1, 1, 1)),
        ("<task2>Ada<task2/>", (0, 0.5, 0)),
        ("<task1>red<task1/> <task2>Bob<task2/>", (0, 0.5, 0.5)),
        ("<task1>red", (0, 0, 0)),
        ("red, Ada", (0, 0, 0)),
    ],
)
def test_each_answer_is_scored(answer, values):
    assert tuple(measure(answer, ["red", ["Ada", "Ada L."]]).values.values()) == values


def mti_bench(answers, predictions):
    """The step and conditional accuracies of MTI Bench's `calculate_accuracy`, after its definition."""
    steps = [answer == prediction for answer, prediction in zip(answers, predictions, strict=True)]
    return sum(steps) / len(steps), sum(all(steps[: place + 1]) for place in range(len(steps))) / len(steps)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=5))
def test_share_and_in_order_are_mti_benchs_accuracies(pairs):
    answers, said = [list(side) for side in zip(*pairs, strict=True)]
    text = " ".join(f"<task{number}>{one}<task{number}/>" for number, one in enumerate(said, 1))
    values = measure(text, answers).values
    assert (values["share"], values["in_order"]) == pytest.approx(mti_bench(answers, said))
    assert values["all"] == (answers == said)


def test_another_mark_and_another_scorer():
    answer = "Answer 1: about 12 apples\nAnswer 2: three"
    measured = measure(answer, [12, 3], mark=r"Answer {n}: ([^\n]*)", scorer={"numeric": {"absolute": 0.5}})
    assert measured.values == {"all": 0.0, "share": 0.5, "in_order": 0.5}
    assert measured.reason == "answer 2: not found"


def test_partial_scores_count_in_the_share():
    values = measure("<task1>red fox<task1/><task2>c<task2/>", ["red fox old bear", "c"], scorer="f1").values
    assert values == {"all": 0.0, "share": pytest.approx((2 / 3 + 1) / 2), "in_order": 0.0}


def test_the_answers_of_a_conversation():
    ask = Generate(Prompt())
    said = [Exchange("turn 2", ask, Response(text="<think>12?</think> It is 13.")), Exchange("turn 3", ask, Response(text=""))]
    item, response = Item("1", {}, target=[12, 13, 14, 15]), Response(text="12", exchanges=tuple(said))
    scorer = MultiAnswer(turns=True, scorer="numeric")
    measured = scorer.measure("", item, response)
    assert measured.values == {"all": 0.0, "share": 0.5, "in_order": 0.5}
    assert measured.reason == "answer 3: not found; answer 4: not found"
    assert scorer.conversation
    assert not MultiAnswer().conversation


@pytest.mark.parametrize("target", ["red", [], [["red"], []]])
def test_targets_are_checked(target):
    assert MultiAnswer().check(Item("1", {}, target=target))
    with pytest.raises(DataError):
        measure("x", target)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mark": "Answer: (.*)"}, "expected a pattern with {n}"),
        ({"mark": "Answer {n}"}, "expected a pattern with {n}"),
        ({"mark": "({n}"}, "does not compile"),
        ({"scorer": "regression"}, "does not score an answer alone"),
        ({"scorer": "exactmatch"}, "no scorer is called"),
        ({"scorer": {"numeric": {"slack": 1}}}, "no option 'slack'"),
    ],
)
def test_what_is_wrong_with_the_options_is_said(options, words):
    with pytest.raises(TaskError) as raised:
        MultiAnswer(**options)
    assert words in str(raised.value)
