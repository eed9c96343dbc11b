"""Load source files into one DuckDB table, with the same columns and types for all of them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tiffin import storage
from tiffin.artifacts.examples import Rejected, Source
from tiffin.artifacts.notes import Note
from tiffin.errors import DataError, InputError
from tiffin.stages.ingest import sample
from tiffin.stages.ingest.headers import csv_header
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.rejects import rejected_rows, too_many_rejected
from tiffin.stages.ingest.sources import (
    Column,
    common_type,
    csv_relation,
    csv_types,
    damaged,
    is_parquet,
    parquet_columns,
    parquet_relation,
    quoted_name,
    unreadable,
)


@dataclass(frozen=True)
class Loaded:
    """What was read into the table `source`: its columns, the rows set aside, and what was decided on the way."""

    columns: list[Column]
    rejected: list[Rejected]
    notes: tuple[Note, ...] = ()


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
    files: Mapping[Path, Source],
    reading: Reading,
    max_bad_share: float,
) -> Loaded:
    """Read every file into the table `source`.

    Args:
        connection: Connection that gets the table.
        files: Local path of each file to its manifest entry.
        reading: How to read the files.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1.

    Raises:
        InputError: A file is invalid, or the files do not fit together.
        DataError: There are no rows, or too many unreadable ones.
    """
    uris = {path: source.uri for path, source in files.items()}
    first = next(iter(files))
    found: dict[Path, list[Column]] = {}
    separators: dict[Path, str] = {}
    for path, uri in uris.items():
        if is_parquet(path):
            found[path] = parquet_columns(connection, path, uri)
        else:
            separators[path], header = csv_header(path, uri, reading.delimiter)
            found[path] = [Column(name, "VARCHAR") for name in header]
        if differing := sorted({column.name for column in found[path]} ^ {column.name for column in found[first]}):
            raise InputError(
                f"All files should have the same columns. Received: '{uri}', which differs from '{uris[first]}' in "
                f"{', '.join(differing)}. Ingest the files separately, or fix the header."
            )
    if separators:
        _find_csv_types(connection, found, separators, uris, max_bad_share)
    by_file = {uris[path]: {column.name: column.type for column in columns} for path, columns in found.items()}
    columns = [
        Column(column.name, common_type(column.name, {uri: types[column.name] for uri, types in by_file.items()}))
        for column in found[first]
    ]
    types = {column.name: column.type for column in columns}
    connection.execute(f"CREATE TABLE source ({', '.join(f'{quoted_name(c.name)} {c.type}' for c in columns)})")
    for path, here in found.items():
        if path in separators:
            typed = [Column(column.name, types[column.name]) for column in here]
            relation = csv_relation(path, separators[path], typed, rejects=True)
        else:
            relation = parquet_relation(path)
        try:
            connection.execute(f"INSERT INTO source BY NAME SELECT * FROM {relation}")
        except duckdb.Error as error:
            raise (unreadable if path in separators else damaged)(uris[path], error) from None
    rejected = rejected_rows(connection, {str(path): uri for path, uri in uris.items()}) if separators else []
    kept = connection.execute("SELECT count(*) FROM source").fetchall()[0][0]
    if kept + len(rejected) == 0:
        raise DataError(
            f"data should have at least one row. Received: '{uris[first]}', which has none. Pass a file with rows."
        )
    if len(rejected) > max_bad_share * (kept + len(rejected)):
        raise too_many_rejected(rejected, kept + len(rejected), max_bad_share)
    return Loaded(columns, rejected)


def _find_csv_types(
    connection: duckdb.DuckDBPyConnection,
    found: dict[Path, list[Column]],
    separators: Mapping[Path, str],
    uris: Mapping[Path, str],
    max_bad_share: float,
) -> None:
    """Detect the CSV columns' types from the values of all files and set them in `found`."""
    texts = [
        f"FROM {csv_relation(path, delimiter, found[path], rejects=False)}" for path, delimiter in separators.items()
    ]
    names = [column.name for column in found[next(iter(separators))]]
    try:
        typed = csv_types(connection, " UNION ALL BY NAME ".join(texts), names, max_bad_share)
    except duckdb.Error as error:
        raise unreadable("', '".join(uris[path] for path in separators), error) from None
    types = {column.name: column.type for column in typed}
    for path in separators:
        found[path] = [Column(column.name, types[column.name]) for column in found[path]]
