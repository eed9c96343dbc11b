"""A bounded sample of the rows in the prediction log: the same log gives the same rows, in any order of its files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.serving.log_reading import Log, open_log
from tiffin.serving.prediction_log import INPUT, OUTPUT
from tiffin.stages.monitor.windows import Window

MOST_ROWS = 5000
_CHOSEN_BY = ("request_id", "row", "version", "route", "code")


@dataclass(frozen=True)
class Sample:
    """Rows of a version.

    Attributes:
        rows: Number of rows in the window.
        columns: Name in the log, such as `input.km`, to the values of the sampled rows; None for a missing one.
        lists: Columns that are left out since they have several values in a row.
        more: Number of inputs that are left out since there are too many.
        sampled: Number of sampled rows.
    """

    rows: int
    columns: dict[str, list[Any]]
    lists: tuple[str, ...]
    more: int
    sampled: int


def sample_rows(
    root: str, model: str, version: int, span: Window, first: Sequence[str], most_inputs: int, most: int = MOST_ROWS
) -> Sample:
    """Return the rows with the smallest hashes of request and row: answered requests of a version, without copies.

    Args:
        root: Root of the prediction log.
        model: Name of the model.
        version: Version.
        span: The window.
        first: Inputs to take first.
        most_inputs: Largest number of inputs.
        most: Largest number of rows. Defaults to 5,000.

    Raises:
        StorageError: The log cannot be read.
    """
    log = open_log(root, model, span.start, span.end)
    names, more = _choose(log, first, most_inputs)
    keys, kept, rows, lists = np.zeros(0, np.uint64), None, 0, set[str]()
    for batch in log.batches([*_CHOSEN_BY, *names]):
        found = _of_version(batch, version)
        rows += found.num_rows
        lists |= {name for name in names if _has_several(found, name)}
        own = _keys(found)
        new = np.flatnonzero(own < keys[-1]) if len(keys) == most else np.arange(len(own))
        if not len(new):
            continue
        part = pa.Table.from_batches([found]).select(names).take(pa.array(new))
        together = part if kept is None else pa.concat_tables([kept, part])
        keys = np.concatenate([keys, own[new]])
        order = np.argsort(keys, kind="stable")[:most]
        # Copied, or the rows that are not chosen would stay in memory.
        keys, kept = keys[order], together.take(pa.array(order)).combine_chunks()
    values = {name: _values(kept, name) if kept is not None else [] for name in names if name not in lists}
    return Sample(rows, values, tuple(name for name in names if name in lists), more, len(keys))


def _choose(log: Log, first: Sequence[str], most_inputs: int) -> tuple[list[str], int]:
    """Return the outputs and inputs to read, and the number of further inputs."""
    names = [f"{INPUT}{name}" for name in first if f"{INPUT}{name}" in log.columns]
    inputs = list(dict.fromkeys([*names, *(name for name in log.columns if name.startswith(INPUT))]))
    outputs = [name for name in log.columns if name.startswith(OUTPUT)]
    return [*outputs, *inputs[:most_inputs]], max(0, len(inputs) - most_inputs)


def _of_version(batch: pa.RecordBatch, version: int) -> pa.RecordBatch:
    found = dict(zip(batch.schema.names, batch.columns, strict=True))
    wanted = pc.and_(pc.equal(found["version"], version), pc.equal(found["code"], "OK"))
    return batch.filter(pc.and_(wanted, pc.not_equal(found["route"], "mirror")))


def _has_several(batch: pa.RecordBatch, name: str) -> bool:
    column = batch.column(batch.schema.get_field_index(name))
    return pa.types.is_list(column.type) and (pc.max(pc.list_value_length(column)).as_py() or 0) > 1


def _keys(batch: pa.RecordBatch) -> np.ndarray:
    ids, places = (batch.column(batch.schema.get_field_index(name)).to_pylist() for name in ("request_id", "row"))
    digests = [
        hashlib.blake2b(f"{one} {place}".encode(), digest_size=8).digest()
        for one, place in zip(ids, places, strict=True)
    ]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def _values(table: pa.Table, name: str) -> list[Any]:
    """Return the values of a column; of a list, its only value."""
    values: list[Any] = table.column(name).to_pylist()
    if not pa.types.is_list(table.schema.field(name).type):
        return values
    return [one[0] if one else None for one in values]
