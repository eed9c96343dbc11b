"""Conversion of the REST API's JSON requests to arrays.

The formats, checks and messages are those of tensorflow/serving's util/json_tensor.cc.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tiffin.errors import ServingError
from tiffin.model_server import conversion
from tiffin.model_server.codes import invalid
from tiffin.model_server.json_replies import shown, type_name

_STRING = 7
_RANGES = {3: (-(2**31), 2**31), 9: (-(2**63), 2**63), 22: (0, 2**32), 23: (0, 2**64)}
_RANGES |= dict.fromkeys((4, 5, 6), _RANGES[3])  # int8, int16 and uint8 are read as int32


def predict_inputs(document: Mapping[str, Any], types: Mapping[str, int]) -> tuple[dict[str, Any], bool]:
    """Return the arrays of a predict request by alias, and whether it is in row format (`instances`).

    Args:
        document: Parsed request.
        types: Type of each input of the signature, by alias.

    Raises:
        ServingError: The request is invalid, with TF Serving's message.
    """
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
        if not instances:
            raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
        return _rows(instances, types), True
    if "inputs" in document:
        return _columns(document["inputs"], types), False
    raise invalid("Missing 'inputs' or 'instances' key")


def _rows(instances: list[Any], types: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(instances[0], dict) and len(types) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if not _is_object(instances[0]):
        for index, value in enumerate(instances):
            if _is_object(value):
                raise invalid(f"Expecting value/list but got object at item {index} of input list")
        (alias, type_), *_ = types.items()
        return {alias: _stacked(instances, type_, "Failed to process element: {} of 'instances' list.")}
    aliases = sorted(types)
    for index, value in enumerate(instances):
        if not _is_object(value):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for key in value:
            if key not in types:
                raise invalid(
                    f"Failed to process element: {index} key: {key} of 'instances' list. Error: INVALID_ARGUMENT: "
                    f"JSON object: does not have named input: {key}"
                )
        if sorted(value) != aliases:
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(value)} keys must be "
                f"equal to: {','.join(aliases)}"
            )
    return {
        alias: _stacked(
            [value[alias] for value in instances],
            types[alias],
            f"Failed to process element: {{}} key: {alias} of 'instances' list.",
        )
        for alias in aliases
    }


def _stacked(values: list[Any], type_: int, where: str) -> Any:
    quick = _quick(values, type_)
    if quick is not None:
        return quick
    arrays: list[Any] = []
    for index, value in enumerate(values):
        try:
            array = _dense(value, type_)
            if arrays and array.size != arrays[0].size:
                raise invalid(f"Expecting tensor size: {arrays[0].size} but got: {array.size}")
            if arrays and array.shape != arrays[0].shape:
                raise invalid(f"Expecting shape {_shape(arrays[0])} but got: {_shape(array)}")
        except ServingError as error:
            raise invalid(f"{where.format(index)} Error: {error.code}: {error}") from None
        arrays.append(array)
    return np.stack(arrays)


def _columns(inputs: Any, types: Mapping[str, int]) -> dict[str, Any]:
    if not _is_object(inputs):
        if len(types) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        (alias, type_), *_ = types.items()
        return {alias: _dense(inputs, type_)}
    arrays = {}
    for alias, type_ in types.items():
        if alias not in inputs:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
        arrays[alias] = _dense(inputs[alias], type_)
    return arrays


def _dense(value: Any, type_: int) -> Any:
    quick = _quick(value, type_)
    if quick is not None:
        return quick
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > conversion.MAX_DIMENSIONS:
        raise invalid(f"tensor parsing error: {len(shape)} dimensions")
    conversion.check_dimensions(len(shape))
    leaves: list[Any] = []
    _fill(value, 0, shape, type_, leaves)
    dtype = conversion.numpy_type(type_)
    if type_ == _STRING:
        array = np.empty(len(leaves), object)
        array[:] = leaves
    else:
        array = np.array(leaves, conversion.numpy_type(3) if type_ in (4, 5, 6) else dtype).astype(dtype)
    return array.reshape(shape)


def _quick(value: Any, type_: int) -> Any:
    """Return the array if NumPy can convert the value without errors, else None: the slow path then finds the errors."""
    # Check the types first: NumPy converts true to 1 beside numbers, and beside a long text it makes every element as long.
    if type_ not in (1, 2, 3, 9) or not isinstance(value, list) or not _is_numeric(value):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in ("i" if type_ in (3, 9) else "fi"):
        return None
    if type_ == 3 and array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        return None
    with np.errstate(over="ignore"):
        return array.astype(conversion.numpy_type(type_))


def _is_numeric(value: list[Any]) -> bool:
    if value and isinstance(value[0], list):
        return all(isinstance(item, list) and _is_numeric(item) for item in value)
    return set(map(type, value)) <= {int, float}


def _fill(value: Any, level: int, shape: list[int], type_: int, leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at "
                f"level: {len(shape)}"
            )
        leaves.append(_leaf(value, type_))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, type_, leaves)


def _leaf(value: Any, type_: int) -> Any:
    if type_ == _STRING:
        if isinstance(value, str):
            return value.encode("utf-8", errors="surrogateescape")
        if isinstance(value, dict):
            return decoded(value)
    elif type_ in (1, 2):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif type_ in _RANGES:
        low, high = _RANGES[type_]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value < high:
            return value
    elif type_ == 10:
        if isinstance(value, bool):
            return value
    elif not isinstance(value, dict):
        raise ServingError(
            f"Conversion of JSON Value: {shown(value)} to type: {conversion.type_name(type_)}", "UNIMPLEMENTED"
        )
    raise invalid(
        f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {conversion.type_name(type_)}"
    )


def decoded(value: dict[str, Any]) -> bytes:
    """Return the bytes of a `{"b64": ..}` object.

    Raises:
        ServingError: The object or its base64 text is invalid.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = re.sub(r"\s", "", value["b64"]).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Return whether a value is a `{"b64": ..}` object."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _shape(array: Any) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
