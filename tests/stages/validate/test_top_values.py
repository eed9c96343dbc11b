"""The most frequent values are those of TFDV's own method."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_bsl.sketches import MisraGriesSketch

from tiffin.stages.validate.top_values import columns_of


def counted(values):
    sketch = MisraGriesSketch(8)
    if values is not None:
        sketch.AddValues(values)
    return sketch.Estimate()


@pytest.mark.parametrize("values", [None, pa.array([], pa.string()), pa.array([None], pa.int64())])
def test_no_values(values):
    assert columns_of(counted(values)) == ([], [])


@given(st.lists(st.binary(max_size=3)).map(lambda values: pa.array(values, pa.binary()))
       | st.lists(st.text(max_size=3)).map(lambda values: pa.array(values, pa.string()))
       | st.lists(st.integers(-3, 3)).map(lambda values: pa.array(values, pa.int64())))  # fmt: skip
def test_any_values(values):
    found = counted(values)
    pairs = [(pair["values"], pair["counts"]) for pair in found.to_pylist()]

    assert list(zip(*columns_of(found), strict=True)) == pairs
    assert [tuple(map(type, pair)) for pair in zip(*columns_of(found), strict=True)] == [
        tuple(map(type, pair)) for pair in pairs
    ]
