"""Write the Parquet shards of an examples artifact, one per split, and digest their rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Column, Row, Split, shard_name
from tiffin.errors import InputError
from tiffin.stages.ingest.reasons import check_disk, expression_reason
from tiffin.stages.ingest.sources import escaped, quoted_name

# Column for each row's split; the space keeps it apart from the data's columns.
SPLIT = '"tiffin split"'
_SAMPLE_ROWS = 20


def write_shards(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    splits: Sequence[str],
    derive: Mapping[str, str],
    folder: Path,
) -> tuple[str, dict[str, Split]]:
    """Write one Parquet file per split and return the data version and the splits.

    Args:
        connection: Connection with the view `examples`, from which the table `final` is created.
        columns: Columns to write.
        splits: Split names; a split without rows gets an empty file.
        derive: Expressions of the view, for the error message.
        folder: Folder to write to.

    Raises:
        InputError: An expression fails for some row.
    """
    names = ", ".join(quoted_name(column.name) for column in columns)
    row = f"to_json(struct_pack({', '.join(f'{quoted_name(c.name)} := {quoted_name(c.name)}' for c in columns)}))::VARCHAR"
    try:
        # Materialized once, so that the expressions run once and the digest covers the rows in the shards.
        connection.execute("CREATE TABLE final AS SELECT * FROM examples")
        digests = connection.execute(
            # The sum of the rows' digests does not depend on the order of the rows.
            f"SELECT {SPLIT}, count(*), sum(md5_number_lower({row})::HUGEINT)::VARCHAR, "
            f"sum(md5_number_upper({row})::HUGEINT)::VARCHAR FROM final GROUP BY 1 ORDER BY 1"
        ).fetchall()
        # A date has the integers of its midnight: what they stand for does not change the version.
        content = [[{"name": column.name, "type": column.type} for column in columns], digests]
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
    except (duckdb.Error, UnicodeDecodeError) as error:
        check_disk(error)
        if not derive:
            raise
        raise InputError(
            f"An expression failed for some rows ({expression_reason(error)}). Received: derive={dict(derive)}. "
            "Use TRY_CAST or CASE for rows without a value."
        ) from None
    return version, result


def sample_rows(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> list[Row]:
    """Return up to 20 rows, from the split `eval` first, in the form of rows sent to a model server."""
    names = ", ".join(quoted_name(column.name) for column in columns)
    rows = connection.execute(
        f"SELECT {names} FROM final ORDER BY {SPLIT} <> 'eval', {SPLIT} LIMIT {_SAMPLE_ROWS}"
    ).fetchall()
    return [dict(zip([column.name for column in columns], row, strict=True)) for row in rows]
