"""Rows for predictions, and their values for the inputs of a signature."""

import base64
import binascii
import decimal
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.serving import examples
from tiffin.serving.signatures import Signature, TensorSpec

# The client's own ID of a request, for the prediction log.
KEY_HEADER = "x-tiffin-key"
_MAX_DIGITS = 40


@dataclass(frozen=True)
class Row:
    """A row of the file.

    Attributes:
        number: Row number, from 1.
        line: Number of the row's last line, from 1; None for Parquet and for JSON documents.
        values: Values by column, or the value of the only input; None if the row cannot be read.
        error: Reason why the row cannot be read; otherwise empty.
    """

    number: int
    line: int | None
    values: Any
    error: str = ""


@dataclass(frozen=True)
class Source:
    """An open file of rows.

    Attributes:
        rows: The rows, in order.
        is_text: Whether all values are text, as in CSV, and numbers must be parsed.
        total: Size of the file in bytes, or of a Parquet file in rows; None if unknown.
        position: Returns how much of `total` has been read.
        signature: Signature that the file names; empty if none.
    """

    rows: Iterator[Row]
    is_text: bool
    total: int | None
    position: Callable[[], int]
    signature: str = ""


def select_inputs(values: Any, signature: Signature, is_text: bool = False) -> dict[str, Any]:
    """Return a row's values for the inputs of a signature, None for missing ones.

    Inputs that the row lacks and the server fills are omitted.

    Args:
        values: Values by column, or the value of the only input; columns that are not inputs are ignored.
        signature: The signature.
        is_text: Whether to parse numbers from text; empty text is then a missing number.

    Raises:
        InputError: The row has none of the inputs, or a value cannot be parsed.
    """
    inputs = signature.inputs
    if not isinstance(values, Mapping):
        if len(inputs) != 1:
            raise InputError(
                f"The row should be an object with the model's inputs: {', '.join(inputs)}. Received: {values!r:.80}."
            )
        values = dict.fromkeys(inputs, values)
    if not any(name in values for name in inputs):
        near = next((hint for name in values if (hint := did_you_mean(name, inputs))), "")
        takes_text = [spec.dtype for spec in inputs.values()] == ["string"]
        raise InputError(
            f"The row should have at least one of the model's inputs: {', '.join(inputs)}. "
            f"Received: {', '.join(values) or 'no columns'}.{near}"
            + (" If the signature takes serialized tf.Examples, pass --as-examples." if takes_text else "")
        )
    read = _parse if is_text else _decode
    return {
        name: read(name, values.get(name), spec)
        for name, spec in inputs.items()
        if name in values or name not in signature.defaults
    }


def select_example(values: Any, name: str, columns: Iterable[str] | None) -> dict[str, Any]:
    """Return a row as a serialized tf.Example for the input of a signature.

    A row that has only the input is passed on: its value is serialized already.

    Args:
        values: Values by column, or a serialized tf.Example.
        name: Name of the input.
        columns: Columns to send; None for all.

    Raises:
        InputError: The row has none of the columns, or a value cannot be sent.
    """
    if not isinstance(values, Mapping) or (list(values) == [name] and name not in (columns or ())):
        value = values[name] if isinstance(values, Mapping) else values
        return {name: _decode(name, value, TensorSpec("string", (None,)))}
    chosen = {
        key: _decode(key, value, TensorSpec("string", None))
        for key, value in values.items()
        if columns is None or key in columns
    }
    if not chosen:
        raise InputError(
            f"The row should have at least one of the model's columns: {', '.join(columns or ())}. "
            f"Received: {', '.join(values) or 'no columns'}."
        )
    return {name: examples.serialize([chosen])[0]}


def key_headers(row: Row, column: str) -> dict[str, str]:
    """Return the header with the key of a row, its value in a column.

    Raises:
        InputError: The row has no such column, or the value cannot be sent.
    """
    names = [*row.values] if isinstance(row.values, Mapping) else []
    if column not in names:
        raise InputError(
            f"The row should have the column '{column}' of the key. Received: {', '.join(names) or 'no columns'}."
            f"{did_you_mean(column, names)}"
        )
    value = row.values[column]
    text = "" if value is None else str(value)
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise InputError(
            f"The key in column '{column}' should be printable ASCII text, since it is sent as a header. "
            f"Received: {text!r:.80}."
        )
    return {KEY_HEADER: text}


def _decode(name: str, value: Any, spec: TensorSpec) -> Any:
    """Return a value of JSON or Parquet with the bytes of `{"b64": ...}` and the numbers of `"1+2j"`."""
    if isinstance(value, list):
        return [_decode(name, item, spec) for item in value]
    if isinstance(value, dict) and list(value) == ["b64"] and spec.dtype == "string":
        return decode_bytes(name, value)
    if isinstance(value, str) and spec.dtype.startswith("complex"):
        return _parse(name, value, spec)
    return value


def decode_bytes(name: str, value: Mapping[str, Any]) -> bytes:
    """Return the bytes of `{"b64": ...}`.

    Raises:
        InputError: The value is not base64.
    """
    text = value["b64"]
    try:
        # TensorFlow Serving does not require the padding either.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InputError(
            f"'b64' of input '{name}' should be text in base64. Received: {text!r:.80}. Correct the value."
        ) from None


def _parse(name: str, text: str | None, spec: TensorSpec) -> Any:
    """Parse a value from text; empty text is a missing number."""
    if spec.dtype == "string" or not text:
        return text if spec.dtype == "string" else None
    try:
        number = _parse_number(text.strip(), spec.dtype)
    except (ValueError, KeyError, OverflowError, decimal.InvalidOperation):
        raise InputError(
            f"Input '{name}' should be {spec.dtype}. Received: {text[:80]!r}. Correct the value."
        ) from None
    if isinstance(number, float) and math.isinf(number) and "inf" not in text.lower():
        raise InputError(f"Input '{name}' should be in the range of float64. Received: {text[:80]!r}. Check the unit.")
    return number


def _parse_number(text: str, dtype: str) -> Any:
    if dtype == "bool":
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    if "_" in text:  # which Python allows
        raise ValueError(text)
    if text.lstrip("+-").isdigit():
        return int(text)
    if dtype.startswith(("int", "uint")):
        return _whole(text)
    return complex(text) if dtype.startswith("complex") else float(text)


def _whole(text: str) -> int | None:
    """Return the integer of a text such as `3.0` or `1e3`; None for NaN, which is a missing value."""
    number = decimal.Decimal(text)
    if number.is_nan():
        return None
    if number.is_infinite() or number.adjusted() > _MAX_DIGITS or number != number.to_integral_value():
        raise ValueError(text)
    return int(number)
