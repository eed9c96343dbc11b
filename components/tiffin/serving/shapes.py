"""Shapes of nested lists and of arrays for a signature's inputs."""

from typing import Any

import numpy as np

from tiffin.errors import InputError
from tiffin.serving.signatures import TensorSpec
from tiffin.serving.tensors import Array


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists, or None if they are ragged."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return tuple(value.shape)
    if not isinstance(value, list | tuple | np.ndarray):
        return ()
    shapes = {shape_of(item) for item in value} or {()}
    inner = next(iter(shapes))
    return None if len(shapes) > 1 or inner is None else (len(value), *inner)


def to_objects(name: str, values: Any) -> Array:
    """Convert nested lists to an array of objects.

    Raises:
        InputError: The lists are ragged.
    """
    shape = shape_of(values)
    if shape is None:
        raise _ragged(name, values)
    array = np.empty(shape, object)
    flat = [values]
    for _ in shape:
        flat = [item for row in flat for item in row]
    array.reshape(-1)[:] = flat
    return array


def _ragged(name: str, rows: Any) -> InputError:
    shapes = [shape_of(row) for row in rows]
    for number, shape in enumerate(shapes):
        if shape is None:
            where = f" in row {number}" if len(rows) > 1 else ""
            return InputError(
                f"Input '{name}' should have lists of the same length. Received: {rows[number]!r:.80}{where}. "
                "Pad the shorter ones."
            )
    number = next(number for number, shape in enumerate(shapes) if shape != shapes[0])
    return InputError(
        f"Input '{name}' should have rows of the same length. Received: shape {_text(shapes[0])} in row 0, "
        f"{_text(shapes[number])} in row {number}. Pad the shorter ones, or send a request for each length."
    )


def _text(shape: tuple[int, ...] | None) -> str:
    return str(list(shape or ()))


def reshape(name: str, array: Array, spec: TensorSpec) -> Array:
    """Give an array the rank of an input, if it has one value per row.

    Raises:
        InputError: The array does not have the input's shape.
    """
    if spec.shape is None:
        return array
    rank = len(spec.shape)
    if not rank and array.size == 1:
        return array.reshape(())
    if array.ndim == 0 and rank:
        array = array.reshape(1)
    # One value per row fits any shape with one value per row.
    if rank and array.shape[1:].count(1) == array.ndim - 1 and all(size in (1, None) for size in spec.shape[1:]):
        array = array.reshape(len(array), *[1] * (rank - 1))
    elif not array.size and array.ndim < rank:
        # An empty list does not tell the dimensions below it.
        array = array.reshape(*array.shape, *(size or 0 for size in spec.shape[array.ndim :]))
    fits = array.ndim == rank and all(want in (None, got) for want, got in zip(spec.shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
        raise InputError(
            f"Input '{name}' should have the shape [{wanted}]. Received: {list(array.shape)}. "
            + ("Pass one value per request." if not rank else "Pass one value per row, or rows of that length.")
        )
    return array
