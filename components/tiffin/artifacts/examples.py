"""The examples artifact: its manifest, where its shards are, a few sample rows, and the rows that were set aside.

manifest.json       what was read and what became of it
data/               the shards, <split>-<number>.parquet, unless they live under a data root
sample_rows.jsonl   a few rows, as they would be sent to a model server
rejected.jsonl      rows that could not be read
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.storage.files import write_bytes

MANIFEST = "manifest.json"
_SAMPLE_ROWS = "sample_rows.jsonl"
_REJECTED = "rejected.jsonl"
_SHARDS = "data"
# In a data root, a version's folder that holds this file is whole.
_COMPLETE = "complete.json"
_REJECTED_LISTED = 1000

# A row of data: column to value, None where it is missing.
Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Column:
    """A column of the examples.

    Attributes:
        name: A name that TensorFlow takes.
        type: INT, FLOAT or STRING.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        uri: What the user calls it.
        digest: SHA-256 of its content.
        size_bytes: Its size.
        generation: Of a Cloud Storage object.
    """

    uri: str
    digest: str
    size_bytes: int
    generation: str | None = None


@dataclass(frozen=True)
class Split:
    """A split: its rows, and where its shards are: absolute, or relative to the artifact."""

    rows: int
    shards: tuple[str, ...]


@dataclass(frozen=True)
class SetAside:
    """How many rows could not be read, and the file that lists the first of them; None if there are none."""

    rows: int
    listed: str | None


@dataclass(frozen=True)
class Manifest:
    """What an examples artifact holds.

    Attributes:
        version: Digest of the content: the same rows give the same version.
        rows: Number of rows.
        columns: Names and types, in order.
        splits: By name.
        sources: The files that were read.
        renamed: Old name of a column to new.
        derive: Name of a derived column to its SQL expression.
        exclude: Columns that were dropped.
        key: Column whose value decides the split; empty for the whole row.
        set_aside: Rows that could not be read.
        format: Version of this format.
    """

    version: str
    rows: int
    columns: tuple[Column, ...]
    splits: dict[str, Split]
    sources: tuple[Source, ...]
    renamed: dict[str, str]
    derive: dict[str, str]
    exclude: tuple[str, ...]
    key: str
    set_aside: SetAside
    format: int = 1


@dataclass(frozen=True)
class Rejected:
    """A row that was set aside: where it stands and why."""

    source: str
    line: int
    column: str
    reason: str
    text: str


def shard_name(split: str, number: int = 0) -> str:
    """Return the path of a shard, relative to the artifact or to its version's folder in a data root."""
    return f"{_SHARDS}/{split}-{number:05d}.parquet"


def set_aside(rejected: Sequence[Rejected]) -> SetAside:
    """Return the manifest's entry for the rows that could not be read."""
    return SetAside(len(rejected), _REJECTED if rejected else None)


def write_examples(
    artifact: Path,
    manifest: Manifest,
    sample_rows: Iterable[Mapping[str, object]],
    rejected: Sequence[Rejected],
    shards: Path,
    data_root: str = "",
) -> Manifest:
    """Write an examples artifact, the manifest last: an artifact that has one is whole.

    Args:
        artifact: Its folder.
        manifest: With the shards' places relative to `shards`.
        sample_rows: A few rows.
        rejected: Rows that could not be read, of which the first 1000 are listed.
        shards: Folder inside `artifact` that holds the shards at `shard_name`; emptied.
        data_root: Where the shards live once per data version; empty to keep them inside the artifact.

    Returns:
        The manifest as it was written, with the shards' final places.
    """
    whole = shards.with_name(f"{shards.name}-artifact")
    # All is written before anything is put in its place: a disk that fills up leaves nothing half-written.
    write_bytes(whole / _SAMPLE_ROWS, _json_lines(sample_rows))
    if rejected:
        write_bytes(whole / _REJECTED, _json_lines(asdict(row) for row in rejected[:_REJECTED_LISTED]))
    if data_root:
        # A manifest is read from other folders, so the locations in it are absolute.
        home = storage.join(data_root if "://" in data_root else str(Path(data_root).resolve()), manifest.version)
        places = {
            name: replace(split, shards=tuple(storage.join(home, *shard.split("/")) for shard in split.shards))
            for name, split in manifest.splits.items()
        }
        manifest = replace(manifest, splits=places)
        documents.write(whole / MANIFEST, manifest)
        if not storage.exists(storage.join(home, _COMPLETE)):
            documents.write(shards / _COMPLETE, {"version": manifest.version})
            storage.publish_folder(shards, home)
    else:
        documents.write(whole / MANIFEST, manifest)
        target = artifact / _SHARDS
        if target.exists():  # A retry over the same output folder.
            target.rename(whole / "replaced")
        (shards / _SHARDS).rename(target)
    for name in (_REJECTED, _SAMPLE_ROWS, MANIFEST):
        if (whole / name).exists():
            (whole / name).replace(artifact / name)
    return manifest


def read_manifest(artifact: str | Path) -> Manifest:
    """Read the manifest of an examples artifact.

    Raises:
        InputError: It is not there or is no manifest.
    """
    return documents.read(Path(artifact) / MANIFEST, Manifest)


def shard_uris(artifact: str | Path, split: str) -> list[str]:
    """Return where the Parquet shards of a split are.

    Raises:
        InputError: There is no such split.
    """
    splits = read_manifest(artifact).splits
    if split not in splits:
        raise InputError(
            f"The split should be one of {', '.join(sorted(splits))}. Received: split='{split}'. "
            "Name one of these, or ingest with other splits."
        )
    # A shard under a data root has an absolute location; one inside the artifact moves with it.
    return [
        shard if "://" in shard or Path(shard).is_absolute() else str(Path(artifact) / shard)
        for shard in splits[split].shards
    ]


def read_sample_rows(artifact: str | Path) -> list[Row]:
    """Read the sample rows.

    Raises:
        InputError: There are none.
    """
    path = Path(artifact) / _SAMPLE_ROWS
    rows = _read_lines(path)
    if not rows:
        raise InputError(
            f"The examples should hold rows to ask about. Received: '{path}' with none. Ingest them again."
        )
    return rows


def read_rejected(artifact: str | Path) -> list[Rejected]:
    """Read the rows that were set aside."""
    listed = read_manifest(artifact).set_aside.listed
    return [Rejected(**row) for row in _read_lines(Path(artifact) / listed)] if listed else []


def _json_lines(records: Iterable[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []
