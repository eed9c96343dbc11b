"""Assign rows to splits by a hash of the row, so that a row never changes split.

A row's text is hashed to a point in [0, 1), and each split covers a part of that interval proportional to its weight.
Neither more data nor another order moves a row; changed weights move as few rows as possible.
"""

from collections.abc import Mapping, Sequence

from tiffin.recipe.sql import quoted_name
from tiffin.recipe.values import DATES, FRACTIONS, INTEGERS
from tiffin.stages.ingest.parameters import check_splits
from tiffin.stages.ingest.sources import Column, base_type

# How the texts begin that DuckDB reads as a number or a timestamp, and how numbers end: not most hexadecimal codes.
_NUMBER = r"^\s*[+-]*(?:[0-9.][0-9_]*(?:[-/ \\]|[0-9_.]*(?:[eE][-+0-9_]*)?\s*$)|[iInN])"


def check_weights(splits: Mapping[str, float]) -> dict[str, float]:
    """Return the weights of the splits, scaled to sum to 1 and sorted by name.

    Raises:
        InputError: There are no splits, a name is invalid, or a weight is not a positive number.
    """
    check_splits(splits)
    total = sum(splits.values())
    return {name: splits[name] / total for name in sorted(splits)}


def split_expression(splits: Mapping[str, float], columns: Sequence[Column], key: str) -> str:
    """Return the SQL expression for a row's split name.

    Args:
        splits: Split name to weight; weights sum to 1.
        columns: Source columns, before `derive` and `exclude`, so that neither moves a row.
        key: One of the columns, whose value decides the split: rows with the same value stay together. Empty to use
            the whole row.
    """
    chosen = [column for column in columns if column.name == key] if key else sorted(columns, key=lambda c: c.name)
    texts = ", ".join(_text(column) for column in chosen)
    # md5_number_lower has the same value, and takes three times as long.
    point = f"CAST(md5_number(concat_ws(chr(31), {texts})) >> 64 AS UBIGINT) / 18446744073709551616.0"
    branches, edge = "", 0.0
    for name, share in list(splits.items())[:-1]:
        edge += share
        branches += f" WHEN {point} < {edge!r} THEN '{name}'"
    last = list(splits)[-1]
    return f"CASE{branches} ELSE '{last}' END" if branches else f"'{last}'"


def _text(column: Column) -> str:
    """Return the SQL for a value's text, which is equal for equal values of different types.

    5 and 5.0 have the same text, as do a date and its midnight. A single bad row may turn a column into text; values that
    read as a number, timestamp or boolean then have the text of that type.
    """
    name, base = quoted_name(column.name), base_type(column.type)
    if base in INTEGERS or base in FRACTIONS:
        text = f"CAST({name} AS DOUBLE)::VARCHAR"
    else:
        text = f"CAST({name} AS TIMESTAMP)::VARCHAR" if base in DATES else _read_text(f"{name}::VARCHAR")
        if base == "DATE":
            # A date may be beyond the range of timestamps, which ends in the year 294247.
            text = f"coalesce(TRY_CAST({name} AS TIMESTAMP)::VARCHAR, {name}::VARCHAR)"
    return f"coalesce({text}, chr(0))"


def _read_text(text: str) -> str:
    # The beginning is checked before the casts, which are most of the cost, also where they fail.
    return (
        f"coalesce(CASE WHEN ascii(ltrim({text})) BETWEEN ascii('+') AND ascii('9') AND regexp_matches({text}, '{_NUMBER}') "
        f"THEN coalesce(TRY_CAST({text} AS DOUBLE)::VARCHAR, TRY_CAST({text} AS TIMESTAMPTZ)::TIMESTAMP::VARCHAR) "
        f"WHEN length({text}) < 6 AND lower({text}) IN ('true', 'false') THEN lower({text}) END, {text})"
    )
