"""Open source files: how each is read, and the columns of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Source
from tiffin.artifacts.notes import Note
from tiffin.errors import InputError
from tiffin.stages.ingest.encodings import readable_csv
from tiffin.stages.ingest.filetypes import read_head, refuse_other_formats
from tiffin.stages.ingest.headers import csv_header
from tiffin.stages.ingest.names import Names, distinct_names, final_names, repeated_names
from tiffin.stages.ingest.partitions import partition_values
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.sources import Column, is_parquet, parquet_columns, parquet_names


@dataclass(frozen=True)
class Table:
    """A source file.

    Attributes:
        path: Local path to read, which may be a converted copy.
        uri: Path or URI, for messages.
        columns: Columns of the file, with their names in the examples; those of CSV are VARCHAR.
        delimiter: Delimiter of a CSV file; empty for Parquet.
        header: Whether the first line of a CSV file holds names.
        reads: Name in the examples to DuckDB's name of a Parquet column.
        partitions: Name in the examples of a column from a folder's name to its value.
    """

    path: Path
    uri: str
    columns: list[Column]
    delimiter: str = ""
    header: bool = True
    reads: Mapping[str, str] = field(default_factory=dict)
    partitions: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Opened:
    """A file before its columns have their final names."""

    path: Path
    uri: str
    names: list[str]
    unnamed: frozenset[str]
    types: list[str]
    delimiter: str = ""
    header: bool = True
    reads: tuple[str, ...] = ()


def open_tables(
    connection: duckdb.DuckDBPyConnection,
    data: str,
    files: Mapping[Path, Source],
    reading: Reading,
    scratch: Path,
) -> tuple[list[Table], Names, list[Note]]:
    """Return how each file is read, the names of the columns, and notes on what was decided.

    Args:
        connection: Any DuckDB connection.
        data: Files, folders or globs, one per line, as the user gave them.
        files: Local path of each file to its manifest entry.
        reading: The user's settings.
        scratch: Folder for converted files.

    Raises:
        InputError: A setting or a file is invalid, or the files have different columns.
    """
    notes: list[Note] = []
    opened = []
    for number, (path, source) in enumerate(files.items()):
        one = _open(connection, path, source.uri, reading, scratch / f"file-{number}", notes)
        opened.append(one)
        if differing := sorted(set(one.names) ^ set(opened[0].names)):
            raise InputError(
                f"All files should have the same columns. Received: '{one.uri}', which differs from '{opened[0].uri}' in "
                f"{', '.join(differing)}. Ingest the files separately, or fix the header."
            )
    own = opened[0].names
    folders: dict[str, dict[str, str | None]] = {one.uri: {} for one in opened}
    if reading.partitions == "auto":
        folders, about = partition_values(data, [one.uri for one in opened], own)
        notes += about
    keys = list(folders[opened[0].uri])
    final = final_names([*own, *keys])
    tables = [
        Table(
            one.path,
            one.uri,
            [Column(final[name], type_) for name, type_ in zip(one.names, one.types, strict=True)],
            one.delimiter,
            one.header,
            {final[name]: read for name, read in zip(one.names, one.reads, strict=False)},
            {final[key]: folders[one.uri][key] for key in keys},
        )
        for one in opened
    ]
    return tables, Names(final, opened[0].unnamed), notes


def _open(
    connection: duckdb.DuckDBPyConnection, path: Path, uri: str, reading: Reading, scratch: Path, notes: list[Note]
) -> _Opened:
    if is_parquet(path):
        columns = parquet_columns(connection, path, uri)
        written = parquet_names(connection, path)
        notes += repeated_names(written, uri)
        names, unnamed = distinct_names(written)
        reads = tuple(column.name for column in columns)
        return _Opened(path, uri, names, unnamed, [column.type for column in columns], reads=reads)
    refuse_other_formats(read_head(path, uri), uri)
    scratch.mkdir()
    path, converted = readable_csv(path, uri, scratch)
    header = csv_header(path, uri, reading)
    notes += [*converted, *header.notes, *repeated_names(header.names, uri)]
    names, unnamed = distinct_names(header.names)
    return _Opened(path, uri, names, unnamed, ["VARCHAR"] * len(names), header.delimiter, header.line)
