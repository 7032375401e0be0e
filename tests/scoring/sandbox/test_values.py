"""Values that cross between program and tests."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.scoring.sandbox import values
from proctor.scoring.sandbox.values import DEPTH, Channel, Codec


def refuse(value):
    raise TypeError(type(value).__name__)


CODEC = Codec(refuse, lambda reference: ("reference", *reference))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.complex_numbers(allow_nan=False)
)
KEYS = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
VALUES = st.recursive(
    SCALARS | st.decimals(allow_nan=False) | st.fractions() | st.dates() | st.datetimes() | st.timedeltas() | st.sets(KEYS, max_size=3),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_comes_back_as_it_went(value):
    back = CODEC.decode(json.loads(json.dumps(CODEC.encode(value))))
    assert back == value
    assert type(back) is type(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["list", "set", "dict", "int", "bytes", "range", "type", "ref", "decimal", "date"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON)
def test_whatever_is_read_is_data_or_refused(data):
    try:
        value = CODEC.decode(data)
    except (ValueError, TypeError, OverflowError, ArithmeticError, MemoryError, AttributeError, LookupError):
        return
    assert value is None or type(value).__module__ in ("builtins", "collections", "decimal", "fractions", "datetime")
    assert not callable(value) or isinstance(value, type)


def test_subclasses_are_the_data_they_hold():
    class Always(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    class Text(str):
        __slots__ = ()

        def __str__(self):
            return "something else"

    class Hidden(list):
        def __iter__(self):
            return iter([1, 2, 3])

        def __len__(self):
            return 3

    assert CODEC.decode(CODEC.encode([Always(7), Text("x"), Hidden()])) == [7, "x", []]
    assert [type(one) for one in CODEC.decode(CODEC.encode([Always(7), Text("x"), Hidden()]))] == [int, str, list]


def test_numbers_of_numpy():
    import numpy as np

    assert CODEC.encode(np.float64(0.5)) == 0.5
    assert CODEC.encode(np.int8(3)) == 3
    assert CODEC.encode(np.bool_(True)) is True
    with pytest.raises(TypeError):
        CODEC.encode(np.array([1, 2]))


def test_what_is_too_deep():
    value = []
    for _ in range(DEPTH + 1):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        CODEC.encode(value)


def test_messages_in_pieces_and_the_end():
    source, sink = os.pipe()
    channel = Channel(source, sink)
    os.write(sink, b"[1")
    os.write(sink, b']\n{"a": 2}\n[')
    os.close(sink)
    assert channel.receive() == [1]
    assert channel.receive() == {"a": 2}
    with pytest.raises(EOFError):
        channel.receive()
    os.close(source)


def test_a_message_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(values, "MESSAGE", 10)
    source, sink = os.pipe()
    os.write(sink, b"[" * (1 << 16))
    os.close(sink)
    with pytest.raises(ValueError, match="too long"):
        Channel(source, -1).receive()
    os.close(source)
