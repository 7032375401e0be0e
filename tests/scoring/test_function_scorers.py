import pytest

from proctor.errors import DataError, TaskError
from proctor.scoring.functions import Gym, PythonFunction
from proctor.types import Item, Response

ITEM = Item("q1", {"unit": "m"}, target="x")


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_scoring_functions.py").write_text(
        "def half(answer, item):\n    return len(answer) / 2\n"
        "def same(answer, item):\n    return answer == item.target\n"
        "def two(answer, item):\n    return {'a': 1, 'b': 0.5}\n"
        "def broken(answer, item):\n    return item.fields['none']\n"
        "def text(answer, item):\n    return 'right'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_scoring_functions"


def test_numbers_booleans_and_dicts(module):
    assert PythonFunction(function=f"{module}:half").measure("x", ITEM, Response()).values == {"score": 0.5}
    assert PythonFunction(function=f"{module}:same", metrics=["same"]).measure("x", ITEM, Response()).values == {"same": 1.0}
    scorer = PythonFunction(function=f"{module}:two", metrics=["b", "a"])
    assert [metric.name for metric in scorer.metrics] == ["b", "a"]
    assert scorer.measure("x", ITEM, Response()).values == {"a": 1.0, "b": 0.5}
    assert scorer.unanswered(ITEM) == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nowhere_to_be_found:f", "cannot import 'nowhere_to_be_found'"),
        ("my_scoring_functions:hlaf", "no function 'hlaf'; did you mean 'half'"),
        ("half", "expected module:function"),
    ],
)
def test_import_problems(module, function, message):
    with pytest.raises(TaskError, match=message):
        PythonFunction(function=function)


def test_wrong_results_and_exceptions_name_item_and_function(module):
    with pytest.raises(DataError, match=r"item 'q1': my_scoring_functions:broken failed: KeyError: 'none'"):
        PythonFunction(function=f"{module}:broken").measure("x", ITEM, Response())
    with pytest.raises(DataError, match="must return a number, not 'right'"):
        PythonFunction(function=f"{module}:text").measure("x", ITEM, Response())
    with pytest.raises(DataError, match="keys a, c"):
        PythonFunction(function=f"{module}:two", metrics=["a", "c"]).measure("x", ITEM, Response())


def test_gym_gives_reasoning_gyms_verdicts():
    gym = pytest.importorskip("reasoning_gym")
    for name in ("leg_counting", "countdown", "sudoku"):
        data = gym.create_dataset(name, size=3, seed=1)
        for entry in data:
            item = Item("1", dict(entry), target=entry["answer"])
            assert Gym().check(item) is None
            for answer in (entry["answer"], "17", "x y", ""):
                assert Gym().measure(answer, item, Response()).values["gym"] == data.score_answer(answer, entry)
        assert Gym().measure(data[0]["answer"], Item("1", dict(data[0])), Response()).values == {"gym": 1.0}


def test_gym_needs_an_entry():
    pytest.importorskip("reasoning_gym")
    assert "expected the columns" in Gym().check(Item("1", {"answer": "2"}))
    assert "no data set 'nope'" in Gym().check(Item("1", {"answer": "2", "metadata": {"source_dataset": "nope"}}))
