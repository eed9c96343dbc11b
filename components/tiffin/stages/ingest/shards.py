"""The shards of an examples artifact: a Parquet file per split, and the digest of their rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Column, Row, Split, shard_name
from tiffin.errors import InputError
from tiffin.stages.ingest.sources import escaped, quoted_name, said

# The column of each row's split: a name that no column of the data can have.
SPLIT = '"tiffin split"'
_SAMPLE_ROWS = 20


def write_shards(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    splits: Sequence[str],
    derive: Mapping[str, str],
    folder: Path,
) -> tuple[str, dict[str, Split]]:
    """Write a Parquet file per split and return the data version and the splits.

    Args:
        connection: With the view `examples`, which holds each row's split; the table `final` is made of it.
        columns: Those to write.
        splits: Their names; one without rows gets an empty file.
        derive: The expressions in the view, for the error.
        folder: Folder to write below.

    Raises:
        InputError: An expression has no value for some row.
    """
    names = ", ".join(quoted_name(column.name) for column in columns)
    row = f"to_json(struct_pack({', '.join(f'{quoted_name(c.name)} := {quoted_name(c.name)}' for c in columns)}))::VARCHAR"
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
            shard = folder / shard_name(split)
            shard.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(
                f"COPY (SELECT {names} FROM final WHERE {SPLIT} = '{split}') TO '{escaped(shard)}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
            result[split] = Split(rows, (shard_name(split),))
    except duckdb.Error as error:
        reason = said(error)
        if not derive:
            raise
        raise InputError(
            f"The expressions should have a value for each row ({reason}). Received: derive={dict(derive)}. "
            "Use TRY_CAST or CASE where some rows have none."
        ) from None
    return version, result


def sample_rows(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> list[Row]:
    """Return a few rows, of the eval split where there is one, as they would be sent to a model server."""
    names = ", ".join(quoted_name(column.name) for column in columns)
    rows = connection.execute(
        f"SELECT {names} FROM final ORDER BY {SPLIT} <> 'eval', {SPLIT} LIMIT {_SAMPLE_ROWS}"
    ).fetchall()
    return [dict(zip([column.name for column in columns], row, strict=True)) for row in rows]
