"""Say in Tiffin's words why DuckDB cannot read a file."""

import re

import duckdb

from tiffin.errors import InputError
from tiffin.recipe.reasons import check_disk


def damaged(uri: str, error: duckdb.Error) -> InputError:
    """Return the error for a Parquet file that cannot be read.

    Raises:
        OSError: The disk is full, or there is not enough memory.
    """
    check_disk(error)
    if "encrypt" in str(error).lower():
        return InputError(f"'{uri}' is an encrypted Parquet file. Write it without encryption.")
    if isinstance(error, duckdb.ConversionException):
        return InputError(
            f"Timestamps and numbers should be within the ranges of their types; timestamps end in the year 294247. Received: "
            f"'{uri}', which has a value beyond. Correct it, or write its column as text."
        )
    return InputError(f"'{uri}' is not a complete Parquet file. Write or copy it again.")


def unreadable(uri: str, error: duckdb.Error) -> InputError:
    """Return the error for a CSV file that cannot be read.

    Raises:
        OSError: The disk is full, or there is not enough memory.
    """
    check_disk(error)
    line = re.search(r"^\s*(?:CSV Error on )?Line: (\d+)", str(error), re.MULTILINE | re.IGNORECASE)
    where = f" Received: an error near line {line[1]}." if line else ""
    return InputError(
        f"Could not read '{uri}' as CSV: quotes should be closed, text should not follow a closing quote, and lines should be "
        f"below 2 MB.{where} Fix the file, or set delimiter."
    )
