"""The shards of an examples artifact, for those that have pyarrow."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from tiffin import storage
from tiffin.artifacts.examples import shard_uris


def open_shards(artifact: str | Path, split: str) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield the location and the open file of each shard of a split.

    Raises:
        InputError: There is no such split.
    """
    for uri in shard_uris(artifact, split):
        with storage.local_copy(uri) as path, pq.ParquetFile(path) as file:
            yield uri, file
