"""The JSON of replies and of values in error messages, following tensorflow/serving's util/json_tensor.cc.

Numbers have the same format: whole floats as `3.0`, float32 with the shortest digits, NaN and Infinity by name. White
space is Python's.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tiffin.model_server import conversion
from tiffin.model_server.codes import invalid

_SHOWN = 512  # characters of a value in an error message
_FLOAT, _STRING = 1, 7
_WRITABLE = frozenset((_FLOAT, 2, 3, 4, 5, 6, _STRING, 9, 10, 22, 23))
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def type_name(value: Any) -> str:
    """Return rapidjson's name of a JSON value's type."""
    if isinstance(value, bool):
        return "True" if value else "False"
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
    return names.get(type(value), "Null")


def shown(value: Any) -> str:
    """Return the beginning of a value's JSON, for an error message."""
    text = ""
    for piece in _ENCODER.iterencode(value):
        text += piece[:_SHOWN]
        if len(text) >= _SHOWN:
            break
    return text[:_SHOWN]


def error(text: str) -> str:
    """Return the body of a failed request."""
    return _ENCODER.encode({"error": text})


def rows(outputs: Mapping[str, Any]) -> str:
    """Return the reply to `instances`: one prediction per instance.

    Raises:
        ServingError: The outputs differ in their number of rows, or have a type without a JSON format.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    count = None
    for alias, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {alias} has no shape information ")
        if count is not None and len(array) != count:
            raise invalid(f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)
    columns = {alias: _plain(alias, array) for alias, array in outputs.items()}
    if len(columns) == 1:
        (predictions,) = columns.values()
    else:
        predictions = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return _ENCODER.encode({"predictions": predictions})


def columns(outputs: Mapping[str, Any]) -> str:
    """Return the reply to `inputs`: whole tensors.

    Raises:
        ServingError: An output has a type without a JSON format.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    named = {alias: _plain(alias, array) for alias, array in outputs.items()}
    return _ENCODER.encode({"outputs": next(iter(named.values())) if len(named) == 1 else named})


def classifications(result: Any) -> str:
    """Return the reply to a classify request."""
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    listed = [
        [[_text(one.label), score] for one, score in zip(row.classes, _floats(scores), strict=True)]
        for row in result.classifications
        for scores in [np.array([one.score for one in row.classes], np.float32)]
    ]
    return _ENCODER.encode({"results": listed})


def regressions(result: Any) -> str:
    """Return the reply to a regress request."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = np.array([one.value for one in result.regressions], np.float32)
    return _ENCODER.encode({"results": _floats(values)})


def _plain(alias: str, array: Any) -> Any:
    """Return an output as nested lists of JSON values, or as a single value."""
    type_ = conversion.type_enum(array)
    if type_ not in _WRITABLE:
        raise invalid(f"Failed to write JSON value for tensor type: {conversion.type_name(type_)}")
    if type_ == _FLOAT:
        return _floats(array)
    if type_ == _STRING:
        form = _base64 if alias.endswith("_bytes") else _text
        texts = np.empty(array.size, object)
        texts[:] = [form(value) for value in array.ravel().tolist()]
        return texts.reshape(array.shape).tolist()
    return array.tolist()


def _floats(array: Any) -> Any:
    """Return a float32 array as Python floats with the shortest digits that identify each float32."""
    return array.astype(str).astype(np.float64).tolist()


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}
