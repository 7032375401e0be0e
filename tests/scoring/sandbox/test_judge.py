"""Verdicts, and programs that try to obtain one they have not earned."""

import pytest
from forged_programs import FORGERIES

from proctor.errors import DataError
from proctor.scoring.sandbox.engines import Bubblewrap
from proctor.scoring.sandbox.judge import judge, run
from proctor.scoring.sandbox.limits import Limits

TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
QUICK = Limits(cpu=1, memory=128, processes=16, disk=4)


def verdict(engine, program, tests=TESTS, limits=QUICK, **options):
    return judge(engine, program, tests, limits=limits, **options)


def test_right_and_wrong_programs(engine):
    assert verdict(engine, "def add(a, b):\n    print('hi')\n    return a + b").passed
    wrong = verdict(engine, "def add(a, b):\n    return a - b")
    assert (wrong.passed, wrong.reason) == (False, "AssertionError, at: assert add(1, 2) == 3")
    assert verdict(engine, "x = 1").reason == "NameError: name 'add' is not defined, at: assert add(1, 2) == 3"
    assert "SyntaxError" in verdict(engine, "def add(a, b:").reason
    assert verdict(engine, "def add(a, b):\n    return a / 0").reason == "ZeroDivisionError: division by zero, at: assert add(1, 2) == 3"
    assert "ModuleNotFoundError" in verdict(engine, "import torch").reason
    assert "RecursionError" in verdict(engine, "def add(a, b):\n    return add(a, b)").reason


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_verdicts(engine, name):
    found = verdict(engine, FORGERIES[name])
    assert not found.passed
    assert found.reason
    assert verdict(engine, "def add(a, b):\n    return a + b").passed


def test_tests_that_catch_everything_do_not_hide_an_exit(engine):
    tests = "try:\n    add(1, 2)\nexcept BaseException:\n    pass"
    assert verdict(engine, "def add(a, b):\n    raise ValueError", tests).passed
    assert (
        verdict(engine, "import os\ndef add(a, b):\n    os._exit(0)", tests).reason
        == "the program ended (exit status 0) before its tests did"
    )


def test_the_program_cannot_put_functions_under_the_tests(engine):
    """What the item gives is the item's; Python's own functions are Python's."""
    program = "def abs(x): return 0\ndef helper(x): return 0\ndef f(x): return 10**9"
    assert not verdict(engine, program, "assert abs(f(1) - 1) < 1", entry_point="f").passed
    assert not verdict(engine, program, "assert helper(f(1)) == 0", helpers="def helper(x): return x", entry_point="f").passed
    assert verdict(engine, program, "assert helper(f(1)) == 0", entry_point="f").passed  # the tests leave that one to the program
    assert verdict(engine, "def sum(a, b): return a * b", "assert sum(2, 3) == 6").passed
    assert "does not define 'g'" in verdict(engine, program, "assert True", entry_point="g").reason


def test_a_name_of_tests_is_no_module_of_the_programs_making(engine):
    program = "import sys, types\nmath = types.ModuleType('math')\nmath.isclose = lambda *args: True\ndef f(x): return 0"
    assert not verdict(engine, program, "assert math.isclose(f(1), 1)").passed
    assert verdict(engine, "import math\ndef f(x): return 1", "assert math.isclose(f(1), 1)").passed


TAKES_OVER = """
import sys
values = sys.modules["proctor.scoring.sandbox.values"]
send, objects = values.Channel.send, []
def lying(self, message):
    if isinstance(message, dict) and isinstance(message.get("ok"), dict):
        runner = sys._getframe(1).f_locals["self"]
        for name in ("abs", "math", "check", "TRUTH"):
            runner._objects.append(Lie())
            message["ok"][name] = ["value", ["ref", len(runner._objects) - 1, "function", "", name]]
    send(self, message)
values.Channel.send = lying
class Lie:
    def __call__(self, *args): return 0
    def isclose(self, *args): return True
def f(x): return 10**9
"""


@pytest.mark.parametrize(
    "tests", ["assert abs(f(1) - 1) < 1", "assert math.isclose(f(1), 1)", "def check(g):\n    assert g(1) == 1\ncheck(f)"]
)
def test_a_program_that_takes_over_its_side_of_the_talk(engine, tests):
    """It can lie about what it defines and returns, and about nothing that is not its own."""
    found = verdict(engine, TAKES_OVER, tests)
    assert not found.passed
    assert "AssertionError" in found.reason


VALUES = """
import collections, datetime, decimal, fractions
values = [None, True, 0, -1, 10**5000, 0.5, -0.0, float("inf"), "", "é\\ud800\\n", b"x", bytearray(b"y"), 1j, range(3), ..., [1, [2, (3,)]],
    (), {1, 2}, frozenset({3}), {"a": 1, 2: [3], (4,): {}}, collections.Counter("aab"), collections.OrderedDict([(2, 1), (1, 2)]),
    collections.deque([1]), decimal.Decimal("1.50"), fractions.Fraction(1, 3), datetime.date(2024, 2, 29), datetime.time(1),
    datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.timezone.utc), datetime.timedelta(1, 2, 3), int, ValueError, list]
"""


def test_values_come_back_as_they_went(engine):
    tests = f"{VALUES}\nfor value in values:\n    back = f(value)\n    assert back == value and type(back) is type(value), value"
    found = verdict(engine, f"{VALUES}\ndef f(x):\n    return x", tests)
    assert found.passed, found.reason


def test_objects_of_the_program(engine):
    program = """
class Node:
    def __init__(self, value): self.value, self.left, self.right = value, None, None
    def __eq__(self, other): return self.value == other.value
    def __len__(self): return 3
    def __getitem__(self, key): return key * 2
    def __contains__(self, x): return x == 5
    def __str__(self): return "a node"
class Wrong(ValueError): pass
def height(node): return 1 + max(height(node.left), height(node.right)) if node else 0
def count():
    n = 0
    while True:
        yield n
        n += 1
def fail(x): raise Wrong(x)
CONSTANT = [1, 2]
"""
    tests = """
root = Node(1)
root.left = Node(2)
root.left.right = Node(3)
assert height(root) == 3 and root.left.value == 2
assert root == Node(1) and root != Node(2) and not root == 1
assert len(root) == 3 and root[4] == 8 and 5 in root and 6 not in root and str(root) == "a node"
counted = count()
assert [n for n, _ in zip(counted, range(2500))][-1] == 2499
assert next(count()) == 0
try:
    fail("no")
    assert False
except Wrong as error:
    assert str(error) == "no" and isinstance(error, ValueError)
assert CONSTANT == [1, 2]
"""
    found = verdict(engine, program, tests)
    assert found.passed, found.reason


def test_functions_as_arguments_and_changed_arguments(engine):
    program = "def apply(f, xs):\n    return [f(x) for x in xs]\ndef sort(xs):\n    xs.sort()\ndef grow(d):\n    d['new'] = [1]"
    tests = """
assert apply(lambda x: x * 2, [1, 2]) == [2, 4] and apply(str, [1]) == ["1"] and apply(len, ["abc"]) == [3]
xs = [3, 1, 2]
assert sort(xs) is None and xs == [1, 2, 3]
d = {}
grow(d)
assert d == {"new": [1]}
def broken(x):
    raise KeyError(x)
try:
    apply(broken, [1])
    assert False
except KeyError:
    pass
"""
    found = verdict(engine, program, tests)
    assert found.passed, found.reason


def test_a_generator_in_a_list_and_what_cannot_be_sent(engine):
    assert verdict(
        engine, "def f():\n    return [map(str, [1]), {}.keys()]", "a, b = f()\nassert list(a) == ['1'] and list(b) == []"
    ).passed
    refused = verdict(engine, "def f(x):\n    return x", "import types\nf(types.SimpleNamespace())")
    assert "cannot be sent" in refused.reason


def test_verdicts_do_not_change_from_one_time_to_the_next(engine):
    """The order of a set of texts is random from process to process, and decides such a program."""
    program = "def f(texts):\n    return next(iter(set(texts)))"
    texts = [f"text {n}" for n in range(100)]
    found = {verdict(engine, program, f"raise ValueError(f({texts}))").reason for _ in range(3)}
    assert len(found) == 1


def test_packages(engine):
    program = "import numpy\ndef f(x):\n    return numpy.array(x).sum()"
    assert "ModuleNotFoundError" in verdict(engine, program, "assert f([1, 2]) == 3").reason
    found = verdict(engine, program, "import numpy\nassert numpy.isclose(f([1, 2]), 3)", packages=("numpy",), limits=Limits(memory=1024))
    assert found.passed, found.reason


def test_files_beside_a_program(engine):
    assert (
        run(
            engine, "import helper\nprint(helper.f(2), open('data/x').read())", {"helper.py": "def f(x): return x * 2", "data/x": "y"}
        ).stdout
        == "4 y\n"
    )


def test_long_tests_and_long_programs(engine):
    program = "def f(x):\n    return x\n" + f"TEXT = {'x' * 10**6!r}\n"
    assert verdict(
        engine, program, "\n".join(f"assert f({n}) == {n}" for n in range(300)) + f"\nassert len(TEXT) == {10**6}\n#" + "y" * 10**6
    ).passed


def test_limits_hold_for_tests_too(engine):
    assert "processor time" in verdict(engine, "def f(): pass", "f()\nwhile True: pass").reason
    assert not verdict(engine, "def f(): pass", "f()\nx = [0]\nwhile True: x += x").passed


def test_a_sandbox_that_does_not_start_is_no_verdict(monkeypatch, engine):
    broken = Bubblewrap("/bin/false") if isinstance(engine, Bubblewrap) else None
    if broken is None:
        pytest.skip("the sandbox here is not bubblewrap")
    with pytest.raises(DataError, match="did not start"):
        judge(broken, "", "")
