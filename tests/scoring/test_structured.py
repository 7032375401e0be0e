"""Lists in answers, and masks: what is written is read again, and nothing that is not meant."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from proctor.scoring.masks import decode_mask, map_text, read_map
from proctor.scoring.structured import json_list, listed, tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
LABELS = st.lists(st.text("abcé -'", min_size=1).map(str.strip).filter(lambda label: label not in ("", "-", "none")))


@given(st.lists(JSON))
def test_a_json_list_is_read_bare_fenced_and_in_a_sentence(value):
    text = json.dumps(value)
    assert json_list(text) == value
    assert json_list(f"Sure:\n```json\n{text}\n```\nDone.") == value
    assert json_list(f"The answer is {text}, I think.") == value


@given(st.text())
def test_any_text_gives_a_list_of_labels_and_of_tokens(text):
    assert all(isinstance(label, str) and label.strip() == label != "" for label in listed(text))
    assert all(isinstance(tag, str) for tag in tokens(text))


@given(LABELS)
def test_labels_are_read_however_they_are_separated(labels):
    assert listed(json.dumps(labels)) == listed(labels) == labels
    for separator in (", ", ";", "\n", " | "):
        assert listed(separator.join(labels)) == labels or not labels


@given(st.lists(st.text("BIO-PERSLOC", min_size=1)))
def test_tags_are_read_from_lists_and_lines(tags):
    assert tokens(tags) == tokens(json.dumps(tags)) == tokens(" ".join(tags)) == tags


def test_many_brackets_take_no_time():
    assert json_list("[" * 100_000) is None
    assert json_list("none at all") is None
    assert json_list('{"a": [1]}') == [1]


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)))
def test_a_label_map_survives(labels):
    np.testing.assert_array_equal(read_map(map_text(labels)), labels)
    np.testing.assert_array_equal(read_map(labels.tolist()), labels)


@pytest.mark.parametrize(
    "value", ["", "7", "[1, 2]", "[[1.5]]", '{"size": [1], "runs": []}', '{"size": [1, 2], "runs": [[1, 3]]}', "[[1], [2, 3]]"]
)
def test_what_is_no_map_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        read_map(value)


@given(st.text("0123456789:;<=>?@ABCDPQRSTUVWXYZ[\\]^_`abco", max_size=12))
def test_any_compressed_text_is_a_mask_or_refused(text):
    try:
        mask = decode_mask({"size": [3, 4], "counts": text})
    except ValueError:
        return
    assert mask.shape == (3, 4)
