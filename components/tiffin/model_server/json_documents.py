"""The documents of REST requests: JSON as rapidjson takes it, with its words where it takes none.

After tensorflow/serving's util/json_tensor.cc.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tiffin.model_server.codes import invalid
from tiffin.model_server.json_text import shown

_PARSE_ERRORS = (
    ("Expecting value", "Invalid value."),
    ("Expecting property name", "Missing a name for object member."),
    ("Illegal trailing comma before end of object", "Missing a name for object member."),
    ("Illegal trailing comma before end of array", "Invalid value."),
    ("Expecting ':'", "Missing a colon after a name of object member."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid control character", "Invalid encoding in string."),
    ("Invalid \\u", "Incorrect hex digit after \\u escape in string."),
    ("Invalid \\", "Invalid escape character in string."),
)
_DECODER = json.JSONDecoder()
_STRING_OR_NAME = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:Infinity|Inf|NaN)', re.DOTALL)


def parse(body: bytes) -> dict[str, Any]:
    """Return the object a request's body holds; what comes after it does not matter.

    Raises:
        ServingError: It holds none.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig", errors="surrogateescape")
        start = re.match(r"[ \t\r\n]*", text).end()  # type: ignore[union-attr]
        if start == len(text):
            raise invalid(f"JSON Parse error: The document is empty. at offset: {start}")
        value, _ = _DECODER.raw_decode(_spelled_out(text), start)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {_parse_error(error)} at offset: {error.pos}") from None
    except RecursionError:
        raise invalid("JSON Parse error: The document is nested too deeply.") from None
    except ValueError:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {shown(value)} Is not object")
    return value


def _spelled_out(text: str) -> str:
    """Return a document with Python's names for what rapidjson also calls Inf and -NaN."""
    if "Inf" not in text and "-NaN" not in text:
        return text
    names = {"Inf": "Infinity", "-Inf": "-Infinity", "-NaN": "NaN"}
    return _STRING_OR_NAME.sub(lambda found: names.get(found[0], found[0]), text)


def signature_name(document: Mapping[str, Any]) -> str:
    """Return the signature a request asks for, empty for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def _parse_error(error: json.JSONDecodeError) -> str:
    for start, text in _PARSE_ERRORS:
        if error.msg.startswith(start):
            return text
    # Only a delimiter is left: whether an object or an array misses it, what stands open before it tells.
    opened: list[str] = []
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', error.doc[: error.pos]):
        if token[0] in "[{":
            opened.append(token[0])
        elif token[0] in "]}" and opened:
            opened.pop()
    if opened and opened[-1] == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."
