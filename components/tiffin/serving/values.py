"""Conversion of plain values and numpy arrays to the arrays of a signature's inputs.

A conversion keeps the value, or fails: 3.0 becomes the integer 3 and 1 becomes true, but 3.7 and 2 do not. Fractions are
rounded to the precision of a floating-point type, except those of numpy arrays, which have a type of their own.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tiffin.errors import InputError, did_you_mean
from tiffin.serving import numbers, shapes
from tiffin.serving.bfloat16 import is_bfloat16, widen
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.tensors import Array

_PLAIN = (bool, int, float, np.bool_, np.number)


def cast(columns: Mapping[str, Any], signature: Signature, *, rounded: bool = False) -> dict[str, Array]:
    """Convert columns to the arrays of a signature's inputs.

    Numpy arrays keep their shape; their numbers are cast if the input's type holds them exactly. Other values are converted
    to the input's type and shape: `[batch]` and `[batch, 1]` are reshaped, and a single value becomes a batch of one. None
    becomes NaN for floats and an empty string for strings if Tiffin trained the model.

    Args:
        columns: Values by input.
        signature: The signature.
        rounded: Allow numpy arrays to lose precision. Defaults to False.

    Raises:
        InputError: A value does not fit the input's type, or an input does not exist.
    """
    for name in columns:
        if name not in signature.inputs:
            raise InputError(
                f"An input should be one of the model's: {', '.join(signature.inputs)}. Received: '{name}'."
                f"{did_you_mean(name, signature.inputs) or ' Remove it.'}{_examples_advice(signature)}"
            )
    return {
        name: _cast_array(name, values, signature.inputs[name].dtype, signature.by_tiffin, rounded)
        if isinstance(values, np.ndarray)
        else cast_column(name, values, signature.inputs[name], signature.by_tiffin)
        for name, values in columns.items()
    }


def _examples_advice(signature: Signature) -> str:
    [*inputs] = signature.inputs.values()
    if len(inputs) == 1 and inputs[0].dtype == "string":
        return " If the signature takes serialized tf.Examples, call classify or regress."
    return ""


def cast_column(name: str, values: Any, spec: TensorSpec, by_tiffin: bool = False) -> Array:
    """Convert the values of one input to an array of its type and rank.

    Args:
        name: Name of the input.
        values: A value, or nested lists whose first dimension is the batch.
        spec: Type and shape of the input.
        by_tiffin: Whether Tiffin trained the model, which defines missing values and rounds large integers.

    Raises:
        InputError: A value does not fit the input's type, or the rows differ in shape.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        values = list(values)
    return shapes.reshape(name, _convert(name, values, spec.dtype, by_tiffin), spec)


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, or pandas' NA or NaT."""
    return _is_absent(value) or (isinstance(value, float) and math.isnan(value))


def _is_absent(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _cast_array(name: str, array: Array, dtype: str, by_tiffin: bool, rounded: bool) -> Array:
    if is_bfloat16(array):
        if dtype == "bfloat16":
            return array
        array = widen(array)
    if array.dtype.kind in "USTO":
        if dtype == "string" or not numbers.is_known(dtype):
            return array
        return _convert(name, array.tolist(), dtype, by_tiffin).reshape(array.shape)
    if array.dtype.name == dtype or not numbers.is_known(dtype) or array.dtype.kind not in "biufc":
        if dtype == "string":
            raise InputError(
                f"Input '{name}' should be text or bytes. Received: an array of {array.dtype}. Convert it to text."
            )
        return array
    _check(name, array, dtype)
    inexact = numbers.find_inexact(array, dtype)
    if not rounded and inexact.any():
        raise InputError(
            f"Input '{name}' should be {dtype}. Received: an array of {array.dtype}, which would be rounded: "
            f"{_show(array, inexact)}. Pass cast=True to round, or values that {dtype} holds exactly."
        )
    return numbers.convert(array, dtype)


def _convert(name: str, values: Any, dtype: str, by_tiffin: bool) -> Array:
    if dtype == "string":
        return _strings(name, values, by_tiffin)
    if not numbers.is_known(dtype):
        raise InputError(f"Input '{name}' has the type {dtype}, which has no plain values. Pass numpy arrays.")
    array = _plain_numbers(values, dtype)
    if array is None and by_tiffin and isinstance(values, list):
        array = _plain_numbers([math.nan if value is None else value for value in values], dtype)
    if array is not None:
        return array
    array = _plain_floats(values, dtype)
    if array is None:
        array = _numbers(name, shapes.to_objects(name, values), dtype, by_tiffin)
    _check(name, array, dtype)
    precision = numbers.precision(dtype)
    if precision and not by_tiffin and array.dtype == object:
        inexact = numbers.find_inexact(array, dtype)
        if inexact.any():
            raise InputError(
                f"Input '{name}' should be {dtype}, which has all integers up to {2**precision.digits}. "
                f"Received: {_show(array, inexact)}. Pass a float to round it."
            )
    return numbers.convert(array, dtype)


def _plain_numbers(values: Any, dtype: str) -> Array | None:
    """Convert plain numbers that are far from the limits of the type; return None if there are other values."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        return None
    if not array.size:
        return numbers.convert(array.astype("float64"), dtype)
    precision = numbers.precision(dtype)
    if dtype == "bool" or array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and not precision):
        return array if array.dtype == dtype else None
    if precision:
        # Without NaN. All integers below are exact; of larger ones and fractions, numpy makes rounded floats.
        is_safe = np.fmax.reduce(np.abs(array), axis=None, initial=0) < 2**precision.digits
    else:
        least, largest = numbers.limits(dtype)
        is_safe = least <= int(array.min()) and int(array.max()) <= largest
    return numbers.convert(array, dtype) if is_safe else None


def _plain_floats(values: Any, dtype: str) -> Array | None:
    """Return the array of a list of floats, or None if there are other values."""
    if not isinstance(values, list) or not all(type(value) is float for value in values):
        return None
    array = np.array(values)
    return array if numbers.precision(dtype) or not np.isnan(array).any() else None


def _numbers(name: str, objects: Array, dtype: str, by_tiffin: bool) -> Array:
    """Check objects one by one, and return them with Python's numbers."""
    is_float = numbers.precision(dtype) is not None
    rule = "a number" if is_float else "true or false" if dtype == "bool" else "an integer"
    found = np.empty(objects.shape, object)
    for index, given in enumerate(objects.flat):
        value = given
        if _is_absent(value) or (not is_float and is_missing(value)):
            if not is_float:
                raise InputError(
                    f"Input '{name}' should be {dtype}, which does not support missing values. "
                    f"Received: {_show_one(objects, index)}. Set a value, or remove the row."
                )
            if not by_tiffin:
                raise _missing(name, objects, index, "NaN")
            value = math.nan
        if not isinstance(value, (*_PLAIN, complex) if dtype.startswith("complex") else _PLAIN):
            raise _misfit(name, objects, index, rule)
        found.flat[index] = value.item() if isinstance(value, np.generic) else value
    return found


def _strings(name: str, values: Any, by_tiffin: bool) -> Array:
    if isinstance(values, list) and all(type(value) is str for value in values):
        with contextlib.suppress(UnicodeEncodeError):
            found = np.empty(len(values), object)
            found[:] = [value.encode() for value in values]
            return found
    array = shapes.to_objects(name, values)
    for index, value in enumerate(array.flat):
        if isinstance(value, str):
            try:
                array.flat[index] = value.encode()
            except UnicodeEncodeError:
                raise _misfit(name, array, index, "UTF-8 text, without lone surrogates") from None
        elif not isinstance(value, bytes):
            if not is_missing(value):
                raise _misfit(name, array, index, "text")
            if not by_tiffin:
                raise _missing(name, array, index, "''")
            array.flat[index] = b""
    return array


def _check(name: str, array: Array, dtype: str) -> None:
    """Raise an InputError if the type does not hold a number, other than by rounding."""
    outside = numbers.find_outside(array, dtype)
    if not outside.any():
        return
    index = int(np.flatnonzero(outside)[0])
    value = _item(array, index)
    is_fraction = dtype not in numbers.FLOATS and isinstance(value, float) and not value.is_integer()
    if dtype == "bool" or isinstance(value, complex) or is_fraction:
        rule = "true or false" if dtype == "bool" else "a number" if dtype in numbers.FLOATS else "an integer"
        raise _misfit(name, array, index, rule)
    least, largest = numbers.limits(dtype)
    raise InputError(
        f"Input '{name}' should be {dtype}, from {least} to {largest}. Received: {_show_one(array, index)}. Check the unit."
    )


def _item(array: Array, index: int) -> Any:
    value = array.flat[index]
    return value.item() if isinstance(value, np.generic) else value


def _show(array: Array, mask: Array) -> str:
    return _show_one(array, int(np.flatnonzero(mask)[0]))


def _show_one(array: Array, index: int, more: str = "") -> str:
    """Return a value, and its row if there are several."""
    row = f" in row {np.unravel_index(index, array.shape)[0]}" if array.ndim and len(array) > 1 else ""
    return f"{_item(array, index)!r:.80}{more}{row}"


def _misfit(name: str, array: Array, index: int, rule: str) -> InputError:
    kind = f" ({type(_item(array, index)).__name__})"
    return InputError(f"Input '{name}' should be {rule}. Received: {_show_one(array, index, kind)}. Correct the value.")


def _missing(name: str, array: Array, index: int, instead: str) -> InputError:
    return InputError(
        f"Input '{name}' should have a value, because Tiffin did not train the model. "
        f"Received: {_show_one(array, index)}. Pass what the model expects for a missing value, such as {instead}."
    )
