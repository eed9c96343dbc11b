"""The examples artifact: its manifest, its shards, a few sample rows, and the skipped rows.

manifest.json       sources, columns and splits
data/               the shards, <split>-<number>.parquet, unless they are stored in a data root
sample_rows.jsonl   a few rows, as sent to a model server
rejected.jsonl      rows that could not be read
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.notes import Note
from tiffin.artifacts.recipe import Recipe
from tiffin.errors import InputError
from tiffin.storage.files import write_bytes

MANIFEST = "manifest.json"
_SAMPLE_ROWS = "sample_rows.jsonl"
_REJECTED = "rejected.jsonl"
_SHARDS = "data"
# Marks a version's folder in a data root as complete.
COMPLETE = "complete.json"
_REJECTED_LISTED = 1000
# A shard's location: inside the artifact, or below a data root, which is absolute or a URI.
_SHARD = re.compile(rf"((/|[a-z][a-z0-9]*://)(?!(.*/)?\.\./).*/)?{_SHARDS}/[^/\n]+\.parquet")

# A row of data: column to value, None if it is missing.
Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        uri: Location as the user gave it.
        digest: SHA-256 of the content.
        size_bytes: Size in bytes.
        generation: Generation of a Cloud Storage object; None elsewhere.
    """

    uri: str
    digest: str
    size_bytes: int
    generation: str | None = None


@dataclass(frozen=True)
class Split:
    """A split: its number of rows and the locations of its shards, absolute or relative to the artifact."""

    rows: int
    shards: tuple[str, ...]


@dataclass(frozen=True)
class SetAside:
    """The number of skipped rows, and the name of the file that lists the first of them; None if no row was skipped."""

    rows: int
    listed: str | None


@dataclass(frozen=True)
class Manifest:
    """The content of an examples artifact.

    Attributes:
        version: Digest of the content: the same rows give the same version.
        rows: Number of rows.
        columns: Names and types, in order.
        splits: Name of a split to its rows and shards.
        sources: Files that were read.
        renamed: Old name of a renamed column to its new name.
        derive: Name of a derived column to its SQL expression.
        exclude: Columns that were dropped.
        key: Column whose value decides the split; empty if the whole row does.
        set_aside: Rows that were skipped.
        recipe: How the rows were read: what predictions need to read rows of the source.
        notes: What was dropped, converted or guessed.
        format: Version of the manifest's format.
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
    recipe: Recipe
    notes: tuple[Note, ...] = ()
    format: int = 2

    def final_name(self, name: str) -> str:
        """Return the name of a column in the examples: the new name of a renamed column, or `name` itself."""
        return self.renamed.get(name, name)

    def original_name(self, name: str) -> str:
        """Return the name in the source of a column of the examples; a column that was not renamed keeps its name."""
        return next((source for source, final in self.renamed.items() if final == name), name)


@dataclass(frozen=True)
class Rejected:
    """A skipped row: its source, line and column, and the reason."""

    source: str
    line: int
    column: str
    reason: str
    text: str


def shard_name(split: str, number: int = 0) -> str:
    """Return the path of a shard, relative to the artifact or to its version's folder in a data root."""
    return f"{_SHARDS}/{split}-{number:05d}.parquet"


def set_aside(rejected: Sequence[Rejected]) -> SetAside:
    """Return the manifest's entry for the skipped rows."""
    return SetAside(len(rejected), _REJECTED if rejected else None)


def write_examples(
    artifact: Path,
    manifest: Manifest,
    sample_rows: Iterable[Mapping[str, object]],
    rejected: Sequence[Rejected],
    shards: Path,
    data_root: str = "",
) -> Manifest:
    """Write an examples artifact; the manifest comes last and marks it as complete.

    Args:
        artifact: Folder of the artifact.
        manifest: Manifest with shard paths relative to `shards`.
        sample_rows: A few rows.
        rejected: Skipped rows; the first 1000 are listed.
        shards: Folder inside `artifact` with the shards at `shard_name`; its files are moved away.
        data_root: Folder or URI that stores the shards once per data version; empty to store them in the artifact.

    Returns:
        The manifest as written, with the final locations of the shards.
    """
    whole = shards.with_name(f"{shards.name}-artifact")
    # Write all files before moving any, so that a full disk leaves no partial artifact.
    write_bytes(whole / _SAMPLE_ROWS, _json_lines(sample_rows))
    if rejected:
        write_bytes(whole / _REJECTED, _json_lines(asdict(row) for row in rejected[:_REJECTED_LISTED]))
    if data_root:
        # Manifests are read from other folders, so their locations are absolute.
        home = storage.join(data_root if "://" in data_root else str(Path(data_root).resolve()), manifest.version)
        places = {
            name: replace(split, shards=tuple(storage.join(home, *shard.split("/")) for shard in split.shards))
            for name, split in manifest.splits.items()
        }
        manifest = replace(manifest, splits=places)
        documents.write(whole / MANIFEST, manifest)
        if not storage.exists(storage.join(home, COMPLETE)):
            documents.write(shards / COMPLETE, {"version": manifest.version})
            storage.publish_folder(shards, home)
    else:
        documents.write(whole / MANIFEST, manifest)
        target = artifact / _SHARDS
        if target.exists():  # a retry with the same output folder
            target.rename(whole / "replaced")
        (shards / _SHARDS).rename(target)
    for name in (_REJECTED, _SAMPLE_ROWS, MANIFEST):
        if (whole / name).exists():
            (whole / name).replace(artifact / name)
    return manifest


def read_manifest(artifact: str | Path) -> Manifest:
    """Read the manifest of an examples artifact.

    Raises:
        InputError: The file is missing or is not a manifest.
    """
    return documents.read(Path(artifact) / MANIFEST, Manifest)


def shard_uris(artifact: str | Path, split: str, name: str = "split") -> list[str]:
    """Return the locations of a split's Parquet shards.

    Args:
        artifact: Folder of the examples artifact.
        split: Name of the split.
        name: Name of the parameter in the error. Defaults to `split`.

    Raises:
        InputError: The split does not exist.
    """
    splits = read_manifest(artifact).splits
    if split not in splits:
        raise InputError(
            f"{name} should be one of {', '.join(sorted(splits))}. Received: {name}='{split}'. "
            "Choose one of these, or ingest with other splits."
        )
    for shard in splits[split].shards:
        if not _SHARD.fullmatch(shard):
            raise InputError(
                f"A shard in '{Path(artifact) / MANIFEST}' should be a file {_SHARDS}/*.parquet of the artifact or "
                f"of a data root. Received: {shard!r}. Run the ingest step again."
            )
    # Shards in a data root have absolute locations; those inside the artifact move with it.
    return [
        shard if "://" in shard or Path(shard).is_absolute() else str(Path(artifact) / shard)
        for shard in splits[split].shards
    ]


def read_sample_rows(artifact: str | Path, columns: Sequence[str] | None = None) -> list[Row]:
    """Read the sample rows.

    Args:
        artifact: Folder of the artifact.
        columns: Columns to return. Defaults to all.

    Raises:
        InputError: The artifact has no sample rows, or lacks a column.
    """
    path = Path(artifact) / _SAMPLE_ROWS
    rows = _read_lines(path)
    if not rows:
        raise InputError(f"No sample rows in '{path}'. Run the ingest step again.")
    if columns is None:
        return rows
    if absent := [name for name in columns if name not in rows[0]]:
        raise InputError(
            f"examples should have the columns of the model. Received: '{artifact}' without {', '.join(absent)}. "
            "Ingest with the same derive and exclude as in training."
        )
    return [{name: row[name] for name in columns} for row in rows]


def read_rejected(artifact: str | Path) -> list[Rejected]:
    """Read the skipped rows."""
    listed = read_manifest(artifact).set_aside.listed
    return [Rejected(**row) for row in _read_lines(Path(artifact) / _REJECTED)] if listed else []


def _json_lines(records: Iterable[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []
