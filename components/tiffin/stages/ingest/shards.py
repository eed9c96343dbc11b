"""Write the Parquet shards of an examples artifact, and digest their rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Row, Split, shard_name
from tiffin.errors import InputError
from tiffin.recipe.reasons import check_disk, expression_reason
from tiffin.recipe.sql import escaped, quoted_name
from tiffin.stages.ingest.sources import ROW, parquet_relation, row_group_rows

# Column for each row's split; the space keeps it apart from the data's columns.
SPLIT = '"tiffin split"'
_SAMPLE_ROWS = 20
# Rows of the source from which a shard of a split is written: a bit for each of them is held in memory.
_SHARD_ROWS = 1 << 25


def write_shards(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    split_rows: str,
    splits: Sequence[str],
    derive: Mapping[str, str],
    folder: Path,
) -> tuple[str, dict[str, Split]]:
    """Write Parquet files for each split and return the data version and the splits.

    Args:
        connection: Connection with the view `examples`.
        columns: Columns to write.
        split_rows: SQL of the view's rows with each row's split.
        splits: Split names; a split without rows gets an empty file.
        derive: Expressions of the view, for the error message.
        folder: Folder to write to.

    Raises:
        InputError: An expression fails for some row.
    """
    names = ", ".join(quoted_name(column.name) for column in columns)
    try:
        # Splits and digests take most of the time: one pass finds both, and keeps a bit per row and split.
        connection.execute(
            "CREATE TEMP TABLE splits AS SELECT name, part, count(*) AS rows, "
            # The sum of the rows' digests does not depend on the order of the rows.
            "sum(CAST(CAST(digest >> 64 AS UBIGINT) AS HUGEINT)) AS upper, "
            f"sum(CAST(CAST(digest & {(1 << 64) - 1}::UHUGEINT AS UBIGINT) AS HUGEINT)) AS lower, "
            f"bitstring_agg(bit, 0, {_SHARD_ROWS - 1}) AS bits FROM (SELECT {SPLIT} AS name, {ROW} // {_SHARD_ROWS} AS part, "
            f"CAST({ROW} % {_SHARD_ROWS} AS INTEGER) AS bit, md5_number({_row_text(columns)}) AS digest FROM {split_rows}) "
            "GROUP BY name, part"
        )
        digests = connection.execute(
            "SELECT name, CAST(sum(rows) AS BIGINT), CAST(sum(upper) AS VARCHAR), CAST(sum(lower) AS VARCHAR) FROM splits "
            "GROUP BY name ORDER BY name"
        ).fetchall()
        # A date has the integers of its midnight: what they stand for does not change the version.
        content = [[{"name": column.name, "type": column.type} for column in columns], digests]
        version = "d" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        found = dict.fromkeys(splits, 0) | {split: count for split, count, _, _ in digests}
        result = {}
        for split, count in sorted(found.items()):
            parts = connection.execute("SELECT part FROM splits WHERE name = ? ORDER BY part", [split]).fetchall()
            shards: list[str] = []
            for (part,) in parts or [(0,)]:
                shards.append(shard_name(split, len(shards)))
                shard = folder / shards[-1]
                shard.parent.mkdir(parents=True, exist_ok=True)
                bits = f"SELECT bits FROM splits WHERE name = '{split}' AND part = {part}"
                connection.execute(f"SET VARIABLE bits = ({bits})")
                bit = f"get_bit(getvariable('bits'), CAST({ROW} % {_SHARD_ROWS} AS INTEGER)) = 1"
                chosen = f"{ROW} // {_SHARD_ROWS} = {part} AND {bit}" if count else "false"
                connection.execute(
                    f"COPY (SELECT {names} FROM examples WHERE {chosen}) TO '{escaped(shard)}' "
                    f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group_rows(len(columns))})"
                )
            result[split] = Split(count, tuple(shards))
    except (duckdb.Error, UnicodeDecodeError) as error:
        check_disk(error)
        if not derive:
            raise
        raise InputError(
            f"An expression failed for some rows ({expression_reason(error)}). Received: derive={dict(derive)}. "
            "Use TRY_CAST or CASE for rows without a value."
        ) from None
    return version, result


def _row_text(columns: Sequence[Column]) -> str:
    """Return the SQL for the text of a row of the view `examples` that its digest is made of: `[1,0.5,"a",null]`.

    Strings are quoted as in JSON, so that different rows have different texts.
    """
    texts = []
    for column in columns:
        name = quoted_name(column.name)
        text = f"to_json({name})::VARCHAR" if column.type == "STRING" else f"CAST({name} AS VARCHAR)"
        texts.append(f"coalesce({text}, 'null')")
    # The version has the names once: with each row, they would be most of the text.
    return "concat('[', " + ", ',', ".join(texts) + ", ']')"


def sample_rows(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], splits: Mapping[str, Split], folder: Path
) -> list[Row]:
    """Return up to 20 rows, from the split `eval` first, in the form of rows sent to a model server."""
    # As a model takes them: dates and times are text.
    names = ", ".join(_as_input(column) for column in columns)
    found: list[Row] = []
    for split in sorted(splits, key=lambda split: (split != "eval", split)):
        for shard in splits[split].shards:
            rows = connection.execute(
                f"SELECT {names} FROM {parquet_relation(folder / shard)} LIMIT {_SAMPLE_ROWS - len(found)}"
            ).fetchall()
            found += [dict(zip([column.name for column in columns], row, strict=True)) for row in rows]
    return found


def _as_input(column: Column) -> str:
    """Return the SQL for a column's values as inputs of a model."""
    name = quoted_name(column.name)
    if column.logical == "date":
        # A date may be beyond the range of timestamps.
        return f"CAST(DATE '1970-01-01' + CAST({name} // 86400 AS INTEGER) AS VARCHAR)"
    return f"strftime(make_timestamp({name} * 1000000), '%Y-%m-%dT%H:%M:%S')" if column.logical == "timestamp" else name
