import contextlib

import numpy as np
import pytest
from google.protobuf import message
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tiffin.errors import InputError, ServingError
from tiffin.serving import tensors, wire

NUMERIC = [
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
]
NUMBERS = {value.name: value.number for value in wire.DataType.values}


def read(**fields):
    shape = fields.pop("shape", ())
    proto = wire.TensorProto(dtype=NUMBERS[fields.pop("dtype")], **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return tensors.from_proto(proto)


def same(one, other):
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)])
def test_empty_and_small_arrays(dtype, shape):
    array = np.ones(shape, dtype)

    same(tensors.from_proto(tensors.to_proto(array)), array)


@given(st.data())
def test_all_types_and_shapes(data):
    dtype = data.draw(st.sampled_from(NUMERIC))
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))

    same(tensors.from_proto(tensors.to_proto(array)), array)


@given(hnp.arrays(object, hnp.array_shapes(min_dims=0, min_side=0), elements=st.binary(max_size=5)))
def test_strings(array):
    back = tensors.from_proto(tensors.to_proto(array))

    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


def test_text_is_utf8():
    assert tensors.from_proto(tensors.to_proto(["ü", "a"])).tolist() == ["ü".encode(), b"a"]


def test_other_byte_orders_and_strides():
    array = np.arange(6, dtype=">i4").reshape(2, 3).T

    assert tensors.from_proto(tensors.to_proto(array)).tolist() == array.tolist()


def test_a_read_array_is_writable():
    array = tensors.from_proto(tensors.to_proto(np.zeros(3)))
    array[0] = 1

    assert array[0] == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dtype": "DT_FLOAT", "float_val": [1.5, 2.0], "shape": [2]}, [1.5, 2.0]),
        ({"dtype": "DT_FLOAT", "float_val": [1.5], "shape": [3]}, [1.5, 1.5, 1.5]),
        ({"dtype": "DT_INT32", "int_val": [1, 2], "shape": [4]}, [1, 2, 2, 2]),
        ({"dtype": "DT_INT64", "shape": [2]}, [0, 0]),
        ({"dtype": "DT_INT64", "shape": [0]}, []),
        ({"dtype": "DT_STRING", "shape": [2]}, [b"", b""]),
        ({"dtype": "DT_STRING", "string_val": [b"a"], "shape": [1, 1]}, [[b"a"]]),
        ({"dtype": "DT_BOOL", "bool_val": [True]}, True),
        ({"dtype": "DT_UINT8", "int_val": [255]}, 255),
        ({"dtype": "DT_INT8", "int_val": [-128]}, -128),
        ({"dtype": "DT_UINT64", "uint64_val": [2**64 - 1]}, 2**64 - 1),
        ({"dtype": "DT_HALF", "half_val": [0x3C00, 0xC000], "shape": [2]}, [1.0, -2.0]),
        ({"dtype": "DT_COMPLEX64", "scomplex_val": [1, 2]}, 1 + 2j),
        ({"dtype": "DT_QUINT8", "int_val": [7]}, 7),
    ],
)
def test_values_in_repeated_fields(fields, expected):
    assert read(**fields).tolist() == expected


def test_bfloat16():
    array = read(dtype="DT_BFLOAT16", half_val=[0x3F80, 0xC000], shape=[2])

    assert array.astype("f4").tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("dtype", "field"), [("DT_FLOAT", "float_val"), ("DT_DOUBLE", "double_val")])
@pytest.mark.parametrize("count", [255, 256, 4096, 70_000])
@pytest.mark.parametrize("more", [{}, {"version_number": 3}, {"float8_val": b"x"}])
def test_long_lists_are_read_as_one_block(dtype, field, count, more):
    values = np.random.default_rng(0).normal(size=count).astype("f4")

    assert read(dtype=dtype, shape=[count], **{field: values.tolist()}, **more).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"dtype": "DT_FLOAT", "float_val": [1, 2, 3], "shape": [2]}, r" \[2\], .* 3 values"),
        ({"dtype": "DT_FLOAT", "tensor_content": b"123", "shape": [1]}, r" \[1\] .*float32, .* 3 bytes"),
        ({"dtype": "DT_FLOAT", "float_val": [1], "shape": [1 << 20, 1 << 20]}, r" \[1048576, 1048576\], .* 1 values"),
        ({"dtype": "DT_STRING", "shape": [1 << 40]}, r" \[1099511627776\], .* 1 values"),
        ({"dtype": "DT_FLOAT", "shape": [-1]}, r" shape \[-1\], "),
        ({"dtype": "DT_INVALID"}, "DT_INVALID, .*numpy"),
        ({"dtype": "DT_RESOURCE"}, "DT_RESOURCE, .*numpy"),
        ({"dtype": "DT_UINT8", "int_val": [256]}, "number .* uint8"),
        ({"dtype": "DT_COMPLEX64", "scomplex_val": [1]}, " 1 .* complex "),
    ],
)
def test_inconsistent_messages(fields, pattern):
    with pytest.raises(ServingError, match=pattern) as caught:
        read(**fields)

    assert caught.value.code == "DATA_LOSS"


@given(st.binary(max_size=60))
def test_arbitrary_bytes(content):
    try:
        proto = wire.TensorProto.FromString(content)
    except message.DecodeError:
        return
    with contextlib.suppress(ServingError):
        assert tensors.from_proto(proto).size <= 1 << 24


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        (np.array(["2020-01-01"], "M8[D]"), r"float32, .*Received: datetime64\[D\]"),
        (np.array([None, "a"], object), r"bytes.*Received: None \(NoneType\)"),
        ([{"a": 1}], r"bytes.*Received: \{'a': 1\} \(dict\)"),
    ],
)
def test_values_that_cannot_be_sent(value, pattern):
    with pytest.raises(InputError, match=pattern):
        tensors.to_proto(value)


def test_unknown_type_numbers_have_a_name():
    assert [tensors.dtype_name(number) for number in (1, 7, 29, 999)] == ["float32", "string", "DT_INT4", "999"]
