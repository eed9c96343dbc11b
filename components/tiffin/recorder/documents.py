"""Calls of the REST API as columns."""

import json
from typing import Any

from tiffin.errors import InputError
from tiffin.recorder.bodies import Unreadable
from tiffin.recorder.messages import Rows
from tiffin.recorder.tensors import check_size
from tiffin.recorder.values import Column, Texts, make_column
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.prediction_log import INPUT, OUTPUT, UNNAMED_INPUT, UNNAMED_OUTPUT
from tiffin.serving.recording import as_text
from tiffin.serving.rows import decode_bytes


def read_documents(method: str, request: bytes, response: bytes | None, texts: Texts) -> Rows:
    """Return the rows of a REST call.

    An input or an output without a name is `input.inputs` or `output.outputs`. The version is not in an answer of REST.

    Args:
        method: Name of the method.
        request: JSON of the request.
        response: JSON of the response; None of a failed call.
        texts: Converts bytes.

    Raises:
        Unreadable: A body is not JSON, or has too many values.
    """
    asked = _parse(request)
    answer = _parse(response) if response is not None else {}
    signature = asked.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(signature, str):
        raise Unreadable("message")
    try:
        if method == "Predict":
            count, columns = _predict(asked, answer, texts)
        else:
            count, columns = _examples(method, asked, answer, texts)
    except RecursionError:
        raise Unreadable("message") from None
    return Rows(count, columns, as_text(signature), None)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("message") from None
    if not isinstance(found, dict):
        raise Unreadable("message")
    return found


def _predict(request: dict[str, Any], response: dict[str, Any], texts: Texts) -> tuple[int, dict[str, Column]]:
    given: dict[str, list[Any]] | dict[str, Any]
    if "instances" in request:
        count, given = _by_row(request["instances"], INPUT, UNNAMED_INPUT)
    else:
        count, given = _by_column(request.get("inputs"), INPUT, UNNAMED_INPUT)
    # The answer has the form of the request.
    if "predictions" in response:
        rows, answered = _by_row(response["predictions"], OUTPUT, UNNAMED_OUTPUT)
    elif "outputs" in response:
        rows, answered = _by_column(response["outputs"], OUTPUT, UNNAMED_OUTPUT)
    else:
        rows, answered = count, {}
    found: dict[str, Any] = {**given, **answered}
    if rows != count:
        # Without a common number of rows, the request is one row.
        count, found = 1, {name: [values] for name, values in found.items()}
    return count, _columns(count, found, texts)


def _by_row(rows: Any, prefix: str, unnamed: str) -> tuple[int, dict[str, list[Any]]]:
    """Return the number of rows and the values by column of a list of rows."""
    if not isinstance(rows, list):
        raise Unreadable("message")
    named = [row if _is_object(row) else {"": row} for row in rows]
    names = dict.fromkeys(name for row in named for name in row)
    check_size(len(names), len(rows) * len(names))
    return len(rows), {prefix + name if name else unnamed: [row.get(name) for row in named] for name in names}


def _by_column(columns: Any, prefix: str, unnamed: str) -> tuple[int, dict[str, list[Any]]]:
    """Return the number of rows and the values by column of tensors; one that is no list belongs to each row."""
    named = columns if _is_object(columns) else {"": columns}
    named = {prefix + name if name else unnamed: values for name, values in named.items()}
    lengths = {len(values) for values in named.values() if isinstance(values, list)}
    count = next(iter(lengths), 1) if len(lengths) < 2 else 1
    check_size(len(named), count * len(named))
    if len(lengths) > 1:
        return 1, {name: [values] for name, values in named.items()}
    return count, {name: values if isinstance(values, list) else [values] * count for name, values in named.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and list(value) != ["b64"]


def _examples(
    method: str, request: dict[str, Any], response: dict[str, Any], texts: Texts
) -> tuple[int, dict[str, Column]]:
    """Return the rows of Classify and Regress."""
    examples, context = request.get("examples"), request.get("context", {})
    if not isinstance(examples, list) or not all(map(_is_object, [context, *examples])):
        raise Unreadable("message")
    count, found = _by_row([{**context, **example} for example in examples], INPUT, UNNAMED_INPUT)
    results = response.get("results")
    if isinstance(results, list) and len(results) == count:
        if method == "Regress":
            found[f"{OUTPUT}outputs"] = results
        elif all(
            isinstance(row, list) and all(isinstance(one, list) and len(one) == 2 for one in row) for row in results
        ):
            found[f"{OUTPUT}classes"] = [[label for label, _ in row] for row in results]
            found[f"{OUTPUT}scores"] = [[score for _, score in row] for row in results]
    return count, _columns(count, found, texts)


def _columns(count: int, found: dict[str, Any], texts: Texts) -> dict[str, Column]:
    if not count:
        return {}
    return {as_text(name): make_column([_plain(value, texts) for value in values]) for name, values in found.items()}


def _plain(value: Any, texts: Texts) -> Any:
    """Return a value of JSON as a value or a flat list of the log."""
    if isinstance(value, list):
        flat: list[Any] = []
        for item in value:
            one = _plain(item, texts)
            flat.extend(one if isinstance(one, list) else [one])
        return flat
    if isinstance(value, dict):
        if list(value) != ["b64"]:
            return as_text(value)
        try:
            return texts.decode([decode_bytes("", value)])[0]
        except InputError:
            return as_text(value)
    return value
