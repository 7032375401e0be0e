import threading

import pytest

from proctor.engine.in_order import in_order


def test_results_come_in_order_whoever_ran_them():
    apart = threading.Barrier(2)

    def beside():
        apart.wait(30)  # two at a time, or never
        return threading.current_thread() is threading.main_thread()

    def here():
        return threading.current_thread() is threading.main_thread()

    jobs = [(False, here), (True, beside), (True, beside), (False, here), (True, beside), (True, beside)]
    assert list(in_order(jobs, 2)) == [True, False, False, True, False, False]
    numbers = [(n % 3 > 0, lambda n=n: n) for n in range(100)]
    assert list(in_order(numbers, 3)) == list(range(100))


def test_an_exception_comes_in_its_place_and_ends_it():
    begun = []

    def job(n):
        begun.append(n)
        if n == 3:
            raise ValueError("three")
        return n

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(in_order(((True, lambda n=n: job(n)) for n in range(1000)), 2))
    assert found in ([0, 1, 2], [])
    assert len(begun) < 100
