from concurrent.futures import ThreadPoolExecutor

import pytest

import proctor
from proctor.errors import DataError, TaskError, UsageError
from proctor.scoring.code import helpers_of
from proctor.scoring.cruxeval import CruxEval, side
from proctor.scoring.sandbox_tests import SandboxTests
from proctor.types import Item, Response

TESTS = "assert add(1, 2) == 3"


def run(scorer, answer, target=TESTS, **fields):
    item = Item("1", fields, target=target)
    assert scorer.check(item) is None
    return scorer.measure(answer, item, Response())


def test_right_wrong_and_what_the_interpreter_lacks(engine):
    scorer = SandboxTests()
    scorer.ready()
    assert run(scorer, "import heapq, string\ndef add(a, b):\n    return a + b").values == {"passed": 1.0}
    wrong = run(scorer, "def add(a, b):\n    return a - b")
    assert wrong.values == {"passed": 0.0}
    assert "AssertionError" in wrong.reason


def test_helpers_of():
    prompt = 'import math\n\ndef helper(x):\n    return x\n\ndef area(r):\n    """Area."""\n'
    assert helpers_of(prompt, "area") == "import math\n\ndef helper(x):\n    return x\n\n"
    assert helpers_of(prompt, None) == helpers_of(prompt, "other") == ""


def test_a_helper_of_the_item_is_not_the_answers_to_change(engine):
    prompt = "def double(x):\n    return 2 * x\n\ndef f(x):\n"
    target = {"tests": "def check(candidate):\n    assert double(candidate(4)) == 8\n", "entry_point": "f"}
    scorer = SandboxTests(prefix_field="prompt")
    assert run(scorer, "    return x\n", target, prompt=prompt).values == {"passed": 1.0}
    assert run(scorer, "    return 5\n\ndef double(x):\n    return 8\n", target, prompt=prompt).values == {"passed": 0.0}


def test_targets_and_options():
    with pytest.raises(TaskError, match="timeout"):
        SandboxTests(timeout=0)
    with pytest.raises(TaskError, match="memory"):
        SandboxTests(memory=1)
    assert "must be the text of tests" in SandboxTests().check(Item("1", {}, target=3))
    with pytest.raises(DataError, match="item '1'"):
        SandboxTests().measure("x", Item("1", {}, target=None), Response())
    with pytest.raises(UsageError, match="no-such-package"):
        SandboxTests(packages=["no-such-package"]).ready()


CRUX = {"code": "def f(xs, n):\n    xs.append(n)\n    return xs", "input": "[1], 2", "output": "[1, 2]"}


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("assert f([1], 2) == [1, 2]", 1.0),
        ("[1, 2]", 1.0),
        ("[1] + [2]", 1.0),
        ("assert f([1], 2) == [2, 1]", 0.0),
        ("f([1], 2)", 0.0),  # the authors do not count the call itself
        ("", 0.0),
        ("[1, 2", 0.0),
        ("type('All', (), {'__eq__': lambda self, other: True})()", 0.0),
        ("__import__('os')._exit(0)", 0.0),
    ],
)
def test_cruxeval_output(engine, answer, passed):
    assert run(CruxEval(predict="output"), answer, CRUX).values == {"passed": passed}


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("assert f([1], 2) == [1, 2]", 1.0),
        ("f([1], 2)", 1.0),
        ("f(xs=[1], n=2)", 1.0),
        ("f(list(range(1, 2)), n=2)", 1.0),
        ("[] + f([1], 2)", 1.0),  # the authors ask for no more than that f be called
        ("f([], 2)", 0.0),
        ("[1, 2]", 0.0),
        ("f([1], 2", 0.0),
        ("f()", 0.0),
        ("f(globals().update(f=lambda *args: [1, 2]), 2)", 0.0),
        ("f(__import__('os')._exit(0), 2)", 0.0),
    ],
)
def test_cruxeval_input(engine, answer, passed):
    assert run(CruxEval(predict="input"), answer, CRUX).values == {"passed": passed}


def test_sides_of_an_assertion():
    """As in `get_answer` of the authors' inference: what stands between `==` and the next."""
    assert side("assert f(1) == 2", "output") == "2"
    assert side("assert f(1) == 2", "input") == "f(1)"
    assert side(" 2 ", "output") == "2"
    assert side("f(1)", "input") == "f(1)"


def test_cruxeval_targets():
    assert "must be {code, input, output}" in CruxEval(predict="input").check(Item("1", {}, target={"code": "x"}))


def test_reference_solutions_of_humaneval(engine, shared_lines):
    """All 164 pass; answers that return nothing do not."""
    problems = shared_lines("humaneval/data/HumanEval.jsonl")
    scorer = SandboxTests(prefix_field="prompt")

    def judged(problem, answer):
        target = {"tests": problem["test"], "entry_point": problem["entry_point"]}
        return run(scorer, answer, target, prompt=problem["prompt"]).values["passed"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(judged, problems, [one["canonical_solution"] for one in problems])) == 164
        assert sum(pool.map(judged, problems[::4], ["    return None\n"] * 41)) == 0


def test_reference_solutions_of_mbpp(engine, shared_lines):
    """Of the 974, one in eight here; benchmarks/sandbox.py runs all of them."""
    problems = shared_lines("mbpp/mbpp.jsonl")[::8]

    def judged(problem, answer):
        return run(SandboxTests(), answer, problem["test_setup_code"] + "\n" + "\n".join(problem["test_list"])).values["passed"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(judged, problems, [one["code"] for one in problems])) == len(problems)
        others = [one["code"] for one in problems[1:]]
        assert sum(pool.map(judged, problems[::4], others[::4])) == 0


def test_nothing_is_asked_where_nothing_can_be_run(tmp_path, monkeypatch):
    asked = []

    def refuse():
        raise UsageError("there is no sandbox here")

    monkeypatch.setattr("proctor.scoring.sandbox_tests.working_engine", refuse)
    task = proctor.Task(task="t", data=[{"q": "x", "target": TESTS}], prompt="{{ q }}", scoring="sandbox_tests")
    with pytest.raises(UsageError, match="there is no sandbox here"):
        proctor.run(task, lambda prompt: asked.append(prompt) or "x", out=tmp_path)
    assert asked == []
