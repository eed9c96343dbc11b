"""Compare the statistics of a split with a schema by TFDV, a few columns at a time.

TFDV's comparison takes time that grows with the square of the number of columns: 2,000 columns took 18 s, in groups of 64 less
than a second. No rule that this stage checks is about several columns, so the groups find the same.
"""

from collections.abc import Iterator, Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tiffin.validation.columns import Rules, Split
from tiffin.validation.tfdv import tfdv

_COLUMNS = 64


def compare(
    split: Split, rules: Rules, environment: str | None, columns: int = _COLUMNS
) -> Iterator[tuple[str, anomalies_pb2.AnomalyInfo.Reason]]:
    """Yield each anomaly's column, empty for the whole split, and its reason.

    Args:
        split: Statistics of the split.
        rules: Rules of the schema.
        environment: Environment whose rules apply; None for all.
        columns: Number of columns to compare at a time. Defaults to 64.
    """
    names = [*rules.columns, *(name for name in split.columns if name not in rules.columns)]
    for start in range(0, max(len(names), 1), columns):
        group = names[start : start + columns]
        result = tfdv.validate_statistics(
            _statistics(split, rules, group), _schema(rules, group), environment=environment
        )
        if start == 0:
            yield from (("", reason) for reason in result.dataset_anomaly_info.reason)
        for column, info in result.anomaly_info.items():
            yield from ((column, reason) for reason in info.reason)


def _schema(rules: Rules, names: Sequence[str]) -> schema_pb2.Schema:
    whole = rules.schema
    schema = schema_pb2.Schema(
        feature=[rules.columns[name] for name in names if name in rules.columns],
        default_environment=whole.default_environment,
    )
    used = {feature.domain for feature in schema.feature}
    schema.string_domain.extend(domain for domain in whole.string_domain if domain.name in used)
    if whole.HasField("dataset_constraints"):
        schema.dataset_constraints.CopyFrom(whole.dataset_constraints)
    return schema


def _statistics(split: Split, rules: Rules, names: Sequence[str]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Return the statistics of some columns. Integers are FLOAT where the schema has it: fractions can happen to be whole."""
    dataset = statistics_pb2.DatasetFeatureStatistics(name=split.name, num_examples=split.dataset.num_examples)
    for name in names:
        if name in split.columns:
            column = dataset.features.add()
            column.CopyFrom(split.columns[name])
            if rules.find(name).type == schema_pb2.FLOAT and column.type == statistics_pb2.FeatureNameStatistics.INT:
                column.type = statistics_pb2.FeatureNameStatistics.FLOAT
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
