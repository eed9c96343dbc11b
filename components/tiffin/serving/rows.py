"""Input rows for predictions, streamed from JSON lines, CSV or Parquet in constant memory."""

import contextlib
import csv
import decimal
import glob
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tiffin import storage
from tiffin.errors import InputError, did_you_mean
from tiffin.serving.signatures import TensorSpec

_MAX_LINE_BYTES = 64 << 20
_PARQUET_ROWS = 2048
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Row:
    """A row of the file.

    Attributes:
        number: Row number, from 1.
        line: Number of the row's last line, from 1; None for Parquet.
        values: Values by column; None if the row cannot be read.
        error: Reason why the row cannot be read; otherwise empty.
    """

    number: int
    line: int | None
    values: Mapping[str, Any] | None
    error: str = ""


@dataclass(frozen=True)
class Source:
    """An open file of rows.

    Attributes:
        rows: The rows, in order.
        is_text: Whether all values are text, as in CSV, and numbers must be parsed.
        total: Size of the file in bytes, or of a Parquet file in rows; None if unknown.
        position: Returns how much of `total` has been read.
    """

    rows: Iterator[Row]
    is_text: bool
    total: int | None
    position: Callable[[], int]


@contextlib.contextmanager
def open_rows(location: str) -> Iterator[Source]:
    """Open a file of rows by its suffix: `.jsonl`, `.ndjson` or `.json`, `.csv` or `.tsv`, `.parquet`.

    Args:
        location: Path, URI, or `-` for JSON lines from standard input.

    Raises:
        InputError: The file does not exist or has an unknown format.
    """
    if location == "-":
        yield Source(_read_json_lines(sys.stdin.buffer), False, None, int)
        return
    suffix = Path(location).suffix.lower()
    openers = {
        ".jsonl": _open_json_lines,
        ".ndjson": _open_json_lines,
        ".json": _open_json_lines,
        ".csv": _open_csv,
        ".tsv": _open_csv,
        ".parquet": _open_parquet,
    }
    if suffix not in openers:
        raise InputError(
            f"A file of rows should end in {', '.join(openers)}, or be '-'. Received: '{location}'."
            f"{did_you_mean(suffix, openers)} Convert or rename the file."
        )
    found = storage.list_files(location)
    if len(found) != 1 or Path(found[0].uri).name != Path(location).name:
        raise InputError(
            f"Rows should be in one file. Received: '{location}', which has {len(found)} files. Choose one."
        )
    with storage.local_copy(found[0].uri) as path, openers[suffix](path) as source:
        yield source


@contextlib.contextmanager
def _open_json_lines(path: Path) -> Iterator[Source]:
    with path.open("rb") as file:
        yield Source(_read_json_lines(file), False, path.stat().st_size, file.tell)


def _read_json_lines(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    for line_number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
        text = line.strip()
        if not text:
            continue
        number += 1
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Row(number, line_number, None, f"The line should be JSON ({error}). Received: {_excerpt(text)}.")
            continue
        if isinstance(values, dict):
            yield Row(number, line_number, values)
        else:
            yield Row(number, line_number, None, f"The line should be a JSON object. Received: {_excerpt(text)}.")


def _excerpt(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace")) + (" …" if len(text) > 60 else "")


@contextlib.contextmanager
def _open_csv(path: Path) -> Iterator[Source]:
    with path.open("rb") as file:
        # Bytes that are not UTF-8 become lone surrogates, so that only their row is reported.
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        first = text.readline(_MAX_LINE_BYTES)
        delimiter = max(_DELIMITERS, key=first.count)
        header = next(csv.reader([first], delimiter=delimiter), [])
        if not header or "" in header or len(set(header)) < len(header):
            raise InputError(
                f"A CSV file should start with a header of unique column names. Received: '{path.name}', "
                f"which starts with {first.strip()[:80]!r}. Fix the header."
            )
        yield Source(_read_csv(text, header, delimiter), True, path.stat().st_size, file.tell)
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


def select_inputs(values: Mapping[str, Any], inputs: Mapping[str, TensorSpec], is_text: bool) -> dict[str, Any]:
    """Return a row's values for the inputs of a signature, None for missing ones.

    Args:
        values: The row; columns that are not inputs are ignored.
        inputs: Inputs of the signature.
        is_text: Whether to parse numbers from text; empty text is then a missing value.

    Raises:
        InputError: The row has none of the inputs, or a value cannot be parsed.
    """
    if not any(name in values for name in inputs):
        near = next((hint for name in values if (hint := did_you_mean(name, inputs))), "")
        raise InputError(
            f"The row should have at least one of the model's inputs: {', '.join(inputs)}. "
            f"Received: {', '.join(values) or 'no columns'}.{near}"
        )
    if not is_text:
        return {name: values.get(name) for name in inputs}
    return {name: _parse(name, values.get(name), spec.dtype) for name, spec in inputs.items()}


def _parse(name: str, text: str | None, dtype: str) -> Any:
    if not text:
        return None
    if dtype == "string":
        return text
    try:
        if dtype.startswith(("int", "uint")):
            return int(text) if text.lstrip("+-").isdigit() else _whole(float(text))
        if dtype == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        return float(text)
    except (ValueError, KeyError, OverflowError):
        raise InputError(f"Input '{name}' should be {dtype}. Received: {text[:80]!r}. Correct the value.") from None


def _whole(number: float) -> int | None:
    if number != number:  # noqa: PLR0124 - true for NaN only, which is a missing value
        return None
    if not number.is_integer():
        raise ValueError(number)
    return int(number)
