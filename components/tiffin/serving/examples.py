"""Rows as tf.Examples, for signatures that take them: text as bytes, integers as int64, other numbers as float."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tiffin.errors import InputError
from tiffin.serving import numbers, wire
from tiffin.serving.signatures import as_columns
from tiffin.serving.tensors import Array
from tiffin.serving.values import is_missing

_WHOLE = (bool, np.bool_, int, np.integer)


def make_examples(inputs: Any) -> list[Any]:
    """Return one tf.Example for each row; missing values are omitted, so that the model's default applies.

    A column with a fraction is float in every row, since a feature has one type. A list becomes several values.

    Args:
        inputs: Columns by name, a list of rows (dicts) or a data frame.

    Raises:
        InputError: The columns differ in length, or a value cannot be sent.
    """
    columns = {name: _as_list(name, values) for name, values in as_columns(inputs).items()}
    if len({len(values) for values in columns.values()}) != 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in columns.items())
        raise InputError(f"All columns should have the same number of rows. Received: {lengths or 'no columns'}.")
    found = [wire.Example() for _ in next(iter(columns.values()))]
    for name, values in columns.items():
        rows = [_as_values(value) for value in values]
        kinds = [_kind(name, row) for row in rows]
        if "float" in kinds:
            kinds = ["float" if kind == "int64" else kind for kind in kinds]
        for example, row, kind in zip(found, rows, kinds, strict=True):
            if kind:
                _fill(example.features.feature[name], name, row, kind)
    return found


def serialize(inputs: Any) -> Array:
    """Return the serialized tf.Examples of rows, `[batch]`; see `make_examples`."""
    return np.array([example.SerializeToString(deterministic=True) for example in make_examples(inputs)], object)


def _as_list(name: str, values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return list(values)
    raise InputError(f"Column '{name}' should be a list with one value per row. Received: {values!r:.80}.")


def _as_values(value: Any) -> Sequence[Any]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return value if isinstance(value, list | tuple) else [value]


def _kind(name: str, values: Sequence[Any]) -> str:
    """Return the type of a feature: `bytes`, `int64` or `float`; empty if all values are missing."""
    if all(is_missing(item) for item in values):
        return ""
    if all(isinstance(item, str | bytes) for item in values):
        return "bytes"
    if all(isinstance(item, _WHOLE) for item in values):
        return "int64"
    if all(is_missing(item) or isinstance(item, (*_WHOLE, float, np.floating)) for item in values):
        return "float"
    received = values if len(values) > 1 else values[0]
    raise InputError(
        f"Column '{name}' should be text, numbers or lists of one of them. "
        f"Received: {received!r:.80} ({type(received).__name__})."
    )


def _fill(feature: Any, name: str, values: Sequence[Any], kind: str) -> None:
    if kind == "bytes":
        try:
            feature.bytes_list.value.extend(item.encode() if isinstance(item, str) else item for item in values)
        except UnicodeEncodeError:
            raise InputError(f"Column '{name}' should be UTF-8 text. Received: {values[0]!r:.80}.") from None
    elif kind == "int64":
        least, largest = numbers.limits("int64")
        if outside := [item for item in values if not least <= item <= largest]:
            raise InputError(
                f"Column '{name}' should fit into 64 bits. Received: {outside[0]!r:.80}. Send it as text or a float."
            )
        feature.int64_list.value.extend(map(int, values))
    else:
        least, largest = numbers.limits("float32")
        if outside := [item for item in values if not is_missing(item) and math.isfinite(item) and abs(item) > largest]:
            raise InputError(
                f"Column '{name}' should be from {least} to {largest}, since tf.Examples have float32. "
                f"Received: {outside[0]!r:.80}. Check the unit."
            )
        feature.float_list.value.extend(math.nan if is_missing(item) else float(item) for item in values)
