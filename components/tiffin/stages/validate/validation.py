"""Validate an examples artifact: statistics, schema, anomalies and the report."""

from pathlib import Path

from tiffin.artifacts.anomalies import Anomalies, write_anomalies
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.schema import read_schema, write_schema
from tiffin.artifacts.statistics import find_split, write_statistics
from tiffin.stages.validate.anomalies import describe, find_anomalies, judge
from tiffin.stages.validate.schema import check_label, infer
from tiffin.stages.validate.statistics import compute
from tiffin.storage.files import write_bytes


def validate(
    examples: str | Path,
    statistics_artifact: str | Path,
    schema_artifact: str | Path,
    anomalies_artifact: str | Path,
    report: str | Path,
    label: str = "",
    expected_schema: str = "",
) -> Anomalies:
    """Write the statistics, schema, anomalies and report of `examples`, and return the anomalies.

    Args:
        examples: Folder of the examples artifact.
        statistics_artifact: Folder to write the statistics to.
        schema_artifact: Folder to write the schema to.
        anomalies_artifact: Folder to write the anomalies to.
        report: Markdown file to write.
        label: Column to predict; empty for no label.
        expected_schema: Path or URI of the schema to validate against; empty to infer one from the split `train`.

    Returns:
        The anomalies, and whether the examples are valid.

    Raises:
        InputError: The label is not a column, or the given schema cannot be read.
        DataError: The label has fewer than two distinct values.
    """
    label = read_manifest(examples).final_name(label)
    found = compute(examples)
    if label:
        check_label(find_split(found, "train"), label)
    schema = read_schema(expected_schema) if expected_schema else infer(found, label)
    anomalies = find_anomalies(found, schema)
    write_statistics(statistics_artifact, found)
    write_schema(schema_artifact, schema)
    write_bytes(report, describe(anomalies, found, schema).encode())
    result = judge(anomalies)
    write_anomalies(anomalies_artifact, result)
    return result
