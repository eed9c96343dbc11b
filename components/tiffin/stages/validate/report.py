"""Write the Markdown report of a validation: the anomalies, drift, how the data was read, and each split's statistics."""

from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.anomalies import Anomaly
from tiffin.artifacts.drift import Drift
from tiffin.artifacts.markdown import code, escape, example, table
from tiffin.artifacts.notes import Note
from tiffin.artifacts.numbers import format_moment, format_number, format_share
from tiffin.artifacts.statistics import read_common, read_logical
from tiffin.stages.validate.drift_report import describe_briefly

_FIRST = ("train", "eval")
_TYPES = {"INT": "integer", "FLOAT": "float", "STRING": "text", "BYTES": "text"}
_DAY = 86_400


def describe(
    anomalies: Sequence[Anomaly],
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    names: Mapping[str, str] | None = None,
    notes: Sequence[Note] = (),
    drift: Drift | None = None,
) -> str:
    """Return the report.

    Args:
        anomalies: The anomalies.
        statistics: Statistics with one dataset per split.
        names: Name of a column in the examples to its name in the data, where they differ.
        notes: What was dropped, converted or guessed when the data was read.
        drift: Drift from the training data of the model in production. Defaults to none.
    """
    names = names or {}
    lines = ["# Validation", "", "## Anomalies", ""]
    found = [
        (escape(a.split), _name(a.column, names), escape(f"{a.summary}. {a.description}"), f"`{a.code}`")
        for a in anomalies
    ]
    lines += table(("split", "column", "found", "code"), found) if anomalies else ["None."]
    if drift is not None:
        lines += ["", "## Drift from production", "", *describe_briefly(drift, names)]
    lines += ["", "## How the data was read", ""]
    read = [
        (escape(n.text), _name(n.column, names), "" if n.count is None else str(n.count), example(n.example))
        for n in notes
    ]
    lines += table(("what", "column", "count", "first example"), read, "llrl") if notes else ["No notes."]
    for dataset in sorted(statistics.datasets, key=_order):
        lines += ["", f"## {escape(dataset.name)}: {dataset.num_examples:.0f} rows", ""]
        rows = [_row(feature, dataset.num_examples, names) for feature in dataset.features]
        header = ("column", "type", "missing", "distinct", "mean", "deviation", "min", "median", "max", "most frequent")
        lines += table(header, rows, "llrrrrrrrl")
    return "\n".join(lines) + "\n"


def _name(column: str, names: Mapping[str, str]) -> str:
    """Return a column's name in the data."""
    return code(names.get(column, column))


def _order(dataset: statistics_pb2.DatasetFeatureStatistics) -> tuple[int, str]:
    return _FIRST.index(dataset.name) if dataset.name in _FIRST else len(_FIRST), dataset.name


def _row(feature: statistics_pb2.FeatureNameStatistics, rows: float, names: Mapping[str, str]) -> tuple[str, ...]:
    logical = read_logical(feature)
    type_ = logical or _TYPES.get(statistics_pb2.FeatureNameStatistics.Type.Name(feature.type), "")
    present = read_common(feature).num_non_missing
    start = (_name(feature.path.step[0], names), type_, format_share(1 - present / max(1, rows)))
    if feature.WhichOneof("stats") == "string_stats":
        text = feature.string_stats
        buckets = text.rank_histogram.buckets
        # With more values than the statistics list, TFDV estimates the counts.
        exact = text.unique <= len(buckets)
        top = [example(b.label) + (f" ({b.sample_count:.0f})" if exact else "") for b in buckets[:3]]
        return *start, str(text.unique), "", "", "", "", "", ", ".join(top)
    if not present:
        return *start, "", "", "", "", "", "", ""
    numbers = feature.num_stats
    if logical == "boolean":
        top = [f"{word} ({count:.0f})" for word, count in
               (("true", present - numbers.num_zeros), ("false", numbers.num_zeros)) if count]  # fmt: skip
        return *start, str(len(top)), "", "", "", "", "", ", ".join(top)
    if logical:
        moments = (numbers.mean, numbers.min, numbers.median, numbers.max)
        mean, *others = (format_moment(moment, logical) for moment in moments)
        return *start, "", mean, f"{numbers.std_dev / _DAY:.3g} days", *others, ""
    values = (numbers.mean, numbers.std_dev, numbers.min, numbers.median, numbers.max)
    return *start, "", *(format_number(value) for value in values), ""
