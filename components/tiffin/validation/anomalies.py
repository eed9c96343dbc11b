"""Find the anomalies of the examples against the schema. Anomalies are a result, not an error: the pipeline branches on them."""

from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tiffin.artifacts.anomalies import Anomalies, Anomaly
from tiffin.artifacts.statistics import read_common
from tiffin.drift.significance import chance
from tiffin.validation.columns import Rules, Split
from tiffin.validation.comparison import compare
from tiffin.validation.magnitudes import find_magnitude, read_range
from tiffin.validation.reasons import MAGNITUDE, NEW_VALUE, NO_EXAMPLES, Finding, explain, most_unlisted
from tiffin.validation.rules import TRAINING

_LISTED = 3
# Probability that a new value of a split of the same data is reported, over all columns.
_RISK = 0.005
# Share of the values that a new one may have however many rows there are, as in an inferred schema.
_MAY_BE_NEW = 0.05


def find_anomalies(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    inferred_from: str = "",
    environment: str = TRAINING,
) -> list[Anomaly]:
    """Return the anomalies of every split against the schema, sorted by split and column.

    Args:
        statistics: Statistics with one dataset per split.
        schema: Schema to validate against.
        inferred_from: Name of the split that the schema was inferred from; empty for a given schema.
        environment: Environment whose rules apply, if the schema has it. Defaults to `TRAINING`.

    Raises:
        InputError: A tag of the schema cannot be read.
    """
    chosen = environment if environment in schema.default_environment else None
    rules = Rules(schema)
    splits = [Split(dataset) for dataset in statistics.datasets]
    source = next((split for split in splits if split.name == inferred_from), None)
    found = []
    for split in splits:
        if split.rows == 0:
            found.append(_anomaly(Finding(NO_EXAMPLES, "", split, rules, source)))
            continue
        findings = [
            Finding(anomalies_pb2.AnomalyInfo.Type.Name(r.type), column, split, rules, source, r.description)
            for column, r in compare(split, rules, chosen)
        ]
        findings += [
            Finding(MAGNITUDE, name, split, rules, source)
            for name, column in split.columns.items()
            if _has_other_magnitude(column, rules.find(name))
        ]
        told = {finding.column for finding in findings}
        texts = [feature.name for feature in schema.feature if feature.type == schema_pb2.BYTES]
        risk = _RISK / (max(1, len(texts)) * max(1, len(splits) - 1))
        new = [Finding(NEW_VALUE, column, split, rules, source) for column in texts if column not in told]
        findings += [finding for finding in new if _has_frequent_new_value(finding, risk)]
        found += [_anomaly(finding) for finding in sorted(findings, key=lambda finding: (finding.column, finding.code))]
    return found


def judge(
    anomalies: Sequence[Anomaly],
    names: Mapping[str, str] | None = None,
    expected_schema: str = "",
    key: str = "",
) -> Anomalies:
    """Return the anomalies with the verdict, whether the examples are valid, and its reason in one line.

    Args:
        anomalies: The anomalies.
        names: Name of a column in the examples to its name in the data, where they differ.
        expected_schema: Location of the given schema; empty if the schema was inferred.
        key: Column whose value decides the split; empty if the whole row does.
    """
    if not anomalies:
        return Anomalies(True, "No anomalies.", ())
    names = names or {}
    listed = "; ".join(
        f"'{names.get(a.column, a.column)}': {a.summary}" if a.column else a.summary for a in anomalies[:_LISTED]
    )
    more = f"; and {len(anomalies) - _LISTED} more" if len(anomalies) > _LISTED else ""
    count = "1 anomaly" if len(anomalies) == 1 else f"{len(anomalies)} anomalies"
    schema = f"'{expected_schema}'" if expected_schema else "the schema inferred from train"
    reason = f"{count} against {schema}: {listed}{more}. {_next_step(anomalies, expected_schema, key)}"
    return Anomalies(False, reason, tuple(anomalies))


def _next_step(anomalies: Sequence[Anomaly], expected_schema: str, key: str) -> str:
    if all(anomaly.code == NO_EXAMPLES for anomaly in anomalies):
        return "Pass more data, or raise the split's weight in splits."
    if expected_schema:
        return f"Correct the data; or, if it is right, change these rules in '{expected_schema}'."
    groups = (
        f"With key='{key}', splits hold different groups and may differ; a key with more values helps. " if key else ""
    )
    return (
        f"{groups}Correct the data, or list the columns in exclude. To accept the data, copy schema.pbtxt from the artifact "
        "schema of this run, change these rules, and pass it as expected_schema."
    )


def _anomaly(finding: Finding) -> Anomaly:
    summary, description = explain(finding)
    return Anomaly(finding.split.name, finding.column, finding.code, summary, description)


def _has_other_magnitude(column: statistics_pb2.FeatureNameStatistics, rule: schema_pb2.Feature) -> bool:
    expected = read_range(rule) if column.HasField("num_stats") else None
    found = find_magnitude(column.num_stats) if expected else None
    return found is not None and expected is not None and not expected[0] <= found <= expected[1]


def _has_frequent_new_value(finding: Finding, risk: float) -> bool:
    """Return whether a value that the inferred schema's split lacks is in more rows of another than chance explains.

    Of free text, the statistics list the most frequent values only: another one has at most as many rows as the last of them.
    Of n rows, at most n / count values are in `count` rows or more, and any of them may be the one that train lacks by chance.
    With a key, the rows of a group are in one split and tell nothing.
    """
    new = finding.new_values
    if not finding.before or not new or finding.split.groups is not None:
        return False
    count = int(new[0][1])
    before, found = (int(read_common(column).num_non_missing) for column in (finding.before, finding.found))
    if count <= _MAY_BE_NEW * found:
        return False
    return chance(most_unlisted(finding.before), before, count, found) * (before + found) / count < risk
