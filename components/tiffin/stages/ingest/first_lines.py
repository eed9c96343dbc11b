"""Tell whether the first line of a CSV file holds column names or values, from the rows below it."""

import enum
import itertools
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Dates, times, prices, percentages, numbers with separators: digits and few other characters.
_FIGURES = re.compile(r"(?=.*\d)[\d+\-.,:/ %$€£'()TZ]+")
_MISSING = {"", "?", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"}
# Share of a column's values that have its form; a few may be marks of missing values.
_MOST = 0.9
# At least this many numbers in ascending order are not in order by chance.
_MANY = 6


class First(enum.Enum):
    """What a first line holds."""

    NAMES = "names"
    VALUES = "values"
    # Names that are numbers in order, such as years, above rows of other numbers.
    ORDERED = "ordered"
    # Text above text.
    UNKNOWN = "unknown"


def kind_of_first_line(first: Sequence[str], rows: Sequence[Sequence[str]]) -> First:
    """Return what the first line holds.

    It holds names if a text stands above a column of numbers. It holds values if numbers stand above all columns of numbers, or
    if at least half of its texts occur again below, each in its own column.

    Args:
        first: Cells of the first line.
        rows: Cells of the rows below it.
    """
    cells = [cell.strip() for cell in first]
    columns = [
        [row[index].strip() for row in rows if len(row) == len(cells) and row[index].strip().lower() not in _MISSING]
        for index in range(len(cells))
    ]
    if not any(columns):
        return First.VALUES if any(_NUMBER.fullmatch(cell) for cell in cells) else First.UNKNOWN
    forms = [_column_form(column) for column in columns]
    pairs = [
        (_form(cell), form, cell in column)
        for cell, column, form in zip(cells, columns, forms, strict=True)
        if cell.lower() not in _MISSING and column
    ]
    if any(own < form for own, form, _ in pairs):
        return First.NAMES
    recurs = [again for _, form, again in pairs if form == 0]
    figures = [cell for cell, form in zip(cells, forms, strict=True) if form and cell.lower() not in _MISSING]
    if figures:
        again = sum(again for _, form, again in pairs if form)
        if not any(recurs) and 2 * again < len(figures) and _in_order(figures) and not _mostly_in_order(rows, forms):
            return First.ORDERED
        return First.VALUES
    return First.VALUES if recurs and 2 * sum(recurs) >= len(recurs) else First.UNKNOWN


def _form(cell: str) -> int:
    """Return 2 for a number, 1 for other figures such as a date, 0 for text."""
    return 2 if _NUMBER.fullmatch(cell) else 1 if _FIGURES.fullmatch(cell) else 0


def _column_form(column: Sequence[str]) -> int:
    forms = [_form(cell) for cell in column]
    return next((form for form in (2, 1) if forms and sum(own >= form for own in forms) >= _MOST * len(forms)), 0)


def _in_order(figures: Sequence[str]) -> bool:
    """Return whether figures ascend as column names may: years, positions, or many of any kind."""
    if len(figures) < 2 or not all(_NUMBER.fullmatch(cell) for cell in figures):
        return False
    numbers = [float(cell) for cell in figures]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if min(steps) <= 0:
        return False
    even = len(steps) == 1 and (len(numbers) > 2 or all(cell.isdigit() for cell in figures))
    return even or len(numbers) >= _MANY


def _mostly_in_order(rows: Sequence[Sequence[str]], forms: Sequence[int]) -> bool:
    figures = [[cell.strip() for cell, form in zip(row, forms, strict=False) if form] for row in rows]
    return sum(_in_order(row) for row in figures) * 2 > len(figures)
