import threading
import time

import pytest

from proctor.errors import DataError, TaskError
from proctor.scoring.numbers import Math, Numeric
from proctor.types import Item, Response


def right(scorer, answer, target):
    item = Item("1", {}, target=target)
    assert scorer.check(item) is None
    (number,) = scorer.measure(answer, item, Response()).values.values()
    return number == 1


def test_numeric_is_exact_without_tolerance():
    assert right(Numeric(), "$1,234.50", 1234.5)
    assert right(Numeric(), "1/2", "0.5")
    assert right(Numeric(), "0.1", 0.1)
    assert right(Numeric(), "12345678901234567890", "12345678901234567890")
    assert not right(Numeric(), "12345678901234567891", "12345678901234567890")
    assert not right(Numeric(), "0.3333", "1/3")
    assert right(Numeric(), "4", [3, 4])
    assert not right(Numeric(), "none", 3)


def test_numeric_tolerances():
    assert right(Numeric(absolute=0.1), "3.1", 3)
    assert not right(Numeric(absolute=0.1), "3.11", 3)
    assert right(Numeric(relative=0.05), "105", 100)
    assert right(Numeric(relative=0.05), "-95", -100)
    assert not right(Numeric(relative=0.05), "106", 100)
    with pytest.raises(TaskError, match="tolerances"):
        Numeric(absolute=-1)


@pytest.mark.parametrize("target", ["none", None, [], ["1", "x"], True])
def test_numeric_target_must_be_a_number(target):
    item = Item("q", {}, target=target)
    assert "must be a number" in Numeric().check(item)
    with pytest.raises(DataError, match="item 'q'"):
        Numeric().measure("1", item, Response())


@pytest.fixture(scope="module")
def mathematics():
    pytest.importorskip("math_verify")
    return Math(timeout=60)


@pytest.mark.parametrize(
    ("answer", "target", "equal"),
    [
        (r"\frac{1}{2}", "0.5", True),
        ("so it is $x^2+2x+1$", "(x+1)^2", True),
        ("the answer is 1/2", r"\frac12", True),
        ("(1,2)", "(1, 2)", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        (r"\text{Evelyn}", r"\text{Evelyn}", True),
        ("3", "4", False),
        ("x+1", "x+2", False),
        ("", "4", False),
    ],
)
def test_math(mathematics, answer, target, equal):
    assert right(mathematics, answer, target) == equal


def test_math_works_outside_the_main_thread(mathematics):
    verdicts = []
    threads = [threading.Thread(target=lambda: verdicts.append(right(mathematics, r"\frac{2}{4}", "1/2"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 3


def test_math_survives_a_comparison_that_does_not_end(mathematics):
    assert right(mathematics, r"\frac{2}{4}", "1/2")
    started = time.monotonic()
    measured = Math(timeout=2).measure("9^{9^{9^{9}}}", Item("1", {}, target="2"), Response())
    assert measured.values == {"math": 0.0}
    assert "took more than 2 s" in measured.reason
    assert time.monotonic() - started < 60
    assert right(mathematics, r"\frac{2}{4}", "1/2"), "a new worker takes over"
