"""Columns of the prediction files: where a row is, what it keeps of the examples, and the outputs of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import PredictionColumn
from tiffin.errors import InputError, did_you_mean
from tiffin.serving.prediction_log import INPUT, OUTPUT
from tiffin.serving.signatures import Signature, TensorSpec

# Where a row is in the examples.
PLACE = {"split": pa.string(), "shard": pa.int32(), "row": pa.int64()}
# What predicted it.
BY = {"model": pa.string(), "model_version": pa.int64()}
# Types of numpy that Parquet does not have, as TensorFlow's outputs become plain.
_WIDER = {"float16": "float32", "bfloat16": "float32"}


@dataclass(frozen=True)
class Table:
    """The columns of the files.

    Attributes:
        schema: Their Arrow schema.
        described: What they are, in order.
        kept: Name of a column of the file to that of the examples.
        outputs: Name of a column of the file to that of the output.
        notes: What was renamed.
    """

    schema: pa.Schema
    described: tuple[PredictionColumn, ...]
    kept: Mapping[str, Column]
    outputs: Mapping[str, str]
    notes: tuple[Note, ...]


def plan_columns(signature: Signature, manifest: Manifest, key: str, keep: Sequence[str]) -> Table:
    """Return the columns of the files: the row's place, the key, kept columns, outputs and the model.

    A kept column with the name of another column of the file becomes `input.<name>`, an output `output.<name>`.

    Args:
        signature: Signature, whose outputs are written.
        manifest: Manifest of the examples.
        key: Column that identifies a row; empty for none.
        keep: Other columns to copy.

    Raises:
        InputError: The examples lack a column, or an output has a type that Parquet does not have.
    """
    chosen = find_columns(manifest, key, keep)
    fixed = {*PLACE, *BY}
    outputs = {f"{OUTPUT}{name}" if name in fixed else name: name for name in signature.outputs}
    taken = {*fixed, *outputs}
    kept = {f"{INPUT}{column.name}" if column.name in taken else column.name: column for column in chosen}
    renamed = [column.name for name, column in kept.items() if name != column.name]
    fields = [*PLACE.items(), *((name, _kept_type(column)) for name, column in kept.items())]
    fields += [(name, output_type(output, signature.outputs[output])) for name, output in outputs.items()]
    fields += BY.items()
    schema = pa.schema(fields)
    sources = dict.fromkeys(PLACE, ("row", "")) | dict.fromkeys(BY, ("model", ""))
    sources |= {name: ("example", column.name) for name, column in kept.items()}
    sources |= {name: ("output", output) for name, output in outputs.items()}
    described = tuple(PredictionColumn(field.name, str(field.type), *sources[field.name]) for field in schema)
    notes: tuple[Note, ...] = ()
    if renamed:
        text = f"copied as {INPUT}<name>, since a column of the output has the same name: {', '.join(renamed)}"
        notes = (Note("KEPT_RENAMED", text, count=len(renamed)),)
    return Table(schema, described, kept, outputs, notes)


def find_columns(manifest: Manifest, key: str, keep: Sequence[str]) -> list[Column]:
    """Return the columns of the examples that are copied, the key first.

    Raises:
        InputError: The examples lack one of them.
    """
    known = {column.name: column for column in manifest.columns}
    found = []
    for parameter, name in (*((("key", key),) if key else ()), *(("keep", name) for name in keep)):
        column = known.get(manifest.final_name(name)) or known.get(name)
        if column is None:
            names = [manifest.original_name(one) for one in known]
            near = did_you_mean(name, names) or " Columns that count the rows are left out of the examples."
            raise InputError(
                f"{parameter} should be a column of the examples: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}. "
                f"Received: '{name}'.{near}"
            )
        found.append(column)
    return list(dict.fromkeys(found))


def output_type(name: str, spec: TensorSpec) -> pa.DataType:
    """Return the Arrow type of an output: a list, flat in row-major order, for several values per row.

    Raises:
        InputError: Parquet has no such type.
    """
    item: Any
    dtype = _WIDER.get(spec.dtype, spec.dtype)
    if dtype == "string":
        item = pa.string()
    elif dtype == "bool":
        item = pa.bool_()
    elif dtype.startswith(("int", "uint", "float")):
        item = pa.from_numpy_dtype(np.dtype(dtype))
    else:
        raise InputError(
            f"Outputs should be numbers, truth values or text. Received: '{name}' of type {spec.dtype}. List others in outputs."
        )
    return item if spec.shape is not None and len(spec.shape) == 1 else pa.list_(item)


def output_array(name: str, values: np.ndarray, type_: pa.DataType, rows: int) -> tuple[pa.Array, int]:
    """Return the values of an output as an Arrow array, and the number of texts whose bytes were replaced.

    Raises:
        InputError: The output has no value for each row.
    """
    if values.ndim == 0 or len(values) != rows:
        raise InputError(
            f"The model should have an output for each row. Received: '{name}' of the shape {list(values.shape)} for {rows} rows."
        )
    if not pa.types.is_list(type_):
        return _plain(values, type_)
    items, replaced = _plain(values.reshape(-1), type_.value_type)
    width = values.size // rows if rows else 0
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, items), replaced


def _plain(values: np.ndarray, type_: pa.DataType) -> tuple[pa.Array, int]:
    if not pa.types.is_string(type_):
        return pa.array(values.astype(type_.to_pandas_dtype(), copy=False), type_), 0
    found = pa.array(values, pa.binary())
    try:
        return found.cast(pa.string()), 0
    except pa.ArrowInvalid:
        texts = [value.decode(errors="replace") for value in values]
        bad = sum(text.encode() != value for text, value in zip(texts, values, strict=True))
        return pa.array(texts, pa.string()), bad


def _kept_type(column: Column) -> pa.DataType:
    logical = {"boolean": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("ms", tz="UTC")}
    plain = {"INT": pa.int64(), "FLOAT": pa.float64(), "STRING": pa.string()}
    return logical.get(column.logical or "") or plain[column.type]


def kept_array(column: Column, values: pa.Array) -> pa.Array:
    """Return the values of a column of the examples as what they stand for: a boolean, a date, a time, or themselves.

    Raises:
        InputError: A time is beyond what Parquet has.
    """
    type_ = _kept_type(column)
    if values.type.equals(type_):
        return values
    try:
        if column.logical == "date":
            # In the examples, a date is the second of its midnight.
            return pc.divide(values.cast(pa.int64()), 86_400).cast(pa.int32()).cast(type_)
        if column.logical == "timestamp":
            return values.cast(pa.timestamp("s", tz="UTC")).cast(type_)
        return values.cast(type_)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"'{column.name}' cannot be copied: {str(error).splitlines()[0]}. Leave it out of keep."
        ) from None
