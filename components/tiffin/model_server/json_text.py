"""JSON as TF Serving writes it: rapidjson's PrettyWriter, and numbers that keep their decimal point.

After tensorflow/serving's util/json_tensor.cc. Whole floats print as `3.0`; NaN and Infinity are allowed.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tiffin.model_server import tensors
from tiffin.model_server.codes import invalid

_SHOWN_BYTES = 256  # of a value in an error's text
_PIECE_BYTES = 4096  # of one string in it; TF Serving shows even 100 MB of it
_INDENT = "    "
_WRITABLE = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 10, 22, 23))


def type_name(value: Any) -> str:
    """Return rapidjson's name of a JSON value's type."""
    if isinstance(value, bool):
        return "True" if value else "False"
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
    return names.get(type(value), "Null")


def shown(value: Any) -> str:
    """Return a value as an error's text shows it, cut after some bytes."""
    out: list[str] = []
    size = 0
    for piece in _pieces(value, 0):
        if size >= _SHOWN_BYTES:
            break
        out.append(piece[:_PIECE_BYTES])
        size += len(piece)
    return "".join(out)


def error(text: str) -> str:
    """Return the body of a failed request."""
    return f'{{\n{_INDENT}"error": {_quoted(text)}\n}}'


def rows(outputs: Mapping[str, Any]) -> str:
    """Return the reply to `instances`: one prediction for each.

    Raises:
        ServingError: The outputs do not have one number of rows, or JSON cannot hold them.
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
    columns = {alias: [_inline(row) for row in _leaves(alias, array)] for alias, array in outputs.items()}
    if len(columns) == 1:
        listed = ", ".join(next(iter(columns.values())))
    else:
        listed = ",".join(
            f"\n{_INDENT * 2}{{\n"
            + ",\n".join(f"{_INDENT * 3}{_quoted(alias)}: {values[row]}" for alias, values in columns.items())
            + f"\n{_INDENT * 2}}}"
            for row in range(count or 0)
        )
    closing = f"\n{_INDENT}]" if count else "]"
    return f'{{\n{_INDENT}"predictions": [{listed}{closing}\n}}'


def columns(outputs: Mapping[str, Any]) -> str:
    """Return the reply to `inputs`: the tensors as they are.

    Raises:
        ServingError: JSON cannot hold them.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if len(outputs) == 1:
        ((alias, array),) = outputs.items()
        return f'{{\n{_INDENT}"outputs": {_spread(_leaves(alias, array), 1)}\n}}'
    members = ",\n".join(
        f"{_INDENT * 2}{_quoted(alias)}: {_spread(_leaves(alias, array), 2)}" for alias, array in outputs.items()
    )
    return f'{{\n{_INDENT}"outputs": {{\n{members}\n{_INDENT}}}\n}}'


def classifications(result: Any) -> str:
    """Return the reply to a classify request."""
    listed = ", ".join(
        "["
        + ", ".join(
            f"[{_bytes_text(one.label, as_base64=False)}, {value}]"
            for one, value in zip(
                row.classes, _decimals(np.array([one.score for one in row.classes], np.float32)), strict=True
            )
        )
        + "]"
        for row in result.classifications
    )
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    return f'{{\n{_INDENT}"results": [{listed}\n{_INDENT}]\n}}'


def regressions(result: Any) -> str:
    """Return the reply to a regress request."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = _decimals(np.array([one.value for one in result.regressions], np.float32))
    return f'{{\n{_INDENT}"results": [{", ".join(values)}]\n}}'


def _leaves(alias: str, array: Any) -> Any:
    """Return an output as nested lists of the texts of its values; a single text for a scalar."""
    type_ = tensors.type_enum(array)
    if type_ not in _WRITABLE:
        raise invalid(f"Failed to write JSON value for tensor type: {tensors.type_name(type_)}")
    flat = array.ravel()
    if type_ in (1, 2):
        texts = _decimals(flat)
    elif type_ == 7:
        texts = [_bytes_text(value, alias.endswith("_bytes")) for value in flat.tolist()]
    elif type_ == 10:
        texts = ["true" if value else "false" for value in flat.tolist()]
    else:
        texts = list(map(str, flat.tolist()))
    shaped = np.empty(len(texts), object)
    shaped[:] = texts
    return shaped.reshape(array.shape).tolist()


def _bytes_text(value: bytes, as_base64: bool) -> str:
    if as_base64:
        return f'{{"b64": "{base64.b64encode(value).decode()}"}}'
    return _quoted(value.decode("utf-8", errors="replace"))


def _decimals(array: Any) -> list[str]:
    """Return each number in the fewest of six digits or all that give it back, with a point or an exponent."""
    digits = 9 if array.dtype == np.float32 else 17
    numbers = array.tolist()
    texts = [f"{number:.6g}" for number in numbers]
    with np.errstate(over="ignore"):
        exact = (np.array(texts, array.dtype) == array).tolist() if texts else []
    return [
        _pointed(text if is_exact else f"{number:.{digits}g}")
        for text, is_exact, number in zip(texts, exact, numbers, strict=True)
    ]


def _pointed(text: str) -> str:
    if "." in text or "e" in text:
        return text
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}.get(text) or text + ".0"


def _inline(value: Any) -> str:
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list) else value


def _spread(value: Any, level: int) -> str:
    if not isinstance(value, list):
        return str(value)
    if not value:
        return "[]"
    inner = _INDENT * (level + 1)
    listed = ",\n".join(inner + _spread(item, level + 1) for item in value)
    return f"[\n{listed}\n{_INDENT * level}]"


def _pieces(value: Any, level: int) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}\n{_INDENT * (level + 1)}{_quoted(key)}: "
            yield from _pieces(item, level + 1)
        yield f"\n{_INDENT * level}}}" if value else "}"
    elif isinstance(value, list):
        yield "["
        yield from _joined(value, level)
        yield "]"
    elif isinstance(value, str):
        yield _quoted(value)
    else:
        yield json.dumps(value)


def _joined(items: Iterable[Any], level: int) -> Iterator[str]:
    for index, item in enumerate(items):
        if index:
            yield ", "
        yield from _pieces(item, level + 1)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
