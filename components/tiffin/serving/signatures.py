"""What a model takes and returns, and how plain values become the arrays that it takes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiffin.errors import InputError, did_you_mean
from tiffin.serving import tensors
from tiffin.serving.tensors import Array


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of one input or output.

    Attributes:
        dtype: Numpy's name of the type, or `string`.
        shape: Size of each dimension, None where it is open; None if even their number is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """One way to ask a model: its inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""


def read_signature(definition: Any) -> Signature:
    """Return a SignatureDef message as a Signature."""
    return Signature(
        {name: _read_spec(info) for name, info in sorted(definition.inputs.items())},
        {name: _read_spec(info) for name, info in sorted(definition.outputs.items())},
        definition.method_name,
    )


def read_signatures(definitions: Any) -> dict[str, Signature]:
    """Return SignatureDef messages by name as Signatures, in alphabetical order.

    TensorFlow keeps initializers among them, with names that start with underscores; nobody asks for these.
    """
    return {name: read_signature(definitions[name]) for name in sorted(definitions) if not name.startswith("__")}


def _read_spec(info: Any) -> TensorSpec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)
    return TensorSpec(tensors.dtype_name(info.dtype), shape)


def as_columns(inputs: Any) -> dict[str, Any]:
    """Return named columns from a mapping of columns, a list of rows (mappings), or a data frame.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(inputs, Mapping):
        return {str(name): values for name, values in inputs.items()}
    if hasattr(inputs, "columns") and hasattr(inputs, "dtypes"):
        return {str(name): inputs[name].tolist() for name in inputs.columns}
    if isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes):
        rows = list(inputs)
        if rows and all(isinstance(row, Mapping) for row in rows):
            names = dict.fromkeys(name for row in rows for name in row)
            return {str(name): [row.get(name) for row in rows] for name in names}
    raise InputError(
        "Inputs should be a dict of columns, a non-empty list of rows (dicts) or a data frame. "
        f"Received: {type(inputs).__name__}. Name the columns, such as {{'fare': [12.5]}}."
    )


def are_typed(columns: Mapping[str, Any]) -> bool:
    """Return whether every column is a numpy array, whose type and shape are then taken as they are."""
    return all(isinstance(values, np.ndarray | np.generic) for values in columns.values())


def cast(columns: Mapping[str, Any], signature: Signature) -> dict[str, Array]:
    """Turn columns into the arrays that a signature takes.

    Numpy arrays stay as they are. Other values are converted to the input's type: None becomes NaN in floats and an
    empty string in strings. `[batch]` and `[batch, 1]` are converted into each other as the input asks, and a single
    value becomes a batch of one.

    Raises:
        InputError: A value does not fit, or an input has no such name.
    """
    for name in columns:
        if name not in signature.inputs:
            raise InputError(
                f"An input should be one of the model's: {', '.join(signature.inputs)}. Received: '{name}'."
                f"{did_you_mean(name, signature.inputs) or ' Leave it out.'}"
            )
    return {
        name: values if isinstance(values, np.ndarray) else cast_column(name, values, signature.inputs[name])
        for name, values in columns.items()
    }


def cast_column(name: str, values: Any, spec: TensorSpec) -> Array:
    """Turn the values of one input into an array of its type and rank."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        values = list(values)
    if spec.dtype == "string":
        array = _strings(name, values)
    elif spec.dtype in ("float16", "float32", "float64", "bfloat16"):
        array = _numbers(name, values, spec.dtype)
    elif spec.dtype.startswith(("int", "uint", "bool")):
        array = _whole(name, values, spec.dtype)
    else:
        array = np.asarray(values)
    return _reshape(name, array, spec)


def is_missing(value: Any) -> bool:
    """Return whether a value stands for a missing one: None, NaN, or pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _objects(name: str, values: Any) -> Array:
    """Return nested lists as an array of objects, whatever their types."""
    array = np.array(values, dtype=object)
    if array.size and isinstance(array.flat[0], list | tuple):
        raise InputError(
            f"Input '{name}' should have rows of the same length. Received: {values!r:.80}. Pad the shorter ones."
        )
    return array


def _strings(name: str, values: Any) -> Array:
    array = _objects(name, values)
    for index, value in enumerate(array.flat):
        if isinstance(value, str):
            array.flat[index] = value.encode()
        elif not isinstance(value, bytes):
            if not is_missing(value):
                raise _misfit(name, value, "text")
            array.flat[index] = b""
    return array


def _numbers(name: str, values: Any, dtype: str) -> Array:
    kind = "float32" if dtype == "bfloat16" else dtype
    try:
        array = np.asarray(values)  # a list of plain numbers is converted in one go
    except ValueError:
        array = _objects(name, values)
    if array.dtype.kind not in "fiub":
        objects = _objects(name, values)
        for index, value in enumerate(objects.flat):
            if is_missing(value):
                objects.flat[index] = math.nan
            elif not isinstance(value, int | float | np.number):
                raise _misfit(name, value, "a number")
        array = objects
    try:
        # An overflow to infinity is how float32 says that a number is too large; the model sees it.
        with np.errstate(over="ignore"):
            array = array.astype(kind)
    except OverflowError:
        raise InputError(f"Input '{name}' should be a {dtype}. Received: a number beyond its range.") from None
    return array.astype("bfloat16") if dtype == "bfloat16" and _knows_bfloat16() else array


def _knows_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401 - it registers the type with numpy
    except ImportError:
        raise InputError("An input of type bfloat16 needs the package ml_dtypes. Install it.") from None
    return True


def _whole(name: str, values: Any, dtype: str) -> Array:
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = _objects(name, values)
    if not array.size:
        return array.astype(dtype)
    if array.dtype.kind not in "iub":
        for value in _objects(name, values).flat:
            if is_missing(value):
                raise InputError(
                    f"Input '{name}' should be a {dtype}, which has no missing value. "
                    f"Received: {value}. Give a value, or leave the row out."
                )
            if isinstance(value, bool | np.bool_ | int | np.integer):
                continue
            if not (isinstance(value, float | np.floating) and float(value).is_integer()):
                raise _misfit(name, value, "true or false" if dtype == "bool" else "a whole number")
        array = _objects(name, values)
    if dtype != "bool":
        limits = np.iinfo(dtype)
        for value in (array.min(), array.max()):
            if not limits.min <= int(value) <= limits.max:
                raise InputError(
                    f"Input '{name}' should be a {dtype}, {limits.min} to {limits.max}. Received: {value}. "
                    "Check its unit."
                )
    return array.astype(dtype)


def _misfit(name: str, value: Any, rule: str) -> InputError:
    return InputError(
        f"Input '{name}' should be {rule}. Received: {value!r:.80} ({type(value).__name__}). Correct the value."
    )


def _reshape(name: str, array: Array, spec: TensorSpec) -> Array:
    if spec.shape is None:
        return array
    rank = len(spec.shape)
    if array.ndim == 0 and rank:
        array = array.reshape(1)
    if array.ndim == 1 and rank == 2 and spec.shape[1] in (1, None):
        return array.reshape(-1, 1)
    if array.ndim == 2 and rank == 1 and array.shape[1] == 1:
        return array.reshape(-1)
    fits = array.ndim == rank and all(want in (None, got) for want, got in zip(spec.shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
        raise InputError(
            f"Input '{name}' should have the shape [{wanted}]. Received: {list(array.shape)}. "
            "Give one value per row, or rows of that length."
        )
    return array
