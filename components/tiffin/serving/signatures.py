"""A model's signatures, and its inputs as columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError
from tiffin.serving import tensors

# The signatures that tell a model trained by Tiffin; those before the recipe had `explain`.
_OF_TIFFIN = ({"serving_default", "recipe"}, {"serving_default", "examples", "explain"})
# Classify and Regress send tf.Examples.
_EXAMPLE_METHODS = ("tensorflow/serving/classify", "tensorflow/serving/regress")


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
    """A signature of a model.

    Attributes:
        inputs: Inputs by name.
        outputs: Outputs by name.
        method_name: TensorFlow Serving's name of the method, such as `tensorflow/serving/predict`.
        defaults: Names of inputs that the server fills if they are absent.
        by_tiffin: Whether Tiffin trained the model, which has the signature `recipe`: a missing number is NaN, and missing text
            is the empty string.
        takes_examples: Whether the only input is known to take serialized tf.Examples.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method_name: str = ""
    defaults: frozenset[str] = frozenset()
    by_tiffin: bool = False
    takes_examples: bool = False


def read_signatures(definitions: Any) -> dict[str, Signature]:
    """Convert SignatureDef messages by name to Signatures, in alphabetical order.

    TensorFlow's initializers, whose names start with two underscores, are skipped.
    """
    names = sorted(name for name in definitions if not name.startswith("__"))
    by_tiffin = any(known.issubset(names) for known in _OF_TIFFIN)
    return {name: _read_signature(name, definitions[name], by_tiffin) for name in names}


def _read_signature(name: str, definition: Any, by_tiffin: bool) -> Signature:
    inputs = {name: _read_spec(info) for name, info in sorted(definition.inputs.items())}
    is_text = [spec.dtype for spec in inputs.values()] == ["string"]
    # A signature for Predict with one text input may take text as well.
    takes_examples = is_text and (definition.method_name in _EXAMPLE_METHODS or (by_tiffin and name == "examples"))
    return Signature(
        inputs,
        {name: _read_spec(info) for name, info in sorted(definition.outputs.items())},
        definition.method_name,
        frozenset(definition.defaults),
        by_tiffin,
        takes_examples,
    )


def _read_spec(info: Any) -> TensorSpec:
    shape = None
    if info.HasField("tensor_shape") and not info.tensor_shape.unknown_rank:
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
        return {str(name): inputs[name].to_list() for name in inputs.columns}
    if isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes):
        rows = list(inputs)
        if rows and all(isinstance(row, Mapping) for row in rows):
            names = dict.fromkeys(name for row in rows for name in row)
            return {str(name): [row.get(name) for row in rows] for name in names}
    raise InputError(
        "inputs should be a dict of columns, a non-empty list of rows (dicts) or a data frame. "
        f"Received: {type(inputs).__name__}. Example: {{'fare': [12.5]}}."
    )
