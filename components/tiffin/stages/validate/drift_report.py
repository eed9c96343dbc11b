"""Write the Markdown report of a comparison: the columns that drifted, and every distance of every column."""

from collections.abc import Iterator, Mapping

from tiffin.artifacts.drift import ColumnDrift, Drift
from tiffin.artifacts.markdown import code, escape, example, table
from tiffin.artifacts.numbers import format_number, format_share

_DETAILED = 10


def describe(drift: Drift) -> str:
    """Return the report."""
    lines = ["# Drift", "", escape(drift.reason), ""]
    lines += [
        f"{drift.rows:,} rows are compared with {drift.rows_before:,} rows of {escape(drift.baseline)}.{_forms(drift)}",
        "A distance drifts if it is above its mean by chance by more than its threshold, and if its p-value, corrected for the "
        f"number of distances, is at most {format_number(drift.level)}.",
    ]
    if drift.notes:
        lines += ["", "## Notes", ""]
        notes = [(escape(n.text), "" if n.count is None else str(n.count), example(n.example)) for n in drift.notes]
        lines += table(("what", "count", "first example"), notes, "lrl")
    lines += ["", "## Columns", ""]
    lines += table(
        ("column", "drifted", "why", "rows before", "rows", "missing before", "missing", "importance"),
        [_column(column) for column in drift.columns], "lllrrrrr",
    )  # fmt: skip
    lines += [*_before_and_now(drift, {}, "##"), "", "## Distances", ""]
    header = (
        "column",
        "measure",
        "value",
        "95 % interval",
        "by chance",
        "threshold",
        "p-value",
        "corrected",
        "drifted",
    )
    rows = [row for column in drift.columns for row in _distances(column)]
    lines += table(header, rows, "llrlrrrrl") if rows else ["None."]
    return "\n".join(lines) + "\n"


def describe_briefly(drift: Drift, names: Mapping[str, str]) -> list[str]:
    """Return the lines of a section about drift in another report: the reason, and the columns that drifted, before and now.

    Args:
        drift: The drift.
        names: Name of a column in the examples to its name in the data, where they differ.
    """
    lines = [escape(drift.reason)]
    rows = [
        (code(names.get(one.column, one.column)), escape(one.reason), f"{one.rows_before:,}", f"{one.rows:,}",
         format_share(one.missing_before), format_share(one.missing))
        for one in drift.columns if one.drifted
    ]  # fmt: skip
    if rows:
        header = ("column", "why", "values before", "values", "missing before", "missing")
        lines += ["", *table(header, rows, "llrrrr"), *_before_and_now(drift, names, "###")]
    return lines


def _before_and_now(drift: Drift, names: Mapping[str, str], level: str) -> Iterator[str]:
    """Yield the bins of the columns that drifted, each with a heading of this level."""
    for column in [one for one in drift.columns if one.drifted and one.bins][:_DETAILED]:
        yield from ("", f"{level} {escape(names.get(column.column, column.column))}: before and now", "")
        bins = [(example(b.name), format_share(b.before), format_share(b.now)) for b in column.bins]
        yield from table(("bin", "before", "now"), bins, "lrr")


def _forms(drift: Drift) -> str:
    """Return the sentence about what both sides were counted from; empty if unknown."""
    if not drift.current_form or not drift.baseline_form:
        return ""
    if drift.current_form == drift.baseline_form:
        return f" Both are counted from {drift.current_form}."
    return f" The first are counted from {drift.current_form}, the others from {drift.baseline_form}."


def _column(column: ColumnDrift) -> tuple[str, ...]:
    drifted = ("yes" if column.counts else "yes, unimportant") if column.drifted else "no"
    return (
        code(column.column), drifted, escape(column.reason), f"{column.rows_before:,}", f"{column.rows:,}",
        format_share(column.missing_before), format_share(column.missing),
        "" if column.importance is None else format_share(column.importance),
    )  # fmt: skip


def _distances(column: ColumnDrift) -> list[tuple[str, ...]]:
    return [
        (
            code(column.column), one.measure.replace("_", " "), _number(one.value),
            f"{_number(one.low)} to {_number(one.high)}" if one.low is not None else "", _number(one.by_chance),
            f"{_number(one.threshold)} ({one.source})" if one.threshold is not None else "not judged",
            _number(one.p_value), _number(one.adjusted), "yes" if one.drifted else "no",
        )
        for one in column.distances
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
