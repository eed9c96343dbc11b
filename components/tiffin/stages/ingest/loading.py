"""Load source files into one DuckDB table, with the same columns and types for all of them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from tiffin import storage
from tiffin.artifacts.examples import Rejected, Source
from tiffin.artifacts.notes import Note
from tiffin.errors import DataError, InputError
from tiffin.stages.ingest import sample
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.reasons import damaged, unreadable
from tiffin.stages.ingest.rejects import rejected_rows, too_many_rejected
from tiffin.stages.ingest.sources import (
    Column,
    common_type,
    csv_relation,
    csv_types,
    escaped,
    parquet_relation,
    quoted_name,
)
from tiffin.stages.ingest.tables import Table


@dataclass(frozen=True)
class Loaded:
    """What was read into the table `source`: its columns, the rows set aside, and what was decided on the way.

    `counts` has the number of rows of each file, in the order of the table.
    """

    columns: list[Column]
    rejected: list[Rejected]
    notes: tuple[Note, ...] = ()
    counts: tuple[int, ...] = ()


@contextmanager
def local_files(data: str, scratch: Path) -> Iterator[dict[Path, Source]]:
    """Yield each source's local path and its manifest entry; download remote files."""
    if data.startswith("sample:"):
        path = scratch / "sample.csv"
        sample.write_sample_uri(data, path)
        yield {path: Source(data, storage.digest(path), path.stat().st_size)}
        return
    if not data:
        raise InputError("data should be a file, folder or glob. Received: data=''. Pass --set data=PATH.")
    with ExitStack() as stack:
        found = {}
        for source in storage.list_files(data):
            path = stack.enter_context(storage.local_copy(source.uri))
            found[path] = Source(source.uri, storage.digest(path), source.size_bytes, source.generation or None)
        yield found


def load(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    names: Names,
    reading: Reading,
    max_bad_share: float,
) -> Loaded:
    """Read every file into the table `source`.

    Args:
        connection: Connection that gets the table.
        tables: The files.
        names: Names of the columns in the files and in the table.
        reading: How to read the files.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1.

    Raises:
        InputError: A file is invalid, or the files do not fit together.
        DataError: There are no rows, or too many unreadable ones.
    """
    found = {table.uri: table.columns for table in tables}
    texts = [table for table in tables if table.delimiter]
    if texts:
        found |= _csv_columns(connection, texts, max_bad_share)
    by_file = {uri: {column.name: column.type for column in columns} for uri, columns in found.items()}
    columns = [
        Column(
            column.name,
            common_type(names.original(column.name), {uri: types[column.name] for uri, types in by_file.items()}),
        )
        for column in tables[0].columns
    ]
    columns += [Column(name, "VARCHAR") for name in tables[0].partitions]
    types = {column.name: column.type for column in columns}
    connection.execute(f"CREATE TABLE source ({', '.join(f'{quoted_name(c.name)} {c.type}' for c in columns)})")
    counts = []
    for table in tables:
        typed = [Column(column.name, types[column.name]) for column in table.columns]
        if table.delimiter:
            relation = csv_relation(table.path, table.delimiter, typed, rejects=True, header=table.header)
        else:
            read = ", ".join(f"{quoted_name(own)} AS {quoted_name(name)}" for name, own in table.reads.items())
            relation = f"(SELECT {read} FROM {parquet_relation(table.path)})"
        folders = "".join(f", {_literal(value)} AS {quoted_name(key)}" for key, value in table.partitions.items())
        try:
            done = connection.execute(f"INSERT INTO source BY NAME SELECT *{folders} FROM {relation}").fetchall()
        except duckdb.Error as error:
            raise (unreadable if table.delimiter else damaged)(table.uri, error) from None
        counts.append(done[0][0])
    rejected = rejected_rows(connection, {str(table.path): table.uri for table in texts}) if texts else []
    rejected = [replace(row, column=names.original(row.column)) for row in rejected]
    kept = sum(counts)
    if kept + len(rejected) == 0:
        raise DataError(
            f"data should have at least one row. Received: '{tables[0].uri}', which has none. Pass a file with rows."
        )
    if len(rejected) > max_bad_share * (kept + len(rejected)):
        raise too_many_rejected(rejected, kept + len(rejected), max_bad_share)
    return Loaded(columns, rejected, counts=tuple(counts))


def _csv_columns(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], max_bad_share: float
) -> dict[str, list[Column]]:
    """Return the columns of each CSV file, with the types that the values of all files have."""
    texts = [
        f"FROM {csv_relation(table.path, table.delimiter, table.columns, rejects=False, header=table.header)}"
        for table in tables
    ]
    names = [column.name for column in tables[0].columns]
    try:
        typed = csv_types(connection, " UNION ALL BY NAME ".join(texts), names, max_bad_share)
    except duckdb.Error as error:
        raise unreadable("', '".join(table.uri for table in tables), error) from None
    types = {column.name: column.type for column in typed}
    return {table.uri: [Column(column.name, types[column.name]) for column in table.columns] for table in tables}


def _literal(value: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if value is None else f"'{escaped(value)}'"
