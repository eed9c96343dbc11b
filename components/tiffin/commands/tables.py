"""Rows of CSV and Parquet files for a model with a recipe: any file that ingest accepts, opened as ingest opens it."""

import contextlib
import csv
import io
import os
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tiffin.artifacts.notes import Note
from tiffin.artifacts.recipe import Recipe
from tiffin.recipe.reasons import check_disk
from tiffin.recipe.sql import quoted_name
from tiffin.recipe.values import DATES
from tiffin.serving.rows import Row, Source
from tiffin.stages.ingest.filetypes import open_bytes
from tiffin.stages.ingest.loading import local_files
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.reasons import damaged
from tiffin.stages.ingest.sources import parquet_relation
from tiffin.stages.ingest.tables import Table, open_tables

_PARQUET_ROWS = 2048
# DuckDB's limit of a line, above the 128 KiB of the module csv for a field.
_LONGEST_FIELD = 2 << 20


@dataclass(frozen=True)
class Opened:
    """An open file of rows.

    Attributes:
        source: The rows, by names of the columns in the source.
        names: The names of the columns.
        notes: What was decided about how to read the file.
    """

    source: Source
    names: list[str]
    notes: list[Note]


@contextlib.contextmanager
def open_table(location: str, recipe: Recipe) -> Iterator[Opened]:
    """Open CSV or Parquet: a file, folder or glob, local, `gs://` or `s3://`, or `sample:deliveries`.

    Args:
        location: Where the rows are.
        recipe: The model's recipe, with the user's settings of how to read files.

    Raises:
        InputError: There is no such file, or it is neither CSV nor Parquet.
    """
    reading = Reading(
        delimiter=recipe.delimiter,
        header=recipe.header,
        column_names=recipe.column_names,
        partitions=recipe.partitions,
    )
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiffin-")))
        connection = stack.enter_context(duckdb.connect(":memory:", config={"threads": 1}))
        # The progress bar, shown after two seconds, would mix with the predictions on standard output.
        connection.execute("SET enable_progress_bar=false; SET TimeZone='UTC'")
        files = stack.enter_context(local_files(location, scratch))
        tables, names, notes = open_tables(connection, location, files, reading, scratch)
        uris = {table.uri: _folders(table.uri) if recipe.partitions == "auto" else {} for table in tables}
        progress = _Progress()
        rows = _numbered(_rows(connection, table, names, uris[table.uri], progress) for table in tables)
        longest = csv.field_size_limit(_LONGEST_FIELD)
        stack.callback(csv.field_size_limit, longest)
        total = sum(os.path.getsize(table.path) for table in tables)
        known = list(dict.fromkeys([*names.final, *next(iter(uris.values()))]))
        yield Opened(Source(rows, True, total, progress), known, notes)


class _Progress:
    """The number of bytes read: of the files before, and of the one that is read."""

    def __init__(self) -> None:
        self._before, self._file, self._size = 0, None, 0

    def open(self, file: Any, path: Path) -> None:
        self._before += self._size
        self._file, self._size = file, os.path.getsize(path)

    def __call__(self) -> int:
        """Return the number of bytes."""
        return self._before + (self._file.tell() if self._file and not self._file.closed else 0)


def _numbered(parts: Iterator[Iterator[Row]]) -> Iterator[Row]:
    number = 0
    for part in parts:
        for row in part:
            number += 1
            yield Row(number, row.line, row.values, row.error)


def _rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    names: Names,
    folders: Mapping[str, str],
    progress: _Progress,
) -> Iterator[Row]:
    """Yield the rows of a file, with the values of its folders."""
    columns = [names.original(column.name) for column in table.columns]
    fixed: dict[str, Any] = {**folders, **{names.original(name): value for name, value in table.partitions.items()}}
    if table.delimiter:
        yield from _csv_rows(table, columns, fixed, progress)
    else:
        yield from _parquet_rows(connection, table, columns, fixed)


def _csv_rows(table: Table, columns: Sequence[str], fixed: Mapping[str, Any], progress: _Progress) -> Iterator[Row]:
    with open_bytes(table.path) as file:
        progress.open(file if table.path.suffix != ".gz" else file.fileobj, table.path)
        # Bytes that are not UTF-8 become lone surrogates, so that only their row is reported.
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        reader = csv.reader(text, delimiter=table.delimiter, strict=True)
        if table.header:
            next(reader, None)
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(0, reader.line_num, None, f"The line should be CSV. Received: {error}.")
                continue
            line = reader.line_num
            if not fields:
                continue
            if len(fields) != len(columns):
                reason = f"The row should have {len(columns)} fields, like the header. Received: {len(fields)}."
                yield Row(0, line, None, reason)
            elif any("\udc80" <= letter <= "\udcff" for field in fields if not field.isascii() for letter in field):
                yield Row(0, line, None, "The row should be UTF-8. Received: invalid bytes.")
            else:
                yield Row(0, line, {**fixed, **dict(zip(columns, fields, strict=True))})


def _parquet_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: Sequence[str], fixed: Mapping[str, Any]
) -> Iterator[Row]:
    selected = ", ".join(
        _value(table.reads[column.name], column.type) for column in table.columns if column.name in table.reads
    )
    # One file after another: the connection has one open result.
    try:
        result = connection.execute(f"SELECT {selected} FROM {parquet_relation(table.path)}")  # noqa: S608 - quoted names
        while chunk := result.fetchmany(_PARQUET_ROWS):
            for values in chunk:
                yield Row(0, None, {**fixed, **dict(zip(columns, values, strict=True))})
    except duckdb.Error as error:
        check_disk(error)
        raise damaged(table.uri, error) from None


def _value(name: str, type_: str) -> str:
    """Return the SQL for the values of a column: numbers and booleans as they are, dates and all else as text."""
    base = type_.split("(", 1)[0]
    if base in DATES:
        return f"CAST(CAST({quoted_name(name)} AS {'DATE' if base == 'DATE' else 'TIMESTAMP'}) AS VARCHAR)"
    is_plain = base in ("BOOLEAN", "DOUBLE", "FLOAT", "DECIMAL") or "INT" in base
    return quoted_name(name) if is_plain else f"CAST({quoted_name(name)} AS VARCHAR)"


def _folders(uri: str) -> dict[str, str]:
    """Return the keys and values of the folders `key=value` above a file, which ingest reads as columns."""
    folders = [folder.split("=", 1) for folder in uri.split("/")[:-1] if "=" in folder and not folder.startswith("=")]
    return {urllib.parse.unquote(key): urllib.parse.unquote(value) for key, value in folders}
