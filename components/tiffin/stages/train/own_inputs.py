"""The inputs and the output of a model of one's own: found in the model, and checked before it is trained.

encoded    one input of shape [width], or no declared inputs, as of a subclass of keras.Model
raw        inputs named after columns, of shape [] or [1]: a number as float32 or float64, NaN if missing; a category as
           a string, empty if missing and [UNK] if not in the vocabulary, or as int32 or int64: its index, 0 if missing,
           1 if not in the vocabulary, otherwise 2 more than the position in the vocabulary
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tiffin.errors import InputError, did_you_mean
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.features import Features
from tiffin.stages.train.label import Label
from tiffin.stages.train.own_code import Code
from tiffin.stages.train.preprocessing import as_written
from tiffin.training import Column
from tiffin.training import Features as Described

UNKNOWN_TEXT = "[UNK]"
_NUMBERS, _INDICES = ("float32", "float64"), ("int32", "int64")
# Operations that run Python: a server has none.
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_SATURATED = ("sigmoid", "hard_sigmoid", "softmax", "log_softmax")


@dataclass(frozen=True)
class RawInput:
    """A raw input of a model: its column, type, and whether its shape is [1] instead of []."""

    name: str
    dtype: str
    is_column: bool


def find_inputs(model: keras.Model, described: Described, code: Code) -> tuple[RawInput, ...]:
    """Return the raw inputs of a model; none if it takes the encoded vector.

    Args:
        model: The model.
        described: Features as the code received them.
        code: The model file.

    Raises:
        InputError: The inputs are neither the encoded vector nor columns.
    """
    named = _named_inputs(model)
    columns = {column.name: column for column in described.columns}
    shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
    encoded = (None, described.width)
    if not named:
        return ()
    if list(shapes.values()) == [encoded] and not (described.width == 1 and named.keys() <= columns.keys()):
        [tensor] = named.values()
        if tensor.dtype != "float32":
            raise _bad_input(code, f"the encoded vector of type {tensor.dtype}", 'Declare it with dtype="float32".')
        return ()
    unknown = [name for name in named if name not in columns]
    if unknown:
        raise _bad_input(
            code,
            f"'{unknown[0]}' of shape {_as_text(shapes[unknown[0]])}",
            f"For the encoded vector, declare keras.Input((features.width,)), here {described.width}. For raw columns, name "
            f"each input after one of: {', '.join(columns)}.{did_you_mean(unknown[0], columns)}",
        )
    for name, tensor in named.items():
        if shapes[name] not in ((None,), (None, 1)):
            raise _bad_input(
                code, f"'{name}' of shape {_as_text(shapes[name])}", "Declare it with the shape () or (1,)."
            )
        wanted = _NUMBERS if columns[name].kind == "number" else ("string", *_INDICES)
        if tensor.dtype not in wanted:
            about = f"'{name}', a {columns[name].kind}, of type {tensor.dtype}"
            raise _bad_input(code, about, f"Declare it with dtype={' or '.join(map(repr, wanted))}.")
    return tuple(RawInput(name, tensor.dtype, len(shapes[name]) == 2) for name, tensor in named.items())


def _named_inputs(model: keras.Model) -> dict[str, Any]:
    """Return the declared inputs by name: the keys of a dict, or the names of the inputs."""
    try:
        declared = model.input
    except (AttributeError, ValueError):  # a subclass, or a Sequential without an input
        return {}
    if isinstance(declared, Mapping):
        return dict(declared)
    return {tensor.name: tensor for tensor in keras.tree.flatten(declared)}


def _bad_input(code: Code, received: str, advice: str) -> InputError:
    return InputError(
        "The model should take the encoded vector, [batch, width], or columns by name. "
        f"Received: the input {received} in '{code.location}'. {advice}"
    )


def _as_text(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('batch' if size is None else str(size) for size in shape)}]"


def only(features: Features, inputs: Sequence[RawInput], code: Code) -> Features:
    """Return the features that a model with raw inputs takes; the others are left out."""
    names = {one.name for one in inputs}
    unused = {name: f"not an input of the model in '{code.location}'" for name in features.columns if name not in names}
    return replace(
        features,
        numbers=tuple(number for number in features.numbers if number.name in names),
        categories=tuple(category for category in features.categories if category.name in names),
        left_out=features.left_out | unused,
    )


def from_matrix(model: keras.Model, inputs: Sequence[RawInput], features: Features) -> keras.Model:
    """Return the model over the matrix of `preprocessing.build(features, raw=True)`."""
    return _FromMatrix(model, inputs, features)


class _FromMatrix(keras.Model):  # type: ignore[misc]  # mypy does not know Keras
    """A model with raw inputs, over one matrix of numbers and positions."""

    def __init__(self, model: keras.Model, inputs: Sequence[RawInput], features: Features) -> None:
        super().__init__(name="from_matrix", autocast=False)  # numbers stay float64 up to the model's own inputs
        self.model = model
        self._unpack = unpacking(inputs, features)

    def call(self, matrix: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the model's output."""
        values = self._unpack(matrix)
        declared = self.model.input
        if isinstance(declared, Mapping):
            return self.model({name: values[name] for name in declared}, training=training)
        return self.model(keras.tree.map_structure(lambda tensor: values[tensor.name], declared), training=training)


def unpacking(inputs: Sequence[RawInput], features: Features) -> Any:
    """Return the function from the matrix to the values of each raw input, by name."""
    texts = {category.name: category.vocabulary for category in features.categories}

    @as_written
    def unpack(matrix: tf.Tensor) -> dict[str, tf.Tensor]:
        values = {}
        for one in inputs:
            position = features.columns.index(one.name)
            value = matrix[:, position]
            if one.dtype == "string":
                words = tf.constant(["", UNKNOWN_TEXT, *texts[one.name]])
                value = tf.gather(words, tf.cast(value, tf.int32))
            else:
                value = tf.cast(value, one.dtype)
            values[one.name] = value[:, None] if one.is_column else value
        return values

    return unpack


def check_output(model: keras.Model, rows: tf.Tensor, described: Described, code: Code) -> bool:
    """Check a model's output in a graph, as in training and on a server, and return whether it has gradients for its input.

    Args:
        model: Model over the encoded vector or the matrix.
        rows: A few rows of its input.
        described: Features as the code received them.
        code: The model file.

    Raises:
        InputError: The output has another form, or the model runs Python, which a server cannot.
    """
    wanted = f"[batch, {described.outputs}]"
    for_task = f"for the task {described.task}" + (
        f" with {len(described.classes)} classes" if described.classes else ""
    )

    def slopes(inputs: tf.Tensor) -> tf.Tensor | None:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = model(inputs, training=False)
        if not tf.is_tensor(output):
            raise InputError(
                f"The model should have one output, {wanted}, {for_task}. Received: a {type(output).__name__} from "
                f"'{code.location}'. Return a model with one output."
            )
        if output.dtype != tf.float32:
            raise InputError(
                f"The model's output should be float32. Received: {output.dtype.name} from '{code.location}'. "
                'Give the last layer dtype="float32".'
            )
        if not output.shape.is_compatible_with([None, described.outputs]):
            raise _bad_shape(output.shape, wanted, for_task, code)
        return tape.gradient(output, inputs)

    spec = [tf.TensorSpec([None, rows.shape[1]], rows.dtype)]
    has_slopes = tf.function(lambda given: slopes(given) is not None, spec, autograph=False)
    # The first trace makes the model's variables, and finds what cannot be in a graph; errors of later calls have lines.
    has_slopes.get_concrete_function()
    found = tf.function(lambda given: model(given, training=False), spec, autograph=False)
    graph = found.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if python := sorted({node.op for node in nodes} & _PYTHON):
        raise InputError(
            f"The model should be made of TensorFlow operations, which a server runs without Python. Received: "
            f"{', '.join(python)} in '{code.location}'. Replace tf.py_function and tf.numpy_function."
        )
    shape = found(rows).shape.as_list()  # a graph may leave sizes open
    if shape != [len(rows), described.outputs]:
        raise _bad_shape(shape, wanted, for_task, code)
    if name := _saturated(model):
        raise InputError(
            f"The model's output should be logits{'' if described.classes else ' or, for regression, a scaled number'}, "
            f"without an activation. Received: '{name}' as the last activation in '{code.location}'. Remove it: the export "
            "adds what the task needs."
        )
    return bool(has_slopes(rows))


def _bad_shape(shape: Sequence[int | None], wanted: str, for_task: str, code: Code) -> InputError:
    return InputError(
        f"The model's output should have the shape {wanted}, {for_task}. Received: {_as_text(shape)} from "
        f"'{code.location}'. End the model with keras.layers.Dense(features.outputs)."
    )


def _saturated(model: keras.Model) -> str:
    """Return the name of the last activation if it maps to probabilities, else an empty text."""
    layer = last_layer(model)
    # A layer, or an operation such as keras.ops.sigmoid.
    names = (getattr(getattr(layer, "activation", None), "__name__", ""), type(layer).__name__.lower())
    return next((name for name in names if name in _SATURATED), "")


def last_layer(model: keras.Model) -> keras.layers.Layer | None:
    """Return the layer that makes the output; None if the model does not declare it."""
    model = getattr(model, "model", model) if isinstance(model, _FromMatrix) else model
    if isinstance(model, keras.Sequential):
        layer = model.layers[-1] if model.layers else None
    else:
        try:
            [output] = keras.tree.flatten(model.output)
            layer = output._keras_history.operation
        except (AttributeError, ValueError):
            return None
    return last_layer(layer) if isinstance(layer, keras.Model) else layer


def start_at(model: keras.Model, prior: Sequence[float]) -> bool:
    """Set the bias of the last layer to the logits of the class shares, if it is a dense layer whose bias is zero.

    Returns:
        Whether it was set.
    """
    layer = last_layer(model)
    bias = getattr(layer, "bias", None) if isinstance(layer, keras.layers.Dense) else None
    if bias is None or bias.shape != (len(prior),) or np.any(bias.numpy()):
        return False
    bias.assign(np.asarray(prior, np.float32))
    return True


def describe(features: Features, owners: Sequence[str], label: Label, counts: Sequence[int], scale: Scale) -> Described:
    """Return the features and the label as the code of one's own receives them."""
    positions: dict[str, list[int]] = {name: [] for name in features.columns}
    for position, owner in enumerate(owners):
        positions[owner].append(position)
    columns = [Column(n.name, "number", n.whole, n.edges, (), tuple(positions[n.name])) for n in features.numbers]
    columns += [
        Column(c.name, "category", False, (), c.vocabulary, tuple(positions[c.name])) for c in features.categories
    ]
    return Described(
        tuple(columns), len(owners), label.name, label.task, label.classes, tuple(counts), scale.mean, scale.deviation
    )
