"""Files of rows, read one by one: JSON, CSV or Parquet, and JSON and CSV also compressed with gzip."""

import contextlib
import csv
import decimal
import glob
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tiffin import storage
from tiffin.errors import InputError, did_you_mean
from tiffin.serving import json_rows
from tiffin.serving.rows import Row, Source

_MAX_LINE_BYTES = 64 << 20
_PARQUET_ROWS = 2048
_DELIMITERS = ",;\t|"


def is_json(location: str) -> bool:
    """Return whether a location is one of JSON: by its suffix, or `-` for standard input."""
    return location.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json")) or location == "-"


@contextlib.contextmanager
def open_rows(location: str) -> Iterator[Source]:
    """Open a file of rows by its suffix.

    `.jsonl` and `.ndjson` have one row per line; `.json` also an array of rows, or a request of TensorFlow Serving's REST
    API, which is read at once; `.csv` and `.tsv` have a header. All of these may be compressed: `.csv.gz`. Other files are
    `.parquet`.

    Args:
        location: Path, URI, or `-` for JSON lines from standard input.

    Raises:
        InputError: The file does not exist, has an unknown format, or is incomplete.
    """
    if location == "-":
        yield Source(json_rows.read_lines(sys.stdin.buffer), False, None, int)
        return
    openers = {
        ".jsonl": _open_json_lines,
        ".ndjson": _open_json_lines,
        ".json": _open_json,
        ".csv": _open_csv,
        ".tsv": _open_csv,
    }
    endings = [ending + packed for packed in ("", ".gz") for ending in openers]
    suffix = "".join(Path(location.lower()).suffixes[-2:])
    plain = suffix.removesuffix(".gz")
    plain = plain[plain.rfind(".") :]
    if plain not in (*openers, ".parquet") or (plain == ".parquet" and suffix.endswith(".gz")):
        raise InputError(
            f"A file of rows should end in {', '.join([*endings, '.parquet'])}, or be '-'. Received: '{location}'."
            f"{did_you_mean(suffix, [*endings, '.parquet'])} Convert or rename the file."
        )
    found = storage.list_files(location)
    if len(found) != 1 or Path(found[0].uri).name != Path(location).name:
        raise InputError(
            f"Rows should be in one file. Received: '{location}', which has {len(found)} files. Choose one."
        )
    with storage.local_copy(found[0].uri) as path:
        if plain == ".parquet":
            with _open_parquet(path) as source:
                yield source
            return
        with path.open("rb") as file, contextlib.ExitStack() as stack:
            content: Any = stack.enter_context(gzip.GzipFile(fileobj=file)) if suffix.endswith(".gz") else file
            with _unpacked(path.name):
                if content is not file and not path.stat().st_size:
                    raise EOFError
                rows, is_text, signature = stack.enter_context(openers[plain](content, path.name))
            yield Source(_checked(rows, path.name), is_text, path.stat().st_size, file.tell, signature)


def _checked(rows: Iterator[Row], name: str) -> Iterator[Row]:
    with _unpacked(name):
        yield from rows


@contextlib.contextmanager
def _unpacked(name: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"'{name}' is not a complete gzip file. Write or copy it again.") from None


# The rows of a file, whether all values are text, and the signature that the file names.
_Content = tuple[Iterator[Row], bool, str]


@contextlib.contextmanager
def _open_json_lines(file: IO[bytes], _name: str) -> Iterator[_Content]:
    yield json_rows.read_lines(file), False, ""


@contextlib.contextmanager
def _open_json(file: IO[bytes], name: str) -> Iterator[_Content]:
    document = json_rows.read_document(file, name)
    signature, rows = document or ("", json_rows.read_lines(file))
    yield rows, False, signature


@contextlib.contextmanager
def _open_csv(file: IO[bytes], name: str) -> Iterator[_Content]:
    # Bytes that are not UTF-8 become lone surrogates, so that only their row is reported.
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        first = text.readline(_MAX_LINE_BYTES)
        delimiter = max(_DELIMITERS, key=first.count)
        header = next(csv.reader([first], delimiter=delimiter), [])
        if not header or "" in header or len(set(header)) < len(header):
            raise InputError(
                f"A CSV file should start with a header of unique column names. Received: '{name}', "
                f"which starts with {first.strip()[:80]!r}. Fix the header."
            )
        yield _read_csv(text, header, delimiter), True, ""
    finally:
        text.detach()


def _read_csv(text: IO[str], header: list[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter)
    number = 0
    while True:
        number += 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, reader.line_num + 1, None, f"The line should be CSV. Received: {error}.")
            continue
        line = reader.line_num + 1  # the reader does not count the header
        if not fields:
            number -= 1
        elif len(fields) != len(header):
            reason = f"The row should have {len(header)} fields, like the header. Received: {len(fields)}."
            yield Row(number, line, None, reason)
        elif any("\udc80" <= letter <= "\udcff" for field in fields if not field.isascii() for letter in field):
            yield Row(number, line, None, "The row should be UTF-8. Received: invalid bytes.")
        else:
            yield Row(number, line, dict(zip(header, fields, strict=True)))


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[Source]:
    try:
        import duckdb
    except ImportError:
        raise InputError("Parquet files require the package duckdb. Install it, or pass CSV.") from None
    # DuckDB reads a path as a glob.
    pattern = glob.escape(str(path))
    done = 0

    def read(connection: Any) -> Iterator[Row]:
        nonlocal done
        try:
            result = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning=false)", [pattern])
            names = [column[0] for column in result.description]
            while chunk := result.fetchmany(_PARQUET_ROWS):
                for values in chunk:
                    done += 1
                    yield Row(done, None, {name: _plain(value) for name, value in zip(names, values, strict=True)})
        except duckdb.Error:
            raise _broken_parquet(path) from None

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        # The progress bar, shown after two seconds, would mix with the predictions on standard output.
        connection.execute("SET enable_progress_bar = false")
        try:
            total = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [pattern]).fetchone()
        except duckdb.Error:
            raise _broken_parquet(path) from None
        yield Source(read(connection), False, int(total[0]) if total else None, lambda: done)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, decimal.Decimal) else value


def _broken_parquet(path: Path) -> InputError:
    return InputError(f"'{path.name}' is not a complete Parquet file. Write or copy it again.")
