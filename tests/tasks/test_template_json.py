import pytest

from proctor import Task
from proctor.errors import TaskError


def test_a_column_that_holds_json_is_read():
    task = Task(
        task="t",
        data=[{"id": "1", "said": '{"role": "user", "content": "Hello {{ x }}"}', "target": "x"}],
        prompt="{{ (said | fromjson).content }}",
        scoring="exact_match",
    )
    assert task.request(task.items[0]).prompt.messages[-1].content == "Hello {{ x }}"


def test_what_is_no_json_is_one_message():
    task = Task(task="t", data=[{"id": "1", "said": "Hello", "target": "x"}], prompt="{{ said | fromjson }}", scoring="exact_match")
    with pytest.raises(TaskError, match=r"prompt\.template: the template fails on an item: JSONDecodeError"):
        task.request(task.items[0])
