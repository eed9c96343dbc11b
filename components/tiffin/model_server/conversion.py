"""Conversion between TensorProtos and NumPy arrays, without a Python loop over numbers.

Decoding accepts the same as tensorflow's core/framework/tensor.cc `Tensor::FromProto`: `tensor_content` of exactly the
right size, or typed values, of which the last is repeated. Encoding follows `AsProtoField`, or `AsProtoTensorContent` on
demand. Packed fields of little-endian numbers are the bytes of the array, so replies are built as wire bytes without
message objects.
"""

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from tensorflow.python.framework import dtypes

from tiffin.errors import ServingError
from tiffin.model_server import fields
from tiffin.model_server.codes import invalid

MAX_DIMENSIONS = 254  # TensorFlow's limit
_NUMPY_DIMENSIONS = 64
# A string's place in an array, and its smallest tstring in a tensor.
_STRING_BYTES = 32

_FLOAT, _DOUBLE, STRING, _BOOL, _HALF, _BFLOAT16 = 1, 2, 7, 10, 19, 14

# enum -> (NumPy dtype, field of TensorProto, field number, dtype of the numbers in the field)
_LAYOUT: dict[int, tuple[Any, str, int, Any]] = {
    _FLOAT: (np.dtype("<f4"), "float_val", 5, None),
    _DOUBLE: (np.dtype("<f8"), "double_val", 6, None),
    3: (np.dtype("<i4"), "int_val", 7, np.int32),
    4: (np.dtype("u1"), "int_val", 7, np.int32),
    5: (np.dtype("<i2"), "int_val", 7, np.int32),
    6: (np.dtype("i1"), "int_val", 7, np.int32),
    STRING: (np.dtype(object), "string_val", 8, None),
    8: (np.dtype("<c8"), "scomplex_val", 9, np.float32),
    9: (np.dtype("<i8"), "int64_val", 10, np.int64),
    _BOOL: (np.dtype(bool), "bool_val", 11, np.bool_),
    _BFLOAT16: (np.dtype(dtypes.bfloat16.as_numpy_dtype), "half_val", 13, np.int32),
    17: (np.dtype("<u2"), "int_val", 7, np.int32),
    18: (np.dtype("<c16"), "dcomplex_val", 12, np.float64),
    _HALF: (np.dtype("<f2"), "half_val", 13, np.int32),
    22: (np.dtype("<u4"), "uint32_val", 16, np.uint32),
    23: (np.dtype("<u8"), "uint64_val", 17, np.uint64),
}
_ENUMS = {layout[0]: enum for enum, layout in _LAYOUT.items()}
_NAMES = {_FLOAT: "float", _DOUBLE: "double", _HALF: "half"}


def type_name(enum: int) -> str:
    """Return the name of a type in TensorFlow's error messages: `float`, `double`, `int64`."""
    if enum in _NAMES:
        return _NAMES[enum]
    try:
        return str(dtypes.as_dtype(enum).name)
    except TypeError:
        return f"unknown dtype enum ({enum})"


def numpy_type(enum: int) -> Any:
    """Return the NumPy dtype of a TensorFlow type, or None."""
    layout = _LAYOUT.get(enum)
    return layout and layout[0]


def type_enum(array: Any) -> int:
    """Return the TensorFlow type of an array fetched from a session."""
    enum = _ENUMS.get(array.dtype)
    return int(dtypes.as_dtype(array.dtype).as_datatype_enum) if enum is None else enum


class Allowance:
    """The bytes by which a request may still grow when it is decoded.

    The last value of a tensor fills its missing elements, so a request of a few bytes can declare any size. TensorFlow relies
    on the allocator to fail.
    """

    def __init__(self, limit: float) -> None:
        """Start with the limit of --max_request_growth_bytes."""
        self._limit = self._left = limit

    def spend(self, size: int, growing: str) -> None:
        """Use some of the bytes, before they are allocated.

        Args:
            size: Number of bytes.
            growing: The part of the request that grows, for the error message.

        Raises:
            ServingError: More bytes are needed than are left.
        """
        if size > self._left:
            raise invalid(
                f"A request should grow by at most {self._limit} bytes on the server. Received: {growing}, which needs {size} "
                "more bytes than were sent. Send all values, or raise --max_request_growth_bytes."
            )
        self._left -= size


def decode(proto: Any, allowance: Allowance | None = None) -> Any:
    """Return the array of a TensorProto.

    Args:
        proto: The tensor.
        allowance: Bytes by which the tensor's request may grow. Defaults to no limit, for tensors of a model.

    Raises:
        ValueError: The shape, the type or the number of bytes is invalid.
        ServingError: The tensor has more dimensions than NumPy supports, or has too few values for its shape, and the request
            would grow by more than `allowance`.
    """
    allowance = allowance or Allowance(math.inf)
    enum = proto.dtype
    if enum not in _LAYOUT:
        raise ValueError("dtype")
    dtype, field, _, stored = _LAYOUT[enum]
    sizes, count = shape(proto.tensor_shape)
    content = proto.tensor_content
    if content:
        if enum == STRING:
            return _strings(fields.read_strings(content, count), sizes, count, allowance)
        if len(content) != count * dtype.itemsize:
            raise ValueError("tensor_content")
        return np.frombuffer(content, dtype).reshape(sizes)
    if count == 0:
        return np.empty(sizes, dtype)
    values = getattr(proto, field)
    if enum == STRING:
        return _strings(values, sizes, count, allowance)
    array = np.array(values, stored or dtype)
    if enum in (_HALF, _BFLOAT16):
        array = array.astype(np.uint16).view(dtype)
    elif enum in (8, 18):
        array = array[: len(array) // 2 * 2].view(dtype)
    elif stored is not None:
        array = array.astype(dtype, copy=False)
    return _filled(array, count, array.itemsize, allowance).reshape(sizes)


def held_bytes(array: Any) -> int:
    """Return the number of bytes of an array's values in a tensor."""
    if array.dtype != object:
        return int(array.nbytes)
    return sum(_STRING_BYTES + len(value) for value in array.flat)


def encode(array: Any, as_content: bool = False) -> bytes:
    """Return the wire bytes of a TensorProto.

    Args:
        array: Array fetched from a session: numbers, or `bytes` objects.
        as_content: Write `tensor_content` instead of the typed field.
    """
    enum = type_enum(array)
    head = _head(enum, array.shape)
    if array.size == 0:
        return head
    if enum == STRING:
        values = array.ravel().tolist()
        if as_content:
            lengths = b"".join(fields.varint(len(value)) for value in values)
            return head + fields.delimited(4, lengths + b"".join(values))
        return head + b"".join(fields.delimited(8, value) for value in values)
    if as_content:
        return head + fields.delimited(4, array.tobytes())
    number = _LAYOUT[enum][2]
    if enum in (_FLOAT, _DOUBLE, 8, 18, _BOOL):
        return head + fields.delimited(number, array.tobytes())
    if enum in (_HALF, _BFLOAT16):
        array = array.view(np.uint16)
    return head + fields.delimited(number, fields.varints(array))


@functools.lru_cache(4096)
def _head(enum: int, sizes: tuple[int, ...]) -> bytes:
    dimensions = b"".join(fields.delimited(2, fields.tagged(1, size)) for size in sizes)
    return fields.tagged(1, enum) + fields.delimited(2, dimensions)


def shape(proto: Any) -> tuple[tuple[int, ...], int]:
    """Return the sizes of a TensorShapeProto and their product.

    Raises:
        ValueError: The shape is unknown or invalid, by the rules of core/framework/tensor_shape.cc `IsValid`.
        ServingError: The shape has more dimensions than NumPy supports.
    """
    # Check the rank first: the product of a hundred thousand large sizes would take minutes.
    if proto.unknown_rank or len(proto.dim) > MAX_DIMENSIONS:
        raise ValueError("rank")
    sizes = tuple([dimension.size for dimension in proto.dim])
    count = 1
    for size in sizes:
        count *= size
        if size < 0 or count >= 1 << 63:
            raise ValueError("shape")
    check_dimensions(len(sizes))
    return sizes, count


def check_dimensions(count: int) -> None:
    """Check that NumPy supports a number of dimensions.

    Raises:
        ServingError: It does not, although TensorFlow does.
    """
    if count > _NUMPY_DIMENSIONS:
        raise ServingError(
            f"Tensors of more than {_NUMPY_DIMENSIONS} dimensions are not supported by this server; got {count}",
            "UNIMPLEMENTED",
        )


def _strings(values: Iterable[bytes], shape: tuple[int, ...], count: int, allowance: Allowance) -> Any:
    array = np.empty(len(values := list(values)), object)
    array[:] = values
    # TensorFlow copies the last string into every element that it fills.
    size = _STRING_BYTES + (len(values[-1]) if values else 0)
    return _filled(array, count, size, allowance, b"").reshape(shape)


def _filled(array: Any, count: int, size: int, allowance: Allowance, blank: Any = 0) -> Any:
    """Return `count` elements: those of the array, then copies of the last one, of `size` bytes each; or all `blank`."""
    missing = count - len(array)
    if missing <= 0:
        return array[:count]
    allowance.spend(missing * size, f"a tensor of {count} elements with {len(array)} values")
    full = np.full(count, array[-1] if len(array) else blank, array.dtype)
    full[: len(array)] = array
    return full
