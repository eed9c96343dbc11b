"""Units of the examples: consecutive row groups of a shard, whose predictions are one file. Parts divide them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tiffin.artifacts.examples import Manifest, shard_uris
from tiffin.artifacts.shards import open_shard
from tiffin.errors import InputError, did_you_mean
from tiffin.storage import digest

# Rows of a unit: the most that is predicted again after a kill. A row group is not divided.
UNIT_ROWS = 1 << 18


@dataclass(frozen=True)
class Shard:
    """A shard of the examples.

    Attributes:
        split: Its split.
        number: Its number in the split, from 0.
        uri: Its location.
    """

    split: str
    number: int
    uri: str


@dataclass(frozen=True)
class Unit:
    """Consecutive row groups of a shard.

    Attributes:
        shard: The shard.
        number: Number of the unit in its shard, from 0.
        groups: Numbers of the row groups.
        start: Place of its first row in the shard, from 0.
        rows: Number of rows.
    """

    shard: Shard
    number: int
    groups: tuple[int, ...]
    start: int
    rows: int

    @property
    def name(self) -> str:
        """Name of the file with its predictions."""
        return f"{self.shard.split}-{self.shard.number:05d}-{self.number:05d}.parquet"


@dataclass(frozen=True)
class OpenShard:
    """An open shard, its digest, and the units of it that belong to a part."""

    file: pq.ParquetFile
    digest: str
    units: tuple[Unit, ...]


def find_shards(examples: str | Path, manifest: Manifest, split: str = "") -> list[Shard]:
    """Return the shards of a split, or of all splits, in order.

    Raises:
        InputError: There is no such split.
    """
    if split and split not in manifest.splits:
        known = sorted(manifest.splits)
        raise InputError(
            f"split should be one of {', '.join(known)}, or empty for all. Received: split='{split}'.{did_you_mean(split, known)}"
        )
    names = [split] if split else sorted(manifest.splits)
    return [Shard(name, number, uri) for name in names for number, uri in enumerate(shard_uris(examples, name))]


def count_rows(manifest: Manifest, split: str = "") -> Mapping[str, int]:
    """Return the number of rows of a split, or of all splits, by name."""
    return {name: one.rows for name, one in manifest.splits.items() if split in ("", name)}


def open_units(shards: Sequence[Shard], part: int, parts: int) -> Iterator[OpenShard]:
    """Yield the shards with units of a part.

    If there are as many shards as parts, each part has whole shards, so that others are not downloaded. Otherwise the units of
    all shards are dealt out.

    Args:
        shards: Shards of the examples.
        part: Number of the part, from 0.
        parts: Number of parts.

    Raises:
        StorageError: A shard is missing or damaged.
    """
    if len(shards) >= parts:
        for shard in shards[part::parts]:
            with open_shard(shard.uri) as (path, file):
                yield OpenShard(file, digest(path), tuple(divide(shard, file)))
        return
    before = 0
    for shard in shards:
        with open_shard(shard.uri) as (path, file):
            units = divide(shard, file)
            chosen = tuple(unit for place, unit in enumerate(units, before) if place % parts == part)
            before += len(units)
            if chosen:
                yield OpenShard(file, digest(path), chosen)


def divide(shard: Shard, file: pq.ParquetFile) -> list[Unit]:
    """Return the units of an open shard; an empty shard has one without rows, so that its file has the columns."""
    units: list[Unit] = []
    groups: list[int] = []
    start = rows = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if groups and rows + count > UNIT_ROWS:
            units.append(Unit(shard, len(units), tuple(groups), start, rows))
            start, rows, groups = start + rows, 0, []
        groups.append(group)
        rows += count
    if groups or not units:
        units.append(Unit(shard, len(units), tuple(groups), start, rows))
    return units
