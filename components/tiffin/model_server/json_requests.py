"""REST requests and their tf.Examples, following tensorflow/serving's util/json_tensor.cc.

The message for invalid JSON is Python's.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from tensorflow.core.example import example_pb2

from tiffin.model_server.codes import invalid
from tiffin.model_server.json_arrays import decoded, is_base64
from tiffin.model_server.json_replies import shown, type_name

_BIG = re.compile(rb"[0-9]{308}|[0-9][eE]\+?[0-9]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_FIRST, _SECOND = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


def parse(body: bytes) -> dict[str, Any]:
    """Parse a request's body.

    Raises:
        ServingError: The body is not a JSON object.
    """
    _check_surrogates(body)
    # Read numbers in Python only where one may be too big: it takes several times as long.
    reading: dict[str, Any] = {"parse_int": _int, "parse_float": _float} if _BIG.search(body) else {}
    try:
        value = json.loads(body.decode("utf-8-sig", errors="surrogateescape"), **reading)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise invalid("JSON Parse error: The document is nested too deeply.") from None
    except (ValueError, OverflowError):
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {shown(value)} Is not object")
    return value


def _check_surrogates(body: bytes) -> None:
    r"""Reject `\ud800` without its second half, as rapidjson does: it is no character, and has no UTF-8."""
    if not _SURROGATE.search(body):
        return
    half = None  # the escape sequence before, if it is the first half of a pair
    for escape in _ESCAPE.finditer(body):
        number = int(escape[1], 16) if escape[1] else 0
        if half is not None and (escape.start() != half.end() or number not in _SECOND):
            break
        if half is None and number in _SECOND:
            half = escape
            break
        half = escape if number in _FIRST else None
    if half is not None:
        raise invalid(f"JSON Parse error: The surrogate pair in string is invalid. at offset: {half.start()}")


def _int(text: str) -> int:
    number = int(text)
    float(number)  # rapidjson reads an integer of over 64 bits as a double
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def check_text(text: str, what: str) -> str:
    """Return a text that names something; raise an error if it contains bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(f"{what} should be UTF-8. Received: {shown(text)}") from None
    return text


def signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the requested signature; empty for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return check_text(name, "'signature_name'")


def examples(document: Mapping[str, Any]) -> tuple[list[bytes], bytes | None]:
    """Return the serialized examples of a classify or regress request, and its serialized context or None."""
    context = None
    if "context" in document:
        context = _example(document["context"])
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    listed = document["examples"]
    if not isinstance(listed, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not listed:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return [_example(value) for value in listed], context


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[check_text(name, "The name of a feature")]
        for item in content if isinstance(content, list) else [content]:
            _add_feature(feature, name, item)
    return bytes(example.SerializeToString())


def _add_feature(feature: Any, name: str, value: Any) -> None:
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_base64(value)):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    item: Any = value
    if isinstance(value, bool | int):
        kind, item = "int64_list", int(value)
    elif isinstance(value, float):
        kind = "float_list"
    else:
        kind = "bytes_list"
        item = decoded(value) if isinstance(value, dict) else value.encode("utf-8", errors="surrogateescape")
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        expected = {"int64_list": "int64", "float_list": "float", "bytes_list": "bytes"}[present]
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    if kind == "int64_list" and not -(2**63) <= item < 2**63:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    getattr(feature, kind).value.append(item)
