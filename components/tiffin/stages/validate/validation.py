"""The whole check of an examples artifact: statistics, schema, anomalies and their report."""

from pathlib import Path

from tiffin import artifacts
from tiffin.stages.validate import anomalies, schema, statistics


def validate(
    examples: str | Path,
    statistics_artifact: str | Path,
    schema_artifact: str | Path,
    anomalies_artifact: str | Path,
    report: str | Path,
    label: str = "",
    expected_schema: str = "",
) -> tuple[bool, str]:
    """Write the statistics, the schema, the anomalies and a report of `examples`; return whether valid, and the reason.

    Args:
        examples: Folder of the examples artifact.
        statistics_artifact: Folder to write the statistics to.
        schema_artifact: Folder to write the schema to.
        anomalies_artifact: Folder to write the anomalies to.
        report: Markdown file to write.
        label: Column to predict; empty for none.
        expected_schema: Where the schema to hold to is; empty to infer it from the split `train`.

    Raises:
        InputError: The label is no column, or the given schema cannot be read.
        DataError: The label has fewer than two values.
    """
    found = statistics.compute(examples)
    if label:
        schema.check_label(schema.find_split(found, "train"), label)
    held_to = schema.read(expected_schema) if expected_schema else schema.infer(found, label)
    broken = anomalies.find(found, held_to)
    statistics.write(found, statistics_artifact)
    schema.write(held_to, schema_artifact)
    artifacts.write_bytes(report, anomalies.describe(broken, found, held_to).encode())
    result = anomalies.write_report(broken, anomalies_artifact)
    return result["valid"], result["reason"]
