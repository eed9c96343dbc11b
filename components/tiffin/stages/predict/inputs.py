"""Columns of the examples as the inputs of a signature."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.recipe import ModelRecipe
from tiffin.artifacts.shards import iso_texts
from tiffin.errors import InputError, did_you_mean
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.values import cast

_MOMENTS = ("date", "timestamp")


@dataclass(frozen=True)
class Inputs:
    """How rows of the examples become inputs.

    Attributes:
        columns: Columns of the examples that are read.
        absent: Inputs whose column the examples lack: their values are missing.
        convert: Returns the inputs by name for a batch with these columns.
    """

    columns: tuple[str, ...]
    absent: tuple[str, ...]
    convert: Callable[[pa.RecordBatch], dict[str, np.ndarray]]


def read_inputs(
    signature: Signature, manifest: Manifest, recipe: ModelRecipe | None, by_tiffin: bool, allow_missing: bool = False
) -> Inputs:
    """Return how rows of the examples become the inputs of a signature.

    Args:
        signature: The signature.
        manifest: Manifest of the examples.
        recipe: Recipe of the model; None for a model that Tiffin did not train.
        by_tiffin: Whether the model takes missing values.
        allow_missing: Whether columns that the examples lack are missing values. Defaults to False: an error.

    Raises:
        InputError: The examples lack a column, or have another type.
    """
    columns = {column.name: column for column in manifest.columns}
    absent = [name for name in signature.inputs if name not in columns]
    if absent and not (allow_missing and by_tiffin):
        raise InputError(_lacks(absent, columns, manifest, recipe, by_tiffin))
    logical = {column.name: column.logical for column in recipe.inputs} if recipe else {}
    for name, spec in signature.inputs.items():
        if name in columns and (wanted := _misfit(columns[name], spec, logical.get(name), recipe is not None)):
            original = manifest.original_name(name)
            types = json.dumps({original: wanted}, ensure_ascii=False)
            raise InputError(
                f"'{original}' should be a column of type {wanted} for the model. Received: "
                f"{columns[name].logical or columns[name].type}. Ingest with types={types}."
            )
    present = tuple(name for name in signature.inputs if name in columns)

    def convert(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        found = {}
        for name, spec in signature.inputs.items():
            if name in columns:
                values = batch.column(batch.schema.get_field_index(name))
                found[name] = _array(values, spec, columns[name], by_tiffin)
            else:
                found[name] = _missing(len(batch), spec)
            if spec.shape is not None and len(spec.shape) == 2:
                found[name] = found[name][:, None]
        return found

    return Inputs(present, tuple(absent), convert)


def _lacks(
    absent: Sequence[str],
    columns: Mapping[str, Column],
    manifest: Manifest,
    recipe: ModelRecipe | None,
    by_tiffin: bool,
) -> str:
    original = {column.column: column.name for column in recipe.recipe.source} if recipe else {}
    derived = {column.name: column.expression for column in recipe.recipe.derive} if recipe else {}
    listed = ", ".join(f"'{original.get(name, name)}'" for name in absent)
    expressions = {name: derived[name] for name in absent if name in derived}
    if expressions:
        advice = f"Ingest with derive={json.dumps(expressions, ensure_ascii=False)}"
    else:
        known = [manifest.original_name(name) for name in columns]
        near = did_you_mean(original.get(absent[0], absent[0]), known) if len(absent) == 1 else ""
        advice = f"{near.strip()} Add {'it' if len(absent) == 1 else 'them'} to the data".strip()
    allowed = ", or allow missing columns: allow_missing=true" if by_tiffin else ""
    return f"examples should have the columns that the model uses. Received: no {listed}. {advice}{allowed}."


def _misfit(column: Column, spec: TensorSpec, logical: str | None, has_recipe: bool) -> str:
    """Return the type that ingest should give to a column; empty if it has one that the model takes."""
    if spec.dtype != "string":
        # Text without values is a column of missing numbers, which is seen when it is read.
        return "float" if column.logical in _MOMENTS and has_recipe else ""
    if logical in _MOMENTS:
        # The model reads dates that are text itself.
        return "" if column.type == "STRING" or column.logical in _MOMENTS else logical
    if column.type == "STRING" or (not has_recipe and column.logical in _MOMENTS):
        return ""
    return "text"


def _missing(rows: int, spec: TensorSpec) -> np.ndarray:
    return np.full(rows, "", object) if spec.dtype == "string" else np.full(rows, np.nan, spec.dtype)


def _array(values: pa.Array, spec: TensorSpec, column: Column, by_tiffin: bool) -> np.ndarray:
    if spec.dtype == "string":
        if column.logical in _MOMENTS:
            values = iso_texts(values, column.logical)
        if values.null_count:
            if not by_tiffin:
                raise _has_none(column)
            values = pc.fill_null(values, "")
        texts: np.ndarray = values.to_numpy(zero_copy_only=False)
        return texts
    if pa.types.is_string(values.type):
        if values.null_count < len(values):
            example = values.drop_null()[0].as_py()
            raise InputError(
                f"'{column.name}' should be a column of numbers for the model. Received: text, such as {example!r:.80}. "
                f'Ingest with types={{"{column.name}": "float"}}, or list the texts that are missing values in missing_values.'
            )
        values = pa.nulls(len(values), pa.float64())
    if values.null_count and not by_tiffin:
        raise _has_none(column)
    if spec.dtype in ("float64", "float32", "float16"):
        numbers: np.ndarray = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers.astype(spec.dtype, copy=False)
    plain = values.to_numpy(zero_copy_only=False)
    return cast({column.name: plain}, Signature({column.name: spec}, {}), rounded=True)[column.name]


def _has_none(column: Column) -> InputError:
    return InputError(
        f"'{column.name}' should have a value in each row, as Tiffin did not train the model. Received: a missing value. "
        "Fill it, or derive a column without missing values."
    )
