"""Scores over two properties, beside pandas' pivot table."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.analysis.heat_map import heat_map

cells = st.tuples(st.integers(0, 4), st.sampled_from([0, 25, 50.5]), st.none() | st.floats(0, 1))


@settings(deadline=None, max_examples=50)
@given(st.lists(cells, min_size=1, max_size=60))
def test_as_pandas_pivots(items):
    rows, columns, scores = zip(*[(r, c, math.nan if s is None else s) for r, c, s in items], strict=True)
    found = heat_map(rows, columns, scores)
    frame = pd.DataFrame({"row": rows, "column": columns, "score": scores})
    pivot = frame.pivot_table(index="row", columns="column", values="score", aggfunc="mean", dropna=False)
    pivot = pivot.reindex(index=sorted(set(rows)), columns=sorted(set(columns)))
    assert found.rows == tuple(sorted(set(rows)))
    assert found.columns == tuple(sorted(set(columns)))
    np.testing.assert_allclose(found.means, pivot.to_numpy(dtype=float))
    counts = frame.dropna().groupby(["row", "column"]).size()
    assert found.counts.sum() == counts.sum()
    np.testing.assert_allclose(found.row_means, frame.groupby("row")["score"].mean().to_numpy())
    np.testing.assert_allclose(found.column_means, frame.groupby("column")["score"].mean().to_numpy())


def test_names_keep_their_order_and_numbers_get_theirs():
    found = heat_map(["late", "early", "late"], [10, 9, 2.5], [1, 0, 1])
    assert found.rows == ("late", "early")
    assert found.columns == (2.5, 9, 10)
    assert found.mean == pytest.approx(2 / 3)
    assert np.isnan(found.means[1, 0])


@pytest.mark.parametrize("columns", [[], [1, 2]])
def test_what_cannot_be_laid_out(columns):
    with pytest.raises(ValueError, match=r"differ in length|nothing to lay out"):
        heat_map([1] if columns else [], columns, [1] if columns else [])
