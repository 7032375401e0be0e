import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import TaskError
from proctor.scoring.blocks import fenced_blocks
from proctor.scoring.extract import WAYS, compile_extract, looks_refused, strip_thinking
from proctor.types import Item

ITEM = Item("1", {})


def found(spec, text, item=ITEM):
    extraction = compile_extract(spec)(text, item)
    return extraction.answer, extraction.needs_end


def test_first_way_that_finds_something_wins():
    spec = [{"regex": r"#### (.+)"}, "number"]
    assert found(spec, "6 and 7\n#### 42\n") == ("42", False)
    assert found(spec, "6 and 7") == ("7", True)
    assert found(spec, "nothing") == (None, False)


def test_text_and_first_line():
    assert found(["text"], " a\nb ") == ("a\nb", True)
    assert found(["text"], " \n") == (None, False)
    assert found(["first_line"], "\n\n yes \nand so on") == ("yes", False)
    assert found(["first_line"], "yes") == ("yes", True)


def test_regex_first_last_and_groups():
    assert found([{"regex": r"is (\w+)"}], "it is one, it is two.") == ("one", False)
    assert found([{"regex": {"pattern": r"is (\w+)", "which": "last"}}], "it is one, it is two.") == ("two", True)
    assert found([{"regex": r"one|two"}], "two one") == ("two", False)
    assert found([{"regex": r"a(x)?|b(y)"}], "by it") == ("y", False)
    assert found([{"regex": {"pattern": r"(?P<q>\w) (?P<r>\w)", "group": "r"}}], "a b") == ("b", True)
    assert found([{"regex": r"is (\d+)"}], "it is 12") == ("12", True), "a number at the very end may go on"


def test_json_paths_and_fences():
    assert found([{"json": "answer"}], 'see [1]: {"x": 1} then {"answer": "B"} ok') == ("B", False)
    assert found([{"json": "a.1.b"}], '{"a": [0, {"b": 2.5}]}') == ("2.5", False)
    assert found(["json"], '{"x": 0}\n```json\n{"y": [true, null]}\n```') == ('{"y":[true,null]}', False)
    assert found([{"json": "answer"}], '{"answer": "B"') == (None, False)
    assert found([{"json": "answer"}], '{"answer": false}') == ("false", False)
    assert found(["json"], "[" * 100_000) == (None, False)
    assert found(["json"], '{"a":[' * 50 + '{"b": 1}') == ('{"b":1}', False)


def test_code_blocks():
    text = "First:\n```python\ndef f():\n    return 1\n```\nUse:\n```\nf()\n```"
    assert found(["code"], text) == ("def f():\n    return 1", False)
    assert found([{"code": {"which": "last"}}], text) == ("f()", False)
    assert found([{"code": "py"}], text) == ("def f():\n    return 1", False)
    assert found([{"code": "sql"}], text) == ("f()", False), "an unlabelled block may be in the language asked for"
    assert found(["code"], "```python\nx = 1\ny =") == ("x = 1\ny =", True)
    assert found(["code"], "    return x\n") == ("    return x", True), "the body of a function, as a base model continues it"
    assert found(["code"], "import re\nx = 1\n") == ("import re\nx = 1", True)
    assert found(["code"], "I would use a loop here.") == (None, False)


def test_code_keeps_shorter_fences_inside():
    assert found(["code"], "````md\n```py\nx\n```\n````") == ("```py\nx\n```", False)


def test_a_line_that_is_no_fence_after_all_is_read_once():
    """Takes minutes where the pattern tries every way to divide the line."""
    for text in ("```" + "a" * 200_000 + "`", "`" * 200_000 + " `", "```" + " " * 200_000 + "`"):
        assert fenced_blocks(text) == []


def test_boxes_are_found_in_one_pass():
    """Takes minutes where every box is searched to the end of the text."""
    assert found(["boxed"], "\\boxed{" * 30_000) == (None, False)
    assert found(["boxed"], "\\boxed{" * 30_000 + "7" + "}" * 30_000) == ("7", False)
    assert found(["boxed"], "\\boxed" + " " * 200_000) == (None, False)


def test_boxed_beside_other_braces_and_backslashes():
    assert found(["boxed"], r"} \boxed{\text{a}} {") == (r"\text{a}", False)
    assert found(["boxed"], "\\\\boxed{4}") == ("4", False), "escaped, as in a JSON string"
    assert found(["boxed"], r"\boxed{1} \boxed{ } \fbox {2}") == ("2", False)
    assert found(["boxed"], r"\boxed{1} \boxed{}") == ("1", False)
    assert found(["boxed"], r"\boxed{a \boxed{b} c}") == ("b", False)
    assert found(["boxed"], r"\boxed{3\}") == (None, False)


def test_boxed_with_balanced_braces():
    assert found(["boxed"], r"\boxed{1} so \boxed{\frac{1}{2}} .") == (r"\frac{1}{2}", False)
    assert found(["boxed"], r"\boxed{\{1, 2\}}") == (r"\{1, 2\}", False)
    assert found(["boxed"], r"\boxed{7} or \boxed{\frac{1}") == ("7", False)
    assert found(["boxed"], r"\boxed{") == (None, False)


def test_letter_uses_the_item_or_its_argument():
    item = Item("1", {}, ("x", "y"))
    assert found(["letter"], "Answer: B", item) == ("B", False)
    assert found(["letter"], "Answer: C", item) == (None, False)
    assert found([{"letter": 3}], "Answer: C") == ("C", False)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["leter"], r"; did you mean 'letter'\? there are: text"),
        (["zzz"], "'zzz'; there are: text"),
        ([{"regex": "("}], "does not compile"),
        ([{"regex": {"pattern": "a", "wich": "last"}}], "did you mean 'which'"),
        ([{"regex": {"pattern": "a", "which": "middle"}}], "first or last"),
        ([{"regex": {"pattern": "(a)", "group": 2}}], "no group 2"),
        (["regex"], "expected pattern"),
        ([{"letter": "four"}], "number of choices"),
        ([{"number": "second"}], "first or last"),
        ([{"text": 1}], "takes no argument"),
        ([{"json": 1.5}], "expected a path"),
        ([3], "expected a name"),
        ([{"a": 1, "b": 2}], "expected a name"),
    ],
)
def test_wrong_specifications_have_one_clear_message(spec, message):
    with pytest.raises(TaskError, match=message) as error:
        compile_extract(spec, where="t.yaml: scoring.extract")
    assert str(error.value).startswith("t.yaml: scoring.extract")


@given(st.text(max_size=300) | st.text(alphabet=st.sampled_from("{}[]\"':,`~\n\\boxedfrc0123./- <think>AB()*"), max_size=120))
@settings(deadline=None)
def test_ways_never_raise(text):
    for name in WAYS:
        answer, _ = found([{"regex": r"\w+"} if name == "regex" else name], text, Item("1", {}, ("x", "y")))
        assert answer is None or answer.strip()


@given(st.text(max_size=200))
@settings(deadline=None)
def test_extracting_text_boxed_and_numbers_again_changes_nothing(text):
    for spec, wrap in ((["text"], "{}"), (["first_line"], "{}"), (["number"], "{}"), (["boxed"], r"\boxed{{{}}}")):
        once, _ = found(spec, text)
        if once is not None:
            assert found(spec, wrap.format(once))[0] == once


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>hm A</think>\n\nB", "B"),
        ("<THINKING>x</THINKING> B <think>y</think>", "B"),
        ("[THINK]x[/THINK]B", "B"),
        ("hm A</think>B", "B"),
        ("<think>a <think>b</think> c</think>B", "B"),
        ("<reasoning>a</reasoning>B", "B"),
        ("<think></think>", ""),
        ("<think>never ends B", None),
        ("no tags ", "no tags "),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_strip_thinking(text, left):
    assert strip_thinking(text) == left


@given(st.lists(st.sampled_from(["<think>", "</think>", "<reasoning>", "</reasoning>", "a", " ", "B"]), max_size=12).map("".join))
@settings(deadline=None)
def test_strip_thinking_leaves_nothing_to_strip(text):
    left = strip_thinking(text)
    if left is not None:
        assert "<think>" not in left
        assert strip_thinking(left) == left


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m sorry, I cannot assist with this request.", True),
        ("I cannot help with this.", True),
        ("Sorry, but I am unable to provide that.", True),
        ("As an AI language model, I cannot answer.", True),
        ("Unfortunately, I can't share this.", True),
        ("I can't believe it is B.", False),
        ("I cannot find a solution smaller than 5.", False),
        ("I'm sorry for the confusion: it is B.", False),
        ("The answer: I'm sorry, but I can't.", False),
        ("B", False),
        ("", False),
    ],
)
def test_looks_refused(text, refused):
    assert looks_refused(text) is refused
