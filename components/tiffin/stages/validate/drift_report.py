"""Write the Markdown report of a comparison: the columns that drifted, and every distance of every column."""

from tiffin.artifacts.drift import ColumnDrift, Drift
from tiffin.artifacts.markdown import code, escape, example, table
from tiffin.artifacts.numbers import format_number, format_share

_DETAILED = 10


def describe(drift: Drift) -> str:
    """Return the report."""
    lines = ["# Drift", "", escape(drift.reason), ""]
    lines += [
        f"{drift.rows:,} rows are compared with {drift.rows_before:,} rows of {escape(drift.baseline)}.",
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
    for column in [one for one in drift.columns if one.drifted and one.bins][:_DETAILED]:
        lines += ["", f"## {escape(column.column)}: before and now", ""]
        bins = [(example(b.name), format_share(b.before), format_share(b.now)) for b in column.bins]
        lines += table(("bin", "before", "now"), bins, "lrr")
    lines += ["", "## Distances", ""]
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
