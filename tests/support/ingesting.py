"""Ingest files written by a test, and read back the examples artifact."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin.artifacts.examples import Manifest, Rejected, read_rejected
from tiffin.artifacts.shards import open_shards
from tiffin.stages.ingest.examples import ingest


@dataclass
class Ingested:
    """An examples artifact, read back.

    Attributes:
        manifest: The manifest.
        splits: Split name to rows.
        rejected: The skipped rows.
    """

    manifest: Manifest
    splits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for split in sorted(self.splits) for row in self.splits[split]]

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.manifest.columns}


class Ingest:
    """Write files to `in` below a folder, and ingest them into `out` below it."""

    def __init__(self, folder: Path) -> None:
        self.source, self.output = folder / "in", folder / "out"

    def write(self, content: Any, name: str = "data.csv") -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def __call__(self, content: Any = None, name: str = "data.csv", /, data: str = "", **options: Any) -> Ingested:
        """Ingest `content`: the text, bytes or table of one file, or several files by name. Defaults to one split."""
        if isinstance(content, dict):
            for each, part in content.items():
                self.write(part, each)
            data = data or str(self.source)
        elif content is not None:
            data = data or str(self.write(content, name))
        manifest = ingest(data, self.output, **{"splits": {"train": 1}, **options})
        found = Ingested(manifest, rejected=read_rejected(self.output))
        for split in manifest.splits:
            found.splits[split] = [
                row for _, shard in open_shards(self.output, split) for row in shard.read().to_pylist()
            ]
        return found

    def left(self) -> list[str]:
        """Return the paths of all files and folders in the output folder."""
        return sorted(str(path.relative_to(self.output)) for path in self.output.rglob("*"))
