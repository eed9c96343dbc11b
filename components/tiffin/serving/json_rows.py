"""Rows from JSON: lines, arrays, and requests in the format of TensorFlow Serving's REST API."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from tiffin.errors import InputError
from tiffin.serving.rows import Row, decode_bytes

_MAX_LINE_BYTES = 64 << 20
_MAX_DOCUMENT_BYTES = 512 << 20
_REQUEST_KEYS = {"instances", "inputs", "signature_name"}
# Numbers that may be outside the range of float64.
_LARGE_NUMBER = re.compile(rb"[eE]\+?\d{3}|\d{300}")


def read_lines(file: IO[bytes]) -> Iterator[Row]:
    """Yield the row of each line that is not blank."""
    number = 0
    for line_number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
        text = line.strip()
        if not text:
            continue
        number += 1
        try:
            values = _parse(text)
        except (ValueError, RecursionError) as error:
            yield Row(number, line_number, None, f"The line should be JSON ({error}). Received: {_excerpt(text)}.")
            continue
        if isinstance(values, dict):
            yield Row(number, line_number, values)
        else:
            yield Row(number, line_number, None, f"The line should be a JSON object. Received: {_excerpt(text)}.")


def read_document(file: IO[bytes], name: str) -> tuple[str, Iterator[Row]] | None:
    """Return the signature and the rows of an array or of a request; None for a file of lines.

    A request has `instances`, a list of rows, or `inputs`, columns by name, and optionally `signature_name`. Where the model
    has one input, its name may be omitted.

    Args:
        file: A seekable file, which is left at its start.
        name: Name of the file.

    Raises:
        InputError: The file is neither, or is too large to read at once.
    """
    first = _first_line(file)
    rest = _first_line(file)
    file.seek(0)
    is_object = first.startswith(b"{")
    is_line = is_object and _is_json(first)
    if is_line and rest:
        return None
    if not is_object and not first.startswith(b"["):
        return None
    content = file.read(_MAX_DOCUMENT_BYTES + 1)
    if len(content) > _MAX_DOCUMENT_BYTES:
        raise InputError(
            f"A JSON array or request should have at most {_MAX_DOCUMENT_BYTES >> 20} MB, since it is read at once. "
            f"Received: '{name}', which is larger. Write JSON lines, one row per line, to a file that ends in .jsonl."
        )
    try:
        document = _parse(content)
    except (ValueError, RecursionError) as error:
        if is_object and first != b"{":
            file.seek(0)
            return None
        raise InputError(f"'{name}' should be JSON ({error}). Received: {_excerpt(first)}. Correct the file.") from None
    if isinstance(document, list):
        return "", _number(document)
    if not _REQUEST_KEYS & set(document) - {"signature_name"} or set(document) - _REQUEST_KEYS:
        file.seek(0)
        return None if is_line else ("", _number([document]))
    return _read_request(document, name)


def _first_line(file: IO[bytes]) -> bytes:
    """Return the next line that is not blank, without white space at its ends."""
    return next((text for line in iter(lambda: file.readline(_MAX_LINE_BYTES), b"") if (text := line.strip())), b"")


def _is_json(text: bytes) -> bool:
    try:
        _parse(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_request(request: dict[str, Any], name: str) -> tuple[str, Iterator[Row]]:
    signature = request.get("signature_name", "")
    if not isinstance(signature, str):
        raise InputError(f"'signature_name' in '{name}' should be text. Received: {signature!r:.80}.")
    if "instances" in request and "inputs" in request:
        raise InputError(f"A request should have 'instances' or 'inputs'. Received: '{name}', which has both.")
    if "inputs" in request:
        return signature, _number(_rows(request["inputs"], name))
    if not isinstance(request["instances"], list):
        raise InputError(
            f"'instances' in '{name}' should be a list of rows. Received: {request['instances']!r:.80}. Correct the file."
        )
    return signature, _number(request["instances"])


def _rows(inputs: Any, name: str) -> list[Any]:
    """Return the rows of columns; a value that is not a list belongs to each row."""
    if not isinstance(inputs, dict) or list(inputs) == ["b64"]:
        return inputs if isinstance(inputs, list) else [inputs]
    lengths = {column: len(values) for column, values in inputs.items() if isinstance(values, list)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{column}: {length}" for column, length in lengths.items())
        raise InputError(
            f"The columns in 'inputs' should have the same number of rows. Received: '{name}' with {listed}. "
            "Correct the file."
        )
    count = next(iter(lengths.values()), 1)
    return [
        {column: values[row] if column in lengths else values for column, values in inputs.items()}
        for row in range(count)
    ]


def _number(rows: list[Any]) -> Iterator[Row]:
    for number, values in enumerate(rows, start=1):
        if values is None:
            yield Row(number, None, None, "The row should be an object or a value. Received: null.")
            continue
        if isinstance(values, dict) and list(values) == ["b64"]:
            try:
                values = decode_bytes("", values)  # noqa: PLW2901 - the value of the only input
            except InputError as error:
                yield Row(number, None, None, str(error))
                continue
        yield Row(number, None, values)


def _parse(text: bytes) -> Any:
    """Parse JSON; a number outside the range of float64 is an error, where Python makes it infinite."""
    found = json.loads(text)
    if _LARGE_NUMBER.search(text):
        json.loads(text, parse_float=_finite)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is outside the range of float64")
    return number


def _excerpt(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace")) + (" …" if len(text) > 60 else "")
