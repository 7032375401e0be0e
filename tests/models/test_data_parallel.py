"""Requests shared out among copies of a model."""

import threading

import pytest
from test_local import ask, open_folder, user

from proctor.models.data_parallel import shared_out
from proctor.types import Generate, Likelihood


def doubled(windows):
    for window in windows:
        yield from (2 * number for number in window)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_every_window_goes_to_one_worker(copies):
    windows = [list(range(low, low + 7)) for low in range(0, 70, 7)]
    assert sorted(shared_out([doubled] * copies, iter(windows))) == [2 * i for i in range(70)]


def test_windows_are_read_in_the_callers_thread():
    threads = set()

    def windows():
        for i in range(20):
            threads.add(threading.get_ident())
            yield [i]

    assert len(list(shared_out([doubled] * 3, windows()))) == 20
    assert threads == {threading.get_ident()}


def test_an_error_in_a_worker_is_raised_and_nothing_hangs():
    def fails(windows):
        for window in windows:
            if 5 in window:
                raise ValueError("five")
            yield from window

    with pytest.raises(ValueError, match="five"):
        list(shared_out([fails, fails], iter([[i] for i in range(9)])))
    assert threading.active_count() < 4


def test_closing_ends_the_workers():
    results = shared_out([doubled, doubled], iter([[i] for i in range(1000)]))
    next(results)
    results.close()
    assert threading.active_count() < 4


def test_two_devices_answer_as_one_does(saved):
    folder = saved()
    words = ["the", "river", "runs", "through", "the", "old", "city", "and", "nobody", "asks", "why", "it", "bends", "there"]
    requests = [
        Likelihood((user(" ".join(words[i % 5 : i % 5 + 6])),), ("city", "river")) if i % 3 else Generate(user(words[i % 9]), max_tokens=4)
        for i in range(1200)
    ]
    one = {a.index: r for a, r in open_folder(folder).answer(ask(r, i) for i, r in enumerate(requests))}
    two = open_folder(folder, device="cpu,cpu")
    found = {a.index: r for a, r in two.answer(ask(r, i) for i, r in enumerate(requests))}
    assert found.keys() == one.keys()
    assert two.describe()["device"] == "cpu,cpu"
    for index, response in one.items():
        assert found[index].text == response.text
        if response.loglikelihoods:
            assert found[index].loglikelihoods[0] == pytest.approx(response.loglikelihoods[0], abs=1e-4)
