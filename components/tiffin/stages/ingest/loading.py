"""Copy source files into Parquet files with the same columns and types, which the view `source` reads."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from tiffin import storage
from tiffin.artifacts.examples import Rejected, Source
from tiffin.artifacts.notes import Note
from tiffin.artifacts.recipe import SourceColumn
from tiffin.errors import DataError, InputError
from tiffin.recipe.sql import escaped, quoted_name
from tiffin.stages.ingest import sample
from tiffin.stages.ingest.conversions import Conversion
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.reasons import damaged, unreadable
from tiffin.stages.ingest.rejects import Part, rejected_rows, set_aside_notes
from tiffin.stages.ingest.row_numbers import Span
from tiffin.stages.ingest.sources import (
    NO_TYPE,
    ROW,
    TEXTS,
    Column,
    base_type,
    common_type,
    copied_relation,
    csv_relation,
    parquet_relation,
    row_group_rows,
)
from tiffin.stages.ingest.tables import Table
from tiffin.stages.ingest.values import apply, check_date_format, convert, declared_types, large_integers, selected

# Different values of a column's row group that Parquet has once each; more, such as identifiers, are not worth the search.
_MOST_VALUES = 1000


@dataclass(frozen=True)
class Loaded:
    """What the view `typed` has: its columns, the rows set aside, and what was decided on the way.

    `source` has how the values of the columns are read, and `spans` the rows of each file, in order.
    """

    columns: list[Column]
    source: tuple[SourceColumn, ...]
    rejected: list[Rejected]
    notes: tuple[Note, ...]
    spans: tuple[Span, ...]


@contextmanager
def local_files(data: str, scratch: Path) -> Iterator[dict[Path, Source]]:
    """Yield each source's local path and its manifest entry; download remote files.

    Args:
        data: Locations, one per line.
        scratch: Folder for generated data.
    """
    if not data.strip():
        raise InputError("data should be a file, folder or glob. Received: data=''. Pass --set data=PATH.")
    with ExitStack() as stack:
        found: dict[Path, Source] = {}
        for number, location in enumerate(locations(data)):
            if location.startswith("sample:"):
                path = scratch / f"sample{number or ''}.csv"
                sample.write_sample_uri(location, path)
                found[path] = Source(location, storage.digest(path), path.stat().st_size)
                continue
            for source in storage.list_files(location):
                path = stack.enter_context(storage.local_copy(source.uri))
                found[path] = Source(source.uri, storage.digest(path), source.size_bytes, source.generation or None)
        yield found


def locations(data: str) -> list[str]:
    """Return the locations in the parameter `data`: one per line, each once."""
    return list(dict.fromkeys(filter(None, data.splitlines())))


def load(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    names: Names,
    reading: Reading,
    max_bad_share: float,
    scratch: Path,
) -> Loaded:
    """Create the view `typed`: the values of every file, without the rows set aside.

    Args:
        connection: Connection that gets the view.
        tables: The files.
        names: Names of the columns in the files and in the view.
        reading: How to read the files.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1.
        scratch: Folder for the files that the view reads.

    Raises:
        InputError: A file is invalid, or the files do not fit together.
        DataError: There are no rows, or too many unreadable ones.
    """
    check_date_format(connection, reading)
    declared = declared_types(reading, names)
    columns, texts, parts = _copy(connection, tables, names, reading, declared, scratch)
    csv = {str(table.path): table.uri for table in tables if table.delimiter}
    structural = rejected_rows(connection, csv) if csv else []
    total = parts[-1].end + len(structural)
    if not total:
        raise DataError(
            f"data should have at least one row. Received: '{tables[0].uri}', which has none. Pass a file with rows."
        )
    # Text columns of Parquet, and of folders' names, stay text.
    fixed = {
        column.name: "text"
        for table in tables
        if not table.delimiter
        for column in table.columns
        if base_type(column.type) in TEXTS
    }
    fixed |= dict.fromkeys(tables[0].partitions, "text")
    conversions = convert(connection, texts, fixed | declared, reading, max_bad_share, total, scratch)
    conversions += large_integers(connection, [column for column in columns if column.name not in texts])
    columns, rejected, notes, spans = apply(connection, columns, conversions, parts, structural, max_bad_share)
    rejected = [replace(row, column=names.original(row.column)) for row in rejected]
    told = (*set_aside_notes(rejected), *(_with_original_name(note, names) for note in notes))
    return Loaded(columns, _source(columns, conversions, names), rejected, told, spans)


def _source(columns: Sequence[Column], conversions: Sequence[Conversion], names: Names) -> tuple[SourceColumn, ...]:
    """Return how the values of the columns are read."""
    by_name = {conversion.name: conversion for conversion in conversions}
    found = []
    for column in columns:
        each = by_name.get(column.name, Conversion(column.name, column.type, ""))
        # Without the values of an ENUM, and without a time's zone, which the examples have as a part of the text.
        is_text = base_type(column.type) in ("ENUM", "TIME WITH TIME ZONE", NO_TYPE, f'"{NO_TYPE}"')
        found.append(
            SourceColumn(
                names.original(column.name),
                column.name,
                "VARCHAR" if is_text else column.type,
                each.form.decimal,
                each.form.thousands,
                each.formats,
                each.words,
            )
        )
    return tuple(found)


def _copy(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[Table],
    names: Names,
    reading: Reading,
    declared: Iterable[str],
    scratch: Path,
) -> tuple[list[Column], list[str], list[Part]]:
    """Copy every file to a Parquet file in `scratch`, and create the view `source` of all rows and their numbers.

    Parquet is read a column at a time, and has each repeated value of a column once: both make the passes over it short.

    Returns:
        The columns of the view; the names of those whose texts are still to be converted; and the rows of each file.
    """
    folders = [Column(name, "VARCHAR") for name in tables[0].partitions]
    own = [column.name for column in tables[0].columns]
    texts = [*own, *tables[0].partitions] if any(table.delimiter for table in tables) else list(declared)
    by_file = {table.uri: {column.name: column.type for column in table.columns} for table in tables}
    as_text = set(texts)
    columns = [
        Column(name, "VARCHAR")
        if name in as_text
        else Column(name, common_type(names.original(name), {uri: types[name] for uri, types in by_file.items()}))
        for name in own
    ]
    columns += folders
    parts: list[Part] = []
    copies = []
    for number, table in enumerate(tables):
        order = tuple(column.name for column in table.columns)
        if table.delimiter:
            relation = csv_relation(table.path, table.delimiter, order, header=table.header)
        else:
            read = ", ".join(f"{quoted_name(read)} AS {quoted_name(name)}" for name, read in table.reads.items())
            relation = f"(SELECT {read} FROM {parquet_relation(table.path)})"
        copies.append(scratch / f"source-{number}.parquet")
        query = (
            f"COPY (SELECT {selected(columns, table, as_text, reading)} FROM {relation}) TO '{escaped(copies[-1])}' "
            f"(FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT {_MOST_VALUES}, "
            f"ROW_GROUP_SIZE {row_group_rows(len(columns))})"
        )
        try:
            done = connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise (unreadable if table.delimiter else damaged)(table.uri, error) from None
        start = parts[-1].end if parts else 0
        parts.append(Part(table.path, table.uri, table.delimiter, order, start, start + done[0][0], table.header))
    row = (
        "file_row_number"
        if len(parts) == 1
        else f"list_extract({[part.start for part in parts]}, CAST(file_index + 1 AS BIGINT)) + file_row_number"
    )
    listed = ", ".join(quoted_name(column.name) for column in columns)
    connection.execute(f"CREATE TEMP VIEW source AS SELECT {row} AS {ROW}, {listed} FROM {copied_relation(copies)}")
    return columns, texts, parts


def _with_original_name(note: Note, names: Names) -> Note:
    """Return the note on a column with its name in the source."""
    column = names.original(note.column)
    starts = note.column and note.text.startswith(f"{note.column}:")
    text = column + note.text[len(note.column) :] if starts else note.text
    return replace(note, column=column, text=text.replace(f'"{note.column}": "', f'"{column}": "'))
