"""Turn the texts of the view `source` into values: types, missing values, and the rows to set aside."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Rejected
from tiffin.artifacts.notes import Note
from tiffin.errors import InputError, did_you_mean
from tiffin.recipe.sql import quoted_name
from tiffin.stages.ingest.conversions import Conversion, Remark, Rules, as_text
from tiffin.stages.ingest.conversions import declared as setting
from tiffin.stages.ingest.dates import (
    boolean_column,
    date_column,
    format_column,
    short_dates,
    typed_boolean,
    typed_date,
)
from tiffin.stages.ingest.forms import quoted
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.numerals import find_marks, number_column, typed_number
from tiffin.stages.ingest.profiles import DATES, NUMBERS, Profile, profiles
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.rejects import Part, misfit_rows, misfits_rejected, placed, too_many_rejected
from tiffin.stages.ingest.row_numbers import Span
from tiffin.stages.ingest.sources import ROW, Column, base_type
from tiffin.stages.ingest.tables import Table

# Rows in the error for too many of them.
_SHOWN = 3
# Columns that one query reads.
_COLUMNS = 256
# Integers up to this size have a float of their own; larger ones, such as identifiers, would collide.
_EXACT = 1 << 53


def check_date_format(connection: duckdb.DuckDBPyConnection, reading: Reading) -> None:
    """Raise for a `date_format` without codes.

    Raises:
        InputError: The format is invalid.
    """
    if reading.date_format:
        try:
            text = connection.execute("SELECT strftime(TIMESTAMP '2024-01-31', ?)", [reading.date_format]).fetchall()
        except duckdb.Error:
            text = []
        if not text or text[0][0] == reading.date_format:
            raise InputError(
                "date_format should have codes of strptime, for example %d.%m.%Y. "
                f"Received: date_format='{reading.date_format}'."
            )


def declared_types(reading: Reading, names: Names) -> dict[str, str]:
    """Return column to type of the user's `types`, which has the names of the files or those of the examples.

    Raises:
        InputError: There is no such column.
    """
    found = {}
    for given, type_ in reading.types.items():
        name = names.find(given)
        if name is None:
            raise InputError(
                f"types should have columns of the data. Received: types={{'{given}': '{type_}'}}."
                f"{did_you_mean(given, names.final)} The columns are: {', '.join(names.final)}."
            )
        found[name] = type_
    return found


def convert(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[str],
    declared: Mapping[str, str],
    reading: Reading,
    max_bad_share: float,
    rows: int,
    scratch: Path,
) -> list[Conversion]:
    """Return the conversions of the text columns of the view `source`.

    Args:
        connection: Connection with the view.
        texts: Names of the columns whose texts are converted.
        declared: Column to type, where the user declared it.
        reading: The user's settings.
        max_bad_share: Maximum share of rows to set aside, from 0 to 1.
        rows: Number of rows, with those that could not be split into columns.
        scratch: Folder for copies of a few columns.
    """
    rules = Rules(reading, math.floor(max_bad_share * rows))
    found = profiles(connection, texts, rules.numbers, rules.find_missing, scratch, every=bool(reading.date_format))
    rules = replace(rules, decimal=_decimal(connection, found, rules))
    return [_converted(connection, each, declared.get(each.name, ""), rules) for each in found]


def _decimal(connection: duckdb.DuckDBPyConnection, columns: Sequence[Profile], rules: Rules) -> str:
    """Return the decimal mark that columns show without doubt; empty if they show none or several."""
    marks = set()
    for each in columns:
        if each.count("local", "fraction") and each.count(*NUMBERS) * 2 > each.words:
            found = find_marks(connection, each, rules)
            if found.fractions and not found.problem and not found.guessed:
                marks.add(found.form.decimal)
    return marks.pop() if len(marks) == 1 else ""


def _converted(connection: duckdb.DuckDBPyConnection, each: Profile, declared: str, rules: Rules) -> Conversion:
    if declared:
        return _declared(connection, each, declared, rules)
    if rules.reading.date_format and (found := format_column(connection, each, rules)):
        return found
    numbers, dates = each.count(*NUMBERS), each.count(*DATES, "local date")
    most = max(numbers, dates, each.count("boolean"))
    if most and most * 2 >= each.words:
        if most == numbers:
            return number_column(connection, each, rules)
        return (date_column if most == dates else boolean_column)(connection, each, rules)
    shorts = each.count("short date")
    return as_text(connection, each, rules, [short_dates(each)] if shorts and shorts * 2 >= each.words else [])


def _declared(connection: duckdb.DuckDBPyConnection, each: Profile, declared: str, rules: Rules) -> Conversion:
    if declared == "text":
        return Conversion(each.name, "VARCHAR", quoted_name(each.name))
    if declared == "boolean":
        return typed_boolean(connection, each, rules)
    if declared in ("integer", "float"):
        return typed_number(connection, each, rules, declared)
    return typed_date(connection, each, rules, declared)


def large_integers(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> list[Conversion]:
    """Return the conversions to text of integer columns of Parquet with values beyond 2^53, such as identifiers."""
    long = [column.name for column in columns if _may_be_long(column.type)]
    found = []
    for column in _beyond(connection, long):
        name = quoted_name(column)
        large = f"{name} NOT BETWEEN -{_EXACT} AND {_EXACT}"
        count, example = connection.execute(
            f"SELECT count(*), arg_min({name}, {ROW})::VARCHAR FROM source WHERE {large}"
        ).fetchall()[0]
        text = (
            f"{column}: is text: {count} integers are beyond 2^53, first '{example}'. "
            f"Set {setting(column, 'integer')} for numbers."
        )
        remarks = (Remark(Note("LARGE_INTEGERS", text, column, count, example)),)
        found.append(Conversion(column, "VARCHAR", f"CAST({name} AS VARCHAR)", remarks=remarks))
    return found


def _may_be_long(type_: str) -> bool:
    return base_type(type_) in ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT") or type_.endswith(",0)")


def _beyond(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[str]:
    """Return the columns of integers with a value beyond 2^53."""
    found = []
    for start in range(0, len(names), _COLUMNS):
        chunk = names[start : start + _COLUMNS]
        ends = ", ".join(f"min({name}), max({name})" for name in map(quoted_name, chunk))
        row = connection.execute(f"SELECT {ends} FROM source").fetchall()[0]
        pairs = zip(chunk, row[::2], row[1::2], strict=True)
        found += [name for name, least, most in pairs if least is not None and (least < -_EXACT or most > _EXACT)]
    return found


def selected(columns: Sequence[Column], table: Table, texts: Collection[str], reading: Reading) -> str:
    """Return the SQL that selects a file's columns for the view `source`.

    Args:
        columns: Columns of the view.
        table: The file.
        texts: Columns to select as text.
        reading: The user's settings, whose `missing_values` become NULL.
    """
    words = ", ".join(quoted(word) for word in ("", *reading.missing_values))
    types = {column.name: column.type for column in table.columns}
    parts = []
    for column in columns:
        name = quoted_name(column.name)
        if column.name in table.partitions:
            value = table.partitions[column.name]
            text = name = "CAST(NULL AS VARCHAR)" if value is None else quoted(value)
        else:
            text = name if types[column.name] == "VARCHAR" else f"CAST({name} AS VARCHAR)"
            if column.name not in texts:
                name = f"CAST({name} AS {column.type})"
        value_ = text if column.name in texts else name
        # The reader of CSV makes empty texts NULL.
        if reading.missing_values or (column.name in texts and not table.delimiter):
            value_ = f"CASE WHEN {text} NOT IN ({words}) THEN {value_} END"
        parts.append(f"{value_} AS {quoted_name(column.name)}")
    return ", ".join(parts)


def apply(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    conversions: Sequence[Conversion],
    parts: Sequence[Part],
    structural: Sequence[Rejected],
    max_bad_share: float,
) -> tuple[list[Column], list[Rejected], list[Note], tuple[Span, ...]]:
    """Create the view `typed`: the values of the view `source`, without the rows with a value that does not fit its column.

    Args:
        connection: Connection with the view.
        columns: Columns of the view.
        conversions: Conversions of some columns.
        parts: Rows of each file.
        structural: Rows that could not be split into columns.
        max_bad_share: Maximum share of rows to set aside, from 0 to 1.

    Returns:
        The columns with their types, the rows set aside in the order of the files, what to tell the user, and the rows of each
        file.

    Raises:
        DataError: Too many rows are set aside.
    """
    total = parts[-1].end + len(structural)
    count, misfits = misfit_rows(connection, conversions, limit=_SHOWN)
    if len(structural) + count > max_bad_share * total:
        first = [*structural[:_SHOWN], *misfits_rejected(parts, misfits)]
        raise too_many_rejected(_in_order(parts, first), len(structural) + count, total, max_bad_share)
    if count > len(misfits):
        _, misfits = misfit_rows(connection, conversions)
    rejected = _in_order(parts, [*structural, *misfits_rejected(parts, misfits)])
    notes = placed(parts, [each for conversion in conversions for each in conversion.remarks])
    by_name = {conversion.name: conversion for conversion in conversions}
    values = ", ".join(
        f"{by_name[column.name].value if column.name in by_name else quoted_name(column.name)} AS {quoted_name(column.name)}"
        for column in columns
    )
    kept = " AND ".join(f"NOT {each.misfit}" for each in conversions if each.expected) if misfits else "true"
    connection.execute(f"CREATE TEMP VIEW typed AS SELECT {ROW}, {values} FROM source WHERE {kept}")
    typed = [Column(c.name, by_name[c.name].type if c.name in by_name else c.type) for c in columns]
    lost = [sum(part.start <= row < part.end for row, _, _ in misfits) for part in parts]
    spans = tuple(
        Span(part.start, part.end, part.end - part.start - less) for part, less in zip(parts, lost, strict=True)
    )
    return typed, rejected, notes, spans


def _in_order(parts: Sequence[Part], rejected: Sequence[Rejected]) -> list[Rejected]:
    order = {part.uri: index for index, part in enumerate(parts)}
    return sorted(rejected, key=lambda row: (order[row.source], row.line))
