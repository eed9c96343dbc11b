"""How rows of a file become the inputs of a served model."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiffin.commands.output import echo
from tiffin.errors import InputError
from tiffin.recipe.rows import RowReader
from tiffin.serving import recipes
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.rows import Source, select_example, select_inputs
from tiffin.serving.signatures import Signature
from tiffin.serving.stream import Select, one_by_one, rows_per_request


@dataclass(frozen=True)
class ServedModel:
    """A model on a server: its signatures, and the reader of its rows if Tiffin trained it."""

    signatures: dict[str, Signature]
    reader: RowReader | None


def choose(
    model: ServedModel, found: Signature, as_examples: bool, source: Source, allow_missing: bool
) -> tuple[Select, list[str]]:
    """Return the function that selects the values of rows, and the columns whose missing values are told."""
    is_text = [spec.dtype for spec in found.inputs.values()] == ["string"]
    if as_examples and not is_text:
        inputs = ", ".join(f"{name} ({spec.dtype})" for name, spec in found.inputs.items())
        raise InputError(
            f"--as-examples requires a signature with one input of type string. Received: {inputs}. Choose another one."
        )
    are_examples = as_examples or found.takes_examples
    if model.reader and (are_examples or set(found.inputs) == {column.name for column in model.reader.recipe.inputs}):
        name = next(iter(found.inputs)) if are_examples else ""
        return functools.partial(_from_source, model.reader, allow_missing, name), model.reader.names
    if not are_examples:
        select = functools.partial(select_inputs, signature=found, is_text=source.is_text)
        # Missing values are errors for other models.
        return one_by_one(select), [*found.inputs] if found.by_tiffin else []
    columns = model.signatures[DEFAULT_SIGNATURE].inputs if found.by_tiffin else None
    if source.is_text:
        raise InputError(
            "CSV has no types, but each feature of a tf.Example is bytes, int64 or float. Pass JSON lines or Parquet"
            + (", or use the signature serving_default." if found.by_tiffin else ".")
        )
    select = functools.partial(select_example, name=next(iter(found.inputs)), columns=columns)
    return one_by_one(select), [*columns] if columns else []


def _from_source(
    reader: RowReader, allow_missing: bool, example: str, rows: Sequence[Any]
) -> list[dict[str, Any] | InputError]:
    """Return the model's inputs for rows of the source, as tf.Examples in the input `example` unless it is empty."""
    if not example:
        return recipes.read_rows(reader, rows, allow_missing)
    # A row that has only the input is passed on: its value is serialized already.
    done = [not isinstance(row, Mapping) or list(row) == [example] for row in rows]
    left = iter(
        recipes.read_rows(reader, [row for row, is_done in zip(rows, done, strict=True) if not is_done], allow_missing)
    )
    values = [row if is_done else next(left) for row, is_done in zip(rows, done, strict=True)]
    select = one_by_one(functools.partial(select_example, name=example, columns=None))
    return [each if isinstance(each, InputError) else select([each])[0] for each in values]


def announce(found: Signature, are_examples: bool, batch_size: int) -> None:
    """Say how rows are sent, if it is not as asked."""
    if are_examples:
        echo(f"note: rows are sent as tf.Examples in the input '{next(iter(found.inputs))}'.", err=True)
    rows = rows_per_request(found, batch_size)
    if rows < batch_size:
        both = (*found.inputs.items(), *found.outputs.items())
        fixed = next(name for name, spec in both if spec.shape == () or (spec.shape and spec.shape[0] == rows))
        echo(f"note: requests have {rows} of {batch_size} rows, because of the shape of '{fixed}'.", err=True)
