"""A model's signatures, and conversion of plain values to the arrays of its inputs."""

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
        shape: Size of each dimension, None for an unknown one; None if the rank is unknown.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A signature of a model: its inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""


def read_signature(definition: Any) -> Signature:
    """Convert a SignatureDef message to a Signature."""
    return Signature(
        {name: _read_spec(info) for name, info in sorted(definition.inputs.items())},
        {name: _read_spec(info) for name, info in sorted(definition.outputs.items())},
        definition.method_name,
    )


def read_signatures(definitions: Any) -> dict[str, Signature]:
    """Convert SignatureDef messages by name to Signatures, in alphabetical order.

    TensorFlow's initializers, whose names start with two underscores, are skipped.
    """
    return {name: read_signature(definitions[name]) for name in sorted(definitions) if not name.startswith("__")}


def _read_spec(info: Any) -> TensorSpec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)
    return TensorSpec(tensors.dtype_name(info.dtype), shape)


def as_columns(inputs: Any) -> dict[str, Any]:
    """Convert a mapping of columns, a list of rows (mappings) or a data frame to columns by name.

    Raises:
        InputError: `inputs` has another type, or no rows.
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
        "inputs should be a dict of columns, a non-empty list of rows (dicts) or a data frame. "
        f"Received: {type(inputs).__name__}. Example: {{'fare': [12.5]}}."
    )


def are_typed(columns: Mapping[str, Any]) -> bool:
    """Return whether every column is a numpy array, which is sent unchanged."""
    return all(isinstance(values, np.ndarray | np.generic) for values in columns.values())


def cast(columns: Mapping[str, Any], signature: Signature) -> dict[str, Array]:
    """Convert columns to the arrays of a signature's inputs.

    Numpy arrays are unchanged. Other values are converted to the input's type: None becomes NaN for floats and an empty
    string for strings. `[batch]` and `[batch, 1]` are reshaped to the input's shape, and a single value becomes a batch of
    one.

    Raises:
        InputError: A value does not fit the input's type, or an input does not exist.
    """
    for name in columns:
        if name not in signature.inputs:
            raise InputError(
                f"An input should be one of the model's: {', '.join(signature.inputs)}. Received: '{name}'."
                f"{did_you_mean(name, signature.inputs) or ' Remove it.'}"
            )
    return {
        name: values if isinstance(values, np.ndarray) else cast_column(name, values, signature.inputs[name])
        for name, values in columns.items()
    }


def cast_column(name: str, values: Any, spec: TensorSpec) -> Array:
    """Convert the values of one input to an array of its type and rank."""
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
    """Return whether a value is missing: None, NaN, or pandas' NA or NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _objects(name: str, values: Any) -> Array:
    """Convert nested lists to an array of objects."""
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
        array = np.asarray(values)  # fast path for plain numbers
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
        # A number too large for float32 becomes infinity, which is sent to the model.
        with np.errstate(over="ignore"):
            array = array.astype(kind)
    except OverflowError:
        raise InputError(f"Input '{name}' should be {dtype}. Received: a number outside its range.") from None
    return array.astype("bfloat16") if dtype == "bfloat16" and _knows_bfloat16() else array


def _knows_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401 - registers the type with numpy
    except ImportError:
        raise InputError("Inputs of type bfloat16 require the package ml_dtypes. Install it.") from None
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
                    f"Input '{name}' should be {dtype}, which does not support missing values. "
                    f"Received: {value}. Set a value, or remove the row."
                )
            if isinstance(value, bool | np.bool_ | int | np.integer):
                continue
            if not (isinstance(value, float | np.floating) and float(value).is_integer()):
                raise _misfit(name, value, "true or false" if dtype == "bool" else "an integer")
        array = _objects(name, values)
    if dtype != "bool":
        limits = np.iinfo(dtype)
        for value in (array.min(), array.max()):
            if not limits.min <= int(value) <= limits.max:
                raise InputError(
                    f"Input '{name}' should be {dtype}, from {limits.min} to {limits.max}. Received: {value}. "
                    "Check the unit."
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
            "Pass one value per row, or rows of that length."
        )
    return array
