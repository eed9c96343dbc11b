"""The shards of an examples artifact, opened with pyarrow."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiffin import storage
from tiffin.artifacts.examples import shard_uris
from tiffin.errors import InputError, StorageError

if int(pyarrow.__version__.split(".")[0]) < 15:
    # CVE-2023-47248: before 14.0.1, reading a crafted file runs code from it. TFDV 1.16.1 needs pyarrow 10.
    import pyarrow_hotfix  # noqa: F401

# Columns are read through a buffer of this size, so that a large row group does not need memory for all of its bytes.
_BUFFER_BYTES = 1 << 20


def open_shards(artifact: str | Path, split: str) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield the location and the open file of each shard of a split.

    Raises:
        InputError: The split does not exist.
        StorageError: A shard is missing, or is not a Parquet file.
    """
    for uri in shard_uris(artifact, split):
        with open_shard(uri) as (_, file):
            yield uri, file


@contextlib.contextmanager
def open_shard(uri: str) -> Iterator[tuple[Path, pq.ParquetFile]]:
    """Open a shard at a location of `shard_uris`: yield its path on local disk, and the open file.

    Raises:
        StorageError: The shard is missing, or is not a Parquet file.
    """
    with storage.local_copy(uri) as path, contextlib.ExitStack() as stack:
        with _readable(uri):
            file = stack.enter_context(pq.ParquetFile(path, buffer_size=_BUFFER_BYTES))
        yield path, file


def read_groups(
    file: pq.ParquetFile, groups: Iterable[int], columns: Sequence[str], rows: int, uri: str
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of some row groups of an open shard in batches, none of which has rows of two row groups.

    Args:
        file: The open shard.
        groups: Numbers of the row groups.
        columns: Columns to read; without any, the batches have rows and no columns.
        rows: Maximum rows of a batch.
        uri: Location of the shard, for error messages.

    Raises:
        StorageError: The shard is damaged.
    """
    # A reader of the whole file keeps the bytes of all row groups that it has read.
    for group in groups:
        batches = file.iter_batches(rows, row_groups=[group], columns=columns)
        while True:
            with _readable(uri):
                batch = next(batches, None)
            if batch is None:
                break
            yield batch


def read_batches(
    artifact: str | Path, split: str, columns: Sequence[str], rows: int
) -> Iterator[tuple[str, pyarrow.RecordBatch]]:
    """Yield the rows of a split in batches, in the order of the shards, each with the location of its shard.

    Memory holds one batch, and the parts of the columns that it comes from.

    Args:
        artifact: Folder of the examples artifact.
        split: Name of the split.
        columns: Columns to read.
        rows: Maximum rows of a batch. Row groups that fit are joined, as those of wide shards have few rows.

    Raises:
        InputError: The split does not exist, a shard lacks a column, or shards disagree about the type of a column.
        StorageError: A shard is missing or damaged.
    """
    columns = list(dict.fromkeys(columns))
    first: tuple[str, dict[str, pyarrow.DataType]] | None = None
    for uri, file in open_shards(artifact, split):
        types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        if absent := [name for name in columns if name not in types]:
            raise InputError(
                f"Examples should have the columns that are read: {', '.join(absent)}. Received: '{uri}' with "
                f"{', '.join(types)}. Ingest with the same derive and exclude as in training."
            )
        first = first or (uri, types)
        for name in columns:
            if types[name] != first[1][name]:
                raise InputError(
                    f"Shards should have the same type of a column. Received: '{name}' is {types[name]} in '{uri}', "
                    f"{first[1][name]} in '{first[0]}'. Run the ingest step again."
                )
        parts: list[pyarrow.RecordBatch] = []
        for part in read_groups(file, range(file.num_row_groups), columns, rows, uri):
            if parts and sum(map(len, parts)) + len(part) > rows:
                yield from ((uri, batch) for batch in _joined(parts))
                parts = []
            parts.append(part)
        yield from ((uri, batch) for batch in _joined(parts))


def _joined(parts: Sequence[pyarrow.RecordBatch]) -> Sequence[pyarrow.RecordBatch]:
    if len(parts) < 2 or not parts[0].num_columns:
        return parts
    joined: list[pyarrow.RecordBatch] = pyarrow.Table.from_batches(parts).combine_chunks().to_batches()
    return joined


def has_label(values: pyarrow.Array | pyarrow.ChunkedArray) -> pyarrow.Array | pyarrow.ChunkedArray:
    """Return whether each value is a label: neither missing, NaN nor infinite."""
    valid = pc.is_valid(values)
    return (
        pc.and_kleene(valid, pc.fill_null(pc.is_finite(values), False))
        if pyarrow.types.is_floating(values.type)
        else valid
    )


@contextlib.contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Name the shard in the error of a file that cannot be read."""
    try:
        yield
    except PermissionError:
        raise  # `errors.explain` names the file
    except (pyarrow.ArrowException, OSError) as error:
        raise StorageError(
            f"Could not read '{uri}': it is damaged, or not a complete Parquet file. Run the ingest step again."
        ) from error


def iso_texts(seconds: pyarrow.Array, logical: str) -> pyarrow.Array:
    """Return seconds since 1970 as dates or timestamps in ISO 8601.

    A year has at least 4 digits, and a minus sign before the year 0. Years outside of -32767 to 32767 are a text that is
    not a date.
    """
    times = pc.cast(seconds, pyarrow.timestamp("s"))
    # Arrow's cast takes a thirtieth of the time of its strftime, which wraps years around.
    texts = pc.cast(times, pyarrow.string())
    if logical == "date":
        return pc.replace_substring_regex(texts, r" \d\d:\d\d:\d\d$", "")
    return pc.replace_substring(texts, " ", "T", max_replacements=1)
