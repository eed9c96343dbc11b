"""The shards of an examples artifact: a Parquet file per split, the digest of their rows, and where they are put."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from tiffin import artifacts, storage
from tiffin.errors import InputError
from tiffin.stages.ingest.sources import Column, escaped, quoted_name, said

# The column of each row's split: a name that no column of the data can have.
SPLIT = '"tiffin split"'
_SAMPLE_ROWS = 20


def write_shards(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    splits: Sequence[str],
    derive: Mapping[str, str],
    scratch: Path,
) -> dict[str, Any]:
    """Write a Parquet file per split and return the manifest's `splits`, `rows` and `version`.

    Args:
        connection: With the view `examples`, which holds each row's split; the table `final` is made of it.
        columns: Those to write.
        splits: Their names; one without rows gets an empty file.
        derive: The expressions in the view, for the error.
        scratch: Folder to write below, in `shards/`.

    Raises:
        InputError: An expression has no value for some row.
    """
    names = ", ".join(quoted_name(column.name) for column in columns)
    row = f"to_json(struct_pack({', '.join(f'{quoted_name(c.name)} := {quoted_name(c.name)}' for c in columns)}))::VARCHAR"
    folder = scratch / "shards" / artifacts.SHARDS
    folder.mkdir(parents=True)
    try:
        # Materialized once: the expressions run one time, and the digest and the shards see the same rows.
        connection.execute("CREATE TABLE final AS SELECT * FROM examples")
        digests = connection.execute(
            # The digest of a set of rows: the sum of their digests, so that no order of reading changes it.
            f"SELECT {SPLIT}, count(*), sum(md5_number_lower({row})::HUGEINT)::VARCHAR, "
            f"sum(md5_number_upper({row})::HUGEINT)::VARCHAR FROM final GROUP BY 1 ORDER BY 1"
        ).fetchall()
        content = [[asdict(column) for column in columns], digests]
        version = "d" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        found = dict.fromkeys(splits, 0) | {split: rows for split, rows, _, _ in digests}
        result = {}
        for split, rows in sorted(found.items()):
            shard = folder / f"{split}-00000.parquet"
            connection.execute(
                f"COPY (SELECT {names} FROM final WHERE {SPLIT} = '{split}') TO '{escaped(shard)}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
            result[split] = {"rows": rows, "shards": [f"{artifacts.SHARDS}/{shard.name}"]}
    except duckdb.Error as error:
        reason = said(error)
        if not derive:
            raise
        raise InputError(
            f"The expressions should have a value for each row ({reason}). Received: derive={dict(derive)}. "
            "Use TRY_CAST or CASE where some rows have none."
        ) from None
    return {"version": version, "splits": result, "rows": sum(found.values())}


def place(manifest: dict[str, Any], scratch: Path, output: Path, data_root: str) -> None:
    """Complete the manifest's shard locations and put the shards and the artifact's files in their places."""
    whole = scratch / "artifact"
    if data_root:
        # A manifest is read from other folders, so the locations in it are absolute.
        home = storage.join(data_root if "://" in data_root else str(Path(data_root).resolve()), manifest["version"])
        for split in manifest["splits"].values():
            split["shards"] = [storage.join(home, *shard.split("/")) for shard in split["shards"]]
        artifacts.write_json(whole / artifacts.MANIFEST, manifest)
        if not storage.exists(storage.join(home, "complete.json")):
            artifacts.write_json(scratch / "shards" / "complete.json", {"version": manifest["version"]})
            storage.publish_folder(scratch / "shards", home)
    else:
        artifacts.write_json(whole / artifacts.MANIFEST, manifest)
        target = output / artifacts.SHARDS
        if target.exists():  # A retry over the same output folder.
            target.rename(scratch / "replaced")
        (scratch / "shards" / artifacts.SHARDS).rename(target)
    # The manifest comes last: an artifact that has one is whole.
    for name in (artifacts.REJECTED, artifacts.SAMPLE_ROWS, artifacts.MANIFEST):
        if (whole / name).exists():
            (whole / name).replace(output / name)


def sample_rows(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return a few rows, of the eval split where there is one, as they would be sent to a model server."""
    names = ", ".join(quoted_name(column.name) for column in columns)
    rows = connection.execute(
        f"SELECT {names} FROM final ORDER BY {SPLIT} <> 'eval', {SPLIT} LIMIT {_SAMPLE_ROWS}"
    ).fetchall()
    return [dict(zip([column.name for column in columns], row, strict=True)) for row in rows]


def json_lines(records: Iterable[Any]) -> bytes:
    """Return a line of JSON for each record."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
