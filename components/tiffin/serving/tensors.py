"""Conversion between numpy arrays and TensorFlow's TensorProto, without a Python loop over numbers."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tiffin.errors import InputError, ServingError
from tiffin.serving import wire
from tiffin.serving.bfloat16 import BFLOAT16, widen

Array = npt.NDArray[Any]

# DataType to numpy's name and the repeated field for its values.
_KINDS = {
    "DT_FLOAT": ("float32", "float_val"),
    "DT_DOUBLE": ("float64", "double_val"),
    "DT_INT32": ("int32", "int_val"),
    "DT_UINT8": ("uint8", "int_val"),
    "DT_INT16": ("int16", "int_val"),
    "DT_INT8": ("int8", "int_val"),
    "DT_UINT16": ("uint16", "int_val"),
    "DT_INT64": ("int64", "int64_val"),
    "DT_UINT32": ("uint32", "uint32_val"),
    "DT_UINT64": ("uint64", "uint64_val"),
    "DT_BOOL": ("bool", "bool_val"),
    "DT_COMPLEX64": ("complex64", "scomplex_val"),
    "DT_COMPLEX128": ("complex128", "dcomplex_val"),
    "DT_HALF": ("float16", "half_val"),
    "DT_BFLOAT16": ("bfloat16", "half_val"),
    "DT_STRING": ("string", "string_val"),
    "DT_QINT8": ("int8", "int_val"),
    "DT_QUINT8": ("uint8", "int_val"),
    "DT_QINT16": ("int16", "int_val"),
    "DT_QUINT16": ("uint16", "int_val"),
    "DT_QINT32": ("int32", "int_val"),
}
_NUMBERS = {value.name: value.number for value in wire.DataType.values}
_BY_NUMBER = {_NUMBERS[name]: kind for name, kind in _KINDS.items()}
_TO_NUMBER = {kind: _NUMBERS[name] for name, (kind, _) in _KINDS.items() if not name.startswith("DT_Q")}
# A single value may fill all elements, so that a few bytes can declare any size. Larger tensors are rejected.
_MAX_FILLED_ELEMENTS = 1 << 24
# Below this size, reading the field is faster than serializing and cutting the message.
_MIN_CUT_ELEMENTS = 256


def dtype_name(number: int) -> str:
    """Return numpy's name of a TensorFlow DataType, `string`, or TensorFlow's name for other types."""
    if number in _BY_NUMBER:
        return _BY_NUMBER[number][0]
    value = wire.DataType.values_by_number.get(number)
    return value.name if value else str(number)


def to_proto(array: Any, into: Any = None) -> Any:
    """Convert an array, or a value that numpy converts to one, to a TensorProto.

    Args:
        array: Numbers, booleans, strings or bytes. Text is encoded as UTF-8.
        into: TensorProto to fill. Defaults to a new one.

    Raises:
        InputError: TensorFlow does not have the type.
    """
    proto = wire.TensorProto() if into is None else into
    array = np.asarray(array)
    if array.dtype.kind in "USOT":
        proto.dtype = _TO_NUMBER["string"]
        proto.string_val.extend(_encode(array.ravel().tolist()))
    else:
        number = _TO_NUMBER.get("bfloat16" if array.dtype == BFLOAT16 else array.dtype.name)
        if number is None:
            raise InputError(
                f"A tensor's type should be one of {', '.join(sorted(_TO_NUMBER))}. Received: {array.dtype}. "
                "Convert it, for example a date to seconds or to text."
            )
        proto.dtype = number
        proto.tensor_content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if not array.shape:
        proto.tensor_shape.SetInParent()
    return proto


def _encode(values: Iterable[Any]) -> Iterable[bytes]:
    for value in values:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, str):
            yield value.encode()
        else:
            raise InputError(
                f"A string tensor should contain text or bytes. Received: {value!r} ({type(value).__name__}). "
                "Convert the column to one type; use '' for missing values."
            )


def from_proto(proto: Any) -> Array:
    """Convert a TensorProto to a new array; strings become an array of `bytes` objects.

    Without the package ml_dtypes, bfloat16 becomes float32, which is lossless.

    Raises:
        ServingError: The message is inconsistent, or numpy does not support its type.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    kind, field = _BY_NUMBER.get(proto.dtype, ("", ""))
    if not kind:
        raise _broken(f"has the type {dtype_name(proto.dtype)}, which numpy does not support")
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise _broken(f"declares the shape {list(shape)}, which is not fully defined")
    count = math.prod(shape)
    if kind == "string":
        return _strings(proto, shape, count)
    stored = np.dtype("uint16" if field == "half_val" else kind).newbyteorder("<")
    content: bytes = proto.tensor_content
    if not content and count >= _MIN_CUT_ELEMENTS:
        content = _cut_packed(proto, field, count, stored)
    if content:
        if len(content) != count * stored.itemsize:
            raise _broken(f"declares the shape {list(shape)} of {kind}, but has {len(content)} bytes")
        array = np.frombuffer(content, stored).astype(stored.newbyteorder("="))  # a writable copy
    else:
        array = _fill(_values(proto, field, stored), count, shape)
    return _reinterpret(array, kind).reshape(shape)


def _broken(reason: str) -> ServingError:
    return ServingError(
        f"A tensor in the response {reason}. Check the model's outputs and the server's log.", "DATA_LOSS"
    )


def _strings(proto: Any, shape: tuple[int, ...], count: int) -> Array:
    values = np.empty(len(proto.string_val), dtype=object)
    values[:] = list(proto.string_val)
    if not len(values):
        values = np.array([b""], dtype=object)
    return _fill(values, count, shape).reshape(shape)


def _values(proto: Any, field: str, stored: np.dtype[Any]) -> Array:
    """Return the values of a repeated field; a single zero if it is empty, as in TensorFlow."""
    values = getattr(proto, field)
    if not len(values):
        return np.zeros(1, stored)
    if stored.kind == "c":  # real and imaginary parts alternate
        parts = np.array(values, "float32" if stored.itemsize == 8 else "float64")
        if len(parts) % 2:
            raise _broken(f"has {len(parts)} parts of complex numbers, an odd number")
        return parts.view(stored)
    array = np.array(values, "int32" if field in ("int_val", "half_val") else stored)
    narrow = array.astype(stored)
    if narrow.dtype.itemsize < array.dtype.itemsize and (narrow != array).any():
        raise _broken(f"has a number outside the range of {stored.name}")
    return narrow


def _cut_packed(proto: Any, field: str, count: int, stored: np.dtype[Any]) -> bytes:
    """Return the wire-format bytes of a packed field of fixed width, or empty bytes for other fields.

    Reading the repeated field would take one step per element; in the serialized message the values are one block.
    """
    if field not in ("float_val", "double_val") or len(getattr(proto, field)) != count:
        return b""
    size = count * stored.itemsize
    message = proto.SerializeToString()
    length, rest = b"", size
    while rest >= 0x80:
        length, rest = length + bytes([rest & 0x7F | 0x80]), rest >> 7
    tag = bytes([proto.DESCRIPTOR.fields_by_name[field].number << 3 | 2]) + length + bytes([rest])
    # The block is at the end unless fields with higher numbers are set, which no server does.
    return message[-size:] if message[: -size or None].endswith(tag) else b""


def _fill(values: Array, count: int, shape: tuple[int, ...]) -> Array:
    """Repeat the last value up to `count` values, as TensorFlow does."""
    if len(values) > count:
        if count == 0:
            return values[:0]
        raise _broken(f"declares the shape {list(shape)}, but has {len(values)} values")
    if len(values) == count:
        return values
    if count > _MAX_FILLED_ELEMENTS:
        raise _broken(f"declares the shape {list(shape)}, but has {len(values)} values")
    return np.concatenate([values, np.repeat(values[-1:], count - len(values))])


def _reinterpret(array: Array, kind: str) -> Array:
    if kind == "float16":
        return array.view(np.float16)
    if kind == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            return widen(array)
        return array.view(ml_dtypes.bfloat16)
    return array
