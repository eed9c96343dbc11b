"""Labels, which arrive late: read from files or a database into a table of the workspace.

A source has one row for each label, with these columns. Other columns are left out.

    request_id or key  the ID that the gateway gave the request, or the key that the client sent with it
    row                number of the row in the request, from 0; only if requests have several rows
    time               when the event happened, or the label was written: ISO 8601 or timestamps; without a zone, it is UTC
    label              the class or the number

Files are CSV or Parquet, CSV also compressed with gzip. A file that is damaged, or lacks a column, is left out as a finding;
a row that lacks its key or label is counted. Memory is bounded, however many labels there are.
"""

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb

from tiffin import storage
from tiffin.errors import InputError, did_you_mean
from tiffin.performance import label_queries
from tiffin.performance.label_files import relation_of
from tiffin.performance.workspace import Workspace
from tiffin.recipe.reasons import check_disk, first_line
from tiffin.recipe.sql import quoted_name

# Columns that labels are joined by.
By = Literal["request_id", "key"]
KEYS: tuple[By, ...] = ("request_id", "key")
COLUMNS = (*KEYS, "row", "time", "label")
# The table of the workspace.
TABLE = "labels"

Code = Literal["UNREADABLE", "COLUMNS", "EMPTY_FILE", "EMPTY_COLUMN", "CUT_SHORT"]

# A zone comes after a time: the day of a date is none.
_ZONE = r"\d:\d{2}.*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)$"
# Below this, numbers of float64 without a fraction are exact.
_WHOLE = 1 << 53
_FRACTIONS = ("DOUBLE", "FLOAT", "DECIMAL")


@dataclass(frozen=True)
class Finding:
    """What is wrong with a source of labels.

    Attributes:
        code: `UNREADABLE` (damaged, or cut short), `COLUMNS` (a column is missing), `EMPTY_FILE` (without rows),
            `EMPTY_COLUMN` (no row has a value) or `CUT_SHORT` (rows with another number of fields, which are left out).
        origin: Location of the file, or `query`.
        text: Reason.
    """

    code: Code
    origin: str
    text: str


@dataclass(frozen=True)
class LabelTable:
    """Labels in the workspace.

    The table `labels` has the columns `place` (order of the files and of the rows), `name` (request ID or key), `row`, `time`
    (microseconds since 1970) and `label` (text).

    Attributes:
        by: Column that the labels are joined by.
        rows: Number of rows with a key and a label, which the table has.
        has_row: Whether a source has the column `row`.
        has_time: Whether a source has the column `time`.
        skipped: Reason to the number of rows that are left out: `no_key`, `no_label`, `row` (no whole number from 0) and `csv`
            (lines with another number of fields, or of invalid bytes).
        invalid_times: Rows whose time is no time; they are in the table without one.
        without_zone: Rows whose time has no zone, and is taken as UTC.
        files: Number of files that were read; 0 for a query.
        findings: What is wrong with the sources.
    """

    by: By
    rows: int
    has_row: bool
    has_time: bool
    skipped: dict[str, int]
    invalid_times: int
    without_zone: int
    files: int
    findings: tuple[Finding, ...] = ()


@dataclass
class _Reading:
    """What is known while sources are read."""

    names: dict[str, str]
    by: By | None
    skipped: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    rows: int = 0
    invalid_times: int = 0
    without_zone: int = 0
    has_row: bool = False
    has_time: bool = False
    files: int = 0


def read_labels(
    workspace: Workspace,
    labels: str,
    columns: Mapping[str, str] | None = None,
    by: By | None = None,
    url_variable: str = label_queries.URL_VARIABLE,
) -> LabelTable:
    """Read labels into the table `labels` of the workspace.

    Args:
        workspace: An open workspace, without labels.
        labels: A file, folder or glob of CSV or Parquet, local, `gs://` or `s3://`; or a query that starts with SELECT or WITH.
        columns: Name of a column, of `COLUMNS`, to its name in the source. Defaults to the same names.
        by: Column that the labels are joined by. Defaults to `request_id` if the first source has it, and else `key`.
        url_variable: Environment variable with the URL of the database of a query. Defaults to TIFFIN_LABELS_URL.

    Raises:
        InputError: There is no file, none can be read, a column has an unknown name, or the query fails.
        StorageError: A store failed.
    """
    reading = _Reading(_check_columns(columns or {}, by), by)
    workspace.connection.execute(
        f"CREATE TABLE {TABLE} (place BIGINT, name VARCHAR, row INTEGER, time BIGINT, label VARCHAR)"
    )
    if label_queries.is_query(labels):
        path = workspace.folder / "query.parquet"
        label_queries.write_rows(labels, url_variable, list(reading.names.values()), path)
        _read_file(workspace, reading, path, "query")
    else:
        files = storage.list_files(labels)
        for file in files:
            with storage.local_copy(file.uri) as path:
                _read_file(workspace, reading, path, file.uri)
    if not reading.files:
        raise _nothing_read(labels, reading)
    return LabelTable(
        reading.by or "request_id",
        reading.rows,
        reading.has_row,
        reading.has_time,
        dict(reading.skipped),
        reading.invalid_times,
        reading.without_zone,
        0 if label_queries.is_query(labels) else reading.files,
        tuple(reading.findings),
    )


def _check_columns(columns: Mapping[str, str], by: By | None) -> dict[str, str]:
    for name in columns:
        if name not in COLUMNS:
            raise InputError(
                f"columns should map {', '.join(COLUMNS)} to columns of the labels. Received: '{name}'."
                f"{did_you_mean(name, COLUMNS)}"
            )
    if by not in (None, *KEYS):
        raise InputError(f"by should be {' or '.join(KEYS)}. Received: '{by}'.")
    return {name: columns.get(name, name) for name in COLUMNS}


def _nothing_read(labels: str, reading: _Reading) -> InputError:
    first = reading.findings[0]
    return InputError(
        f"labels should be CSV or Parquet with the column {reading.names['label']}, and {reading.names['request_id']} or "
        f"{reading.names['key']}. Received: {len(reading.findings)} file(s) at '{labels}', none of which can be used; "
        f"'{first.origin}': {first.text}. Write the file again, or map the columns."
    )


def _read_file(workspace: Workspace, reading: _Reading, path: Path, origin: str) -> None:
    """Add the rows of a file to the table, or a finding."""
    try:
        if not path.stat().st_size:
            reading.findings.append(Finding("EMPTY_FILE", origin, "the file is empty"))
            return
        relation = relation_of(path)
        described = workspace.fetch(f"DESCRIBE SELECT * FROM {relation}")
        types = {row[0]: str(row[1]) for row in described}
        if (problem := _find_problem(reading, types)) is not None:
            reading.findings.append(Finding("COLUMNS", origin, problem))
            return
        _insert(workspace, reading, types, relation, origin)
        reading.files += 1
    except (duckdb.Error, UnicodeDecodeError, OSError, zlib.error) as error:
        if isinstance(error, duckdb.Error):
            check_disk(error)
        elif isinstance(error, OSError) and error.errno is not None:
            raise
        is_encoding = isinstance(error, UnicodeDecodeError)
        reason = "it is not UTF-8 text" if is_encoding else first_line(error).replace(str(path), origin)
        reading.findings.append(Finding("UNREADABLE", origin, reason))


def _find_problem(reading: _Reading, types: Mapping[str, str]) -> str | None:
    """Return which column a file lacks; the first file decides what labels are joined by."""
    names = reading.names
    by = reading.by or next((name for name in KEYS if names[name] in types), None)
    wanted = [names["label"], *([names[by]] if by else [])]
    missing = next((name for name in wanted if name not in types), None if by else " or ".join(names[k] for k in KEYS))
    if missing is None:
        reading.by = by
        return None
    listed = ", ".join(list(types)[:20]) or "none"
    return f"no column {missing}; it has {listed}{did_you_mean(missing, types).lower().rstrip('?')}"


def _insert(workspace: Workspace, reading: _Reading, types: Mapping[str, str], relation: str, origin: str) -> None:
    names, connection = reading.names, workspace.connection
    assert reading.by is not None  # noqa: S101 - _find_problem has decided
    key = _text(names[reading.by], types)
    # As `artifacts.model.class_name` has it: 1.0 and 1 are the same class, also as texts.
    label = f"regexp_replace({_text(names['label'], types)}, '^([+-]?\\d+)\\.0*$', '\\1')"
    row = "0"
    if names["row"] in types:
        text = _text(names["row"], types)
        row = f"CASE WHEN regexp_full_match({text}, '\\d+(\\.0*)?') THEN TRY_CAST({text} AS INTEGER) END"
    given = f"CAST({quoted_name(names['time'])} AS VARCHAR)" if names["time"] in types else "NULL"
    is_zoned = types.get(names["time"]) == "TIMESTAMP WITH TIME ZONE"
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    # The order of the rows of one file is kept by their numbers; threads may write them in any order.
    number = "file_row_number" if relation.startswith("read_parquet") else "row_number() OVER ()"
    if number == "file_row_number":
        relation = relation.replace("=false)", "=false, file_row_number=true)")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT {number} AS number, {key} AS name, {row} AS row, "
        f"{given} AS given, epoch_us(TRY_CAST({given} AS TIMESTAMPTZ)) AS time, {label} AS label FROM {relation}"
    )
    start = workspace.fetch(f"SELECT coalesce(max(place) + 1, 0) FROM {TABLE}")[0][0]
    # Rows that lack something are counted once, by the first reason.
    reason = (
        "CASE WHEN name IS NULL THEN 'no_key' WHEN label IS NULL THEN 'no_label' "
        "WHEN row IS NULL OR row < 0 THEN 'row' END"
    )
    counts = workspace.fetch(
        f"SELECT count(*), count(name), count(label), count(given), count(given) - count(time), "
        f"count(*) FILTER (time IS NOT NULL AND NOT regexp_matches(given, '{_ZONE}')) FROM incoming"
    )[0]
    for code, rows in workspace.fetch(f"SELECT {reason} AS code, count(*) FROM incoming GROUP BY code"):
        if code is None:
            reading.rows += rows
        else:
            reading.skipped[code] += rows
    connection.execute(
        f"INSERT INTO {TABLE} SELECT {start} + number, name, row, time, label FROM incoming WHERE ({reason}) IS NULL"
    )
    connection.execute("DROP TABLE incoming")
    rows, with_name, with_label, with_time, invalid, plain = counts
    reading.has_row |= names["row"] in types
    reading.has_time |= names["time"] in types
    reading.invalid_times += invalid
    reading.without_zone += 0 if is_zoned else plain
    _tell(workspace, reading, origin, rows, {reading.by: with_name, "label": with_label})
    if rows and names["time"] in types and not with_time:
        reading.findings.append(Finding("EMPTY_COLUMN", origin, f"no row has a value in the column {names['time']}"))


def _tell(workspace: Workspace, reading: _Reading, origin: str, rows: int, filled: Mapping[str, int]) -> None:
    """Add what is wrong with the rows of a file."""
    rejects = workspace.fetch("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'")[0][0]
    if rejects:
        lines, first = workspace.fetch("SELECT count(DISTINCT line), min(line) FROM reject_errors")[0]
        if lines:
            reading.skipped["csv"] += lines
            text = f"{lines} line(s) with another number of fields or invalid bytes, the first is line {first}"
            reading.findings.append(Finding("CUT_SHORT", origin, text))
    if not rows:
        reading.findings.append(Finding("EMPTY_FILE", origin, "it has no rows"))
    for name, count in filled.items():
        if rows and not count:
            column = reading.names[name]
            reading.findings.append(Finding("EMPTY_COLUMN", origin, f"no row has a value in the column {column}"))


def _text(name: str, types: Mapping[str, str]) -> str:
    """Return the SQL of a column as text: whole numbers without a fraction, null for an empty text and NaN."""
    column, base = quoted_name(name), types[name].split("(", 1)[0]
    if base in _FRACTIONS:
        number = f"CAST({column} AS DOUBLE)"
        whole = f"{number} = floor({number}) AND abs({number}) < {_WHOLE}"
        return (
            f"CASE WHEN isnan({number}) THEN NULL WHEN {whole} THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({column} AS VARCHAR) END"
        )
    return f"nullif(CAST({column} AS VARCHAR), '')"
