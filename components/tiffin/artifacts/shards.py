"""The shards of an examples artifact, opened with pyarrow."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiffin import storage
from tiffin.artifacts.examples import shard_uris

if int(pyarrow.__version__.split(".")[0]) < 15:
    # CVE-2023-47248: before 14.0.1, reading a crafted file runs code from it. TFDV 1.16.1 needs pyarrow 10.
    import pyarrow_hotfix  # noqa: F401


def open_shards(artifact: str | Path, split: str) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield the location and the open file of each shard of a split.

    Raises:
        InputError: The split does not exist.
    """
    for uri in shard_uris(artifact, split):
        with storage.local_copy(uri) as path, pq.ParquetFile(path) as file:
            yield uri, file


def has_label(values: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return whether each value is a label: neither missing, NaN nor infinite."""
    valid = pc.is_valid(values)
    return (
        pc.and_kleene(valid, pc.fill_null(pc.is_finite(values), False))
        if pyarrow.types.is_floating(values.type)
        else valid
    )
