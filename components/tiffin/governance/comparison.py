"""Compare two versions of a model: what they were made from, and their metrics."""

from typing import Any

from tiffin.governance.overview import Version

# Name of a row, the value for each of the two versions, and the difference of two numbers.
Row = tuple[str, Any, Any, float | None]


def compare_versions(one: Version, other: Version) -> list[Row]:
    """Return the rows of a comparison: lineage first, then the metrics of either version, by name.

    The difference is the second minus the first; None unless both are numbers.
    """
    rows: list[Row] = [
        (name, getattr(one, name), getattr(other, name), None) for name in ("role", "since", "by", "run", "rule")
    ]
    rows += [("approved_by", ", ".join(one.approved_by), ", ".join(other.approved_by), None)]
    for name in ("requested_by", "data_version", "schema_digest", "code_digest", "spec_version", "label", "reason"):
        rows.append((name, getattr(one.lineage, name, ""), getattr(other.lineage, name, ""), None))
    left, right = ((each.lineage.metrics if each.lineage else None) or {} for each in (one, other))
    for name in sorted(left.keys() | right.keys()):
        first, second = left.get(name), right.get(name)
        difference = None if first is None or second is None else second - first
        rows.append((name, first, second, difference))
    return rows
