"""The most frequent values are those of TFDV's own method."""

import importlib.util

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_bsl.sketches import KmvSketch, MisraGriesSketch

from tiffin.validation.tfdv import top_k_uniques_sketch_stats_generator as installed
from tiffin.validation.top_values import columns_of


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


def test_tfdv_uses_them_and_has_the_same_estimate():
    spec = importlib.util.find_spec(installed.__name__)
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    values = pa.array([b"a", b"b", b"a"])
    found = []
    for module in (installed, original):
        sketch = module._CombinedSketch(KmvSketch(8), MisraGriesSketch(8), MisraGriesSketch(8))
        sketch.add(values, pa.array([0.5, 1.0, 2.0], pa.float32()))
        found.append([sketch.estimate().distinct, *map(list, sketch.estimate()[1:])])

    assert installed._CombinedSketch.estimate is not original._CombinedSketch.estimate
    assert installed._CombinedSketch.estimate.__module__ == "tiffin.validation.top_values"
    assert found[0] == found[1] == [2, [(b"a", 2.0), (b"b", 1.0)], [(b"a", 2.5), (b"b", 1.0)]]
