"""Tensor conversion, compared with TensorFlow's."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import tensor_pb2

from tiffin.errors import ServingError
from tiffin.model_server import conversion, fields

TYPES = ("f4", "f8", "i4", "u1", "i2", "i1", "c8", "i8", "?", "u2", "c16", "f2", "u4", "u8")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
ARRAYS = strategies.sampled_from(TYPES).flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), SHAPES))
QUICK = hypothesis.settings(max_examples=150, deadline=None, derandomize=True)


@QUICK
@hypothesis.given(ARRAYS, strategies.booleans())
def test_numbers(array, as_content):
    proto = tensor_pb2.TensorProto.FromString(conversion.encode(array, as_content))
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    np.testing.assert_array_equal(conversion.decode(proto), array)
    theirs = conversion.decode(tf.make_tensor_proto(array))
    assert theirs.dtype == array.dtype
    np.testing.assert_array_equal(theirs, array)


@QUICK
@hypothesis.given(arrays.arrays(object, SHAPES, elements=strategies.binary(max_size=200)), strategies.booleans())
def test_strings(array, as_content):
    proto = tensor_pb2.TensorProto.FromString(conversion.encode(array, as_content))
    assert conversion.decode(proto).tolist() == array.tolist()


def test_bfloat16():
    array = np.array([0.5, -3.0], tf.bfloat16.as_numpy_dtype)
    proto = tensor_pb2.TensorProto.FromString(conversion.encode(array))
    assert tf.make_ndarray(proto).tolist() == conversion.decode(proto).tolist() == [0.5, -3.0]


@QUICK
@hypothesis.given(strategies.lists(strategies.integers(-(2**63), 2**63 - 1)))
def test_varints(numbers):
    packed = fields.varints(np.array(numbers, np.int64))
    assert packed == b"".join(map(fields.varint, numbers))
    assert list(tensor_pb2.TensorProto.FromString(fields.delimited(10, packed)).int64_val) == numbers


@pytest.mark.parametrize(("values", "expected"), [([], [0, 0, 0]), ([7], [7, 7, 7]), ([1, 2, 3, 4], [1, 2, 3])])
def test_missing_values_repeat_the_last_one(values, expected):
    proto = tensor_pb2.TensorProto(dtype=9, int64_val=values)
    proto.tensor_shape.dim.add(size=3)
    assert conversion.decode(proto).tolist() == expected


@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ([-1], ValueError),
        ([0, -1], ValueError),
        ([1 << 62, 4], ValueError),
        ([1 << 40, 1 << 40, 0], ValueError),
        ([1] * 255, ValueError),
        ([(1 << 62) - 1] * 100_000, ValueError),
        ([1] * 254, ServingError),
        ([1] * 65, ServingError),
    ],
)
def test_invalid_shapes(sizes, error):
    """Shapes that TensorFlow rejects, or NumPy does not support; a long one is rejected by its rank alone."""
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(error):
        conversion.decode(proto)


@pytest.mark.parametrize("sizes", [[0, 1 << 20, 1 << 20], [1] * 64, []])
def test_shapes_at_the_limits(sizes):
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    assert conversion.decode(proto).shape == tuple(sizes)


def test_names_of_types():
    names = [conversion.type_name(enum) for enum in (1, 2, 3, 7, 9, 10, 14, 19, 9999)]
    assert names[:8] == ["float", "double", "int32", "string", "int64", "bool", "bfloat16", "half"]
    assert "9999" in names[8]
