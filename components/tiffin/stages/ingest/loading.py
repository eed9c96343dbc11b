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
from tiffin.stages.ingest.rejects import Part, rejected_rows, set_aside_notes
from tiffin.stages.ingest.sources import (
    TEXTS,
    Column,
    base_type,
    common_type,
    csv_relation,
    damaged,
    is_parquet,
    parquet_columns,
    parquet_relation,
    quoted_name,
    unreadable,
)
from tiffin.stages.ingest.values import apply, check_reading, convert, declared_types, large_integers, selected


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
    check_reading(connection, reading)
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
    names = [column.name for column in found[first]]
    declared = declared_types(reading, names)
    texts = names if separators else list(declared)
    by_file = {uris[path]: {column.name: column.type for column in columns} for path, columns in found.items()}
    columns = [
        Column(name, "VARCHAR")
        if name in texts
        else Column(name, common_type(name, {uri: types[name] for uri, types in by_file.items()}))
        for name in names
    ]
    # The texts are read a few times and dropped: compressing them takes longer than reading them.
    connection.execute("SET force_compression='uncompressed'")
    connection.execute(f"CREATE TABLE source ({', '.join(f'{quoted_name(c.name)} {c.type}' for c in columns)})")
    parts: list[Part] = []
    for path, here in found.items():
        order = tuple(column.name for column in here)
        csv = path in separators
        relation = csv_relation(path, separators[path], order) if csv else parquet_relation(path)
        try:
            connection.execute(f"INSERT INTO source BY NAME SELECT {selected(here, texts, reading)} FROM {relation}")
        except duckdb.Error as error:
            raise (unreadable if csv else damaged)(uris[path], error) from None
        start = parts[-1].end if parts else 0
        end = connection.execute("SELECT count(*) FROM source").fetchall()[0][0]
        parts.append(Part(path, uris[path], separators.get(path, ""), order, start, end))
    connection.execute("SET force_compression='auto'")
    structural = rejected_rows(connection, {str(path): uri for path, uri in uris.items()}) if separators else []
    total = parts[-1].end + len(structural)
    if not total:
        raise DataError(
            f"data should have at least one row. Received: '{uris[first]}', which has none. Pass a file with rows."
        )
    # Text columns of Parquet stay text beside CSV files.
    parquet_texts = {
        column.name: "text"
        for path, here in found.items()
        if path not in separators
        for column in here
        if base_type(column.type) in TEXTS
    }
    declared = parquet_texts | declared
    conversions = convert(connection, texts, declared, reading, max_bad_share, total)
    conversions += large_integers(connection, [column for column in columns if column.name not in texts])
    columns, rejected, notes = apply(connection, columns, conversions, parts, structural, max_bad_share)
    return Loaded(columns, rejected, (*set_aside_notes(rejected), *notes))
