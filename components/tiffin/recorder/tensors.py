"""Tensors as lists of Python values, for requests with many small ones.

The messages are TensorFlow Serving's, except that the shape of a tensor is declared as bytes, which have the same wire format.
A model has few shapes, so each is parsed once: reading the dimensions of every tensor took twice the time of all the rest.
"""

import functools
import math
import struct
from typing import Any, NamedTuple

from tiffin.recorder.bodies import Unreadable
from tiffin.serving import tensors, wire
from tiffin.serving.bfloat16 import is_bfloat16, widen

# Values of one request, of which a body of 1 MiB has far fewer unless it makes use of a gap in the format: a single value may
# stand for any number of equal ones.
MAX_VALUES = 1 << 20
# Names of one request, of inputs and outputs or features: a client may invent them.
_MAX_NAMES = 10_000


def check_size(names: int, values: int) -> None:
    """Raise an Unreadable if a request has too many names of inputs and outputs, or too many values."""
    if names > _MAX_NAMES or values > MAX_VALUES:
        raise Unreadable("too_large")


class Tensor(NamedTuple):
    """A tensor of a request or an answer.

    Attributes:
        column: Name of its column, such as `input.fare`.
        dtype: numpy's name of its type, or `string`.
        shape: Its shape.
        values: Its values, in row-major order.
    """

    column: str
    dtype: str
    shape: tuple[int, ...]
    values: list[Any]


def _declare_shapes_as_bytes(file: Any) -> None:
    for message in file.message_type:
        if message.name == "TensorProto":
            [field] = [field for field in message.field if field.name == "tensor_shape"]
            field.type = field.TYPE_BYTES
            field.ClearField("type_name")


METHODS = wire.find_methods(wire.build_pool(_declare_shapes_as_bytes)[1])
# Types that are read here, to their field and the format of a value; `serving.tensors` reads the others.
_PLAIN = {
    wire.DataType.values_by_name[name].number: plain
    for name, plain in {
        "DT_FLOAT": ("float32", "float_val", "f"),
        "DT_DOUBLE": ("float64", "double_val", "d"),
        "DT_INT32": ("int32", "int_val", "i"),
        "DT_INT64": ("int64", "int64_val", "q"),
        "DT_BOOL": ("bool", "bool_val", "?"),
        "DT_STRING": ("string", "string_val", ""),
    }.items()
}


class Form(NamedTuple):
    """How to read the tensors with a type and a shape.

    Attributes:
        dtype: numpy's name of the type, or `string`; empty if it is not one of `_PLAIN`.
        field: Repeated field of the values.
        shape: The shape.
        size: Number of values; -1 if the shape is not known.
        format: Format of the values in `tensor_content`; None of text.
    """

    dtype: str
    field: str
    shape: tuple[int, ...]
    size: int
    format: struct.Struct | None


def read_tensor(column: str, proto: Any) -> Tensor:
    """Return a tensor of a message of `METHODS`.

    Raises:
        Unreadable: It has too many values.
        ServingError: The message is inconsistent, or numpy does not support its type.
    """
    dtype, field, shape, count, form = read_form(proto.dtype, proto.tensor_shape)
    if form is not None and (content := proto.tensor_content):
        if len(content) == form.size:
            return Tensor(column, dtype, shape, list(form.unpack(content)))
    elif field and len(values := getattr(proto, field)) == count:
        return Tensor(column, dtype, shape, [values[0]] if count == 1 else list(values))
    array = tensors.from_proto(wire.TensorProto.FromString(proto.SerializeToString()))
    array = widen(array) if is_bfloat16(array) else array
    return Tensor(column, dtype or array.dtype.name, shape, array.ravel().tolist())


@functools.lru_cache(maxsize=4096)
def read_form(number: int, content: bytes) -> Form:
    """Return the form of tensors with the number of a type and a serialized shape.

    Raises:
        Unreadable: It has too many values.
    """
    shape = tuple(dim.size for dim in wire.TensorShapeProto.FromString(content).dim)
    # `serving.tensors` rejects a shape that is not known.
    count = math.prod(shape) if min(shape, default=0) >= 0 else -1
    if count > MAX_VALUES:
        raise Unreadable("too_large")
    dtype, field, code = _PLAIN.get(number, ("", "", ""))
    return Form(dtype, field, shape, count, struct.Struct(f"<{count}{code}") if code and count > 0 else None)
