"""Find the anomalies of the examples against the schema. Anomalies are a result, not an error: the pipeline branches on them."""

from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tiffin.artifacts.anomalies import Anomalies, Anomaly
from tiffin.stages.validate.tfdv import tfdv


def find_anomalies(statistics: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema) -> list[Anomaly]:
    """Return the anomalies of every split against the schema, sorted by split and column."""
    environment = "TRAINING" if "TRAINING" in schema.default_environment else None
    found = []
    for dataset in statistics.datasets:
        if dataset.num_examples == 0:
            found.append(Anomaly(dataset.name, "", "NO_EXAMPLES", "Empty split", "The split has no rows."))
            continue
        one = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
        result = tfdv.validate_statistics(one, schema, environment=environment)
        for column, info in sorted(result.anomaly_info.items()):
            for reason in info.reason:
                code = anomalies_pb2.AnomalyInfo.Type.Name(reason.type)
                found.append(Anomaly(dataset.name, column, code, reason.short_description, reason.description))
    return found


def judge(anomalies: Sequence[Anomaly]) -> Anomalies:
    """Return the anomalies with the verdict, whether the examples are valid, and its reason in one line."""
    first = "; ".join(f"{a.split}: {a.column or 'split'}: {a.summary}" for a in anomalies[:3])
    more = f"; and {len(anomalies) - 3} more" if len(anomalies) > 3 else ""
    count = "1 anomaly" if len(anomalies) == 1 else f"{len(anomalies)} anomalies"
    reason = f"{count} against the schema: {first}{more}." if anomalies else "No anomalies."
    return Anomalies(not anomalies, reason, tuple(anomalies))


def describe(
    anomalies: Sequence[Anomaly], statistics: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema
) -> str:
    """Return the Markdown report for the dashboard: the anomalies, then each split's statistics by column."""
    lines = ["## Anomalies", ""]
    if anomalies:
        lines += ["| split | column | rule | found |", "|---|---|---|---|"]
        lines += [f"| {a.split} | {_cell(a.column)} | {_cell(a.summary)} | {_cell(a.description)} |" for a in anomalies]
    else:
        lines.append("None.")
    types = {feature.name: schema_pb2.FeatureType.Name(feature.type) for feature in schema.feature}
    for dataset in statistics.datasets:
        lines += ["", f"## {dataset.name}: {dataset.num_examples:.0f} rows", ""]
        lines += ["| column | type | missing | distinct | mean | deviation | min | median | max | most frequent |"]
        lines += ["|---|---|---:|---:|---:|---:|---:|---:|---:|---|"]
        lines += [
            _row(feature, types.get(feature.path.step[0], ""), dataset.num_examples) for feature in dataset.features
        ]
    return "\n".join(lines) + "\n"


def _row(feature: statistics_pb2.FeatureNameStatistics, type_: str, rows: float) -> str:
    name = _cell(feature.path.step[0])
    if feature.WhichOneof("stats") == "num_stats":
        n = feature.num_stats
        missing = 1 - n.common_stats.num_non_missing / max(1, rows)
        numbers = " | ".join(f"{value:.6g}" for value in (n.mean, n.std_dev, n.min, n.median, n.max))
        return f"| {name} | {type_} | {missing:.1%} | | {numbers} | |"
    s = feature.string_stats
    missing = 1 - s.common_stats.num_non_missing / max(1, rows)
    top = ", ".join(f"{bucket.label} ({bucket.sample_count:.0f})" for bucket in s.rank_histogram.buckets[:3])
    return f"| {name} | {type_} | {missing:.1%} | {s.unique} | | | | | | {_cell(top)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
