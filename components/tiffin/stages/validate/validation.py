"""Validate an examples artifact: statistics, schema, anomalies, drift from production and the report."""

from dataclasses import replace
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin.artifacts.anomalies import Anomalies, write_anomalies
from tiffin.artifacts.drift import write_drift
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.schema import read_schema, write_schema
from tiffin.artifacts.statistics import find_split, read_statistics
from tiffin.stages.validate.drift_gate import Gate, check_gate, compare_with_production
from tiffin.stages.validate.report import describe
from tiffin.stages.validate.reuse import compute_or_reuse
from tiffin.storage.files import write_bytes
from tiffin.validation.anomalies import find_anomalies, judge
from tiffin.validation.rules import ANY, SKEW, check_rules, find_compared
from tiffin.validation.schema import check_label, infer


def validate(
    examples: str | Path,
    statistics_artifact: str | Path,
    schema_artifact: str | Path,
    anomalies_artifact: str | Path,
    drift_artifact: str | Path,
    report: str | Path,
    label: str = "",
    expected_schema: str = "",
    *,
    gate: Gate = Gate(),  # noqa: B008 - frozen
    store: str = "",
    reuse: bool = True,
    run: str = "",
) -> Anomalies:
    """Write the statistics, schema, anomalies, drift and report of `examples`, and return the anomalies.

    Args:
        examples: Folder of the examples artifact.
        statistics_artifact: Folder to write the statistics to.
        schema_artifact: Folder to write the schema to.
        anomalies_artifact: Folder to write the anomalies to.
        drift_artifact: Folder to write the drift from the training data of the model in production to.
        report: Markdown file to write.
        label: Column to predict; empty for no label.
        expected_schema: Path or URI of the schema to validate against; empty to infer one from the split `train`.
        gate: What drift from the training data of the model in production does. Defaults to a report, without a model.
        store: Folder or URI that keeps statistics; empty for TIFFIN_RESULT_STORE.
        reuse: Whether to reuse statistics of the same data version.
        run: ID of the run.

    Returns:
        The anomalies, and whether the examples are valid: without anomalies, and with a drift gate that passes.

    Raises:
        InputError: The label is not a column, the given schema cannot be read or has a rule that is not checked, or the drift
            gate has a wrong parameter.
        DataError: The label has fewer than two distinct values.
    """
    manifest = read_manifest(examples)
    label = manifest.final_name(label)
    names = {new: old for old, new in manifest.renamed.items()}
    # A schema that cannot be used fails before the pass over the data.
    given = _read_given(expected_schema) if expected_schema else None
    limits = check_gate(gate, given)
    notes = compute_or_reuse(examples, statistics_artifact, store=store, reuse=reuse, run=run)
    found = read_statistics(statistics_artifact)
    if label:
        check_label(find_split(found, "train"), label)
    schema = given or infer(found, label)
    anomalies = find_anomalies(found, schema, "" if given else "train")
    scratch = Path(statistics_artifact).parent
    drift, failure = compare_with_production(gate, limits, manifest, found, scratch=scratch, names=names, store=store)
    write_schema(schema_artifact, schema)
    write_drift(drift_artifact, drift)
    write_bytes(report, describe(anomalies, found, names, manifest.notes, drift).encode())
    # With a model in production, the drift gate has checked the other one.
    if compared := find_compared(schema, SKEW if drift.columns else ANY):
        text = f"columns with a {' or a '.join(SKEW if drift.columns else ANY)}, which compare_examples checks"
        notes = (*notes, Note("COMPARED_ELSEWHERE", text, count=len(compared), example=compared[0]))
    result = replace(judge(anomalies, names, expected_schema, manifest.key), notes=notes)
    if failure:
        result = replace(result, valid=False, reason=failure if result.valid else f"{result.reason} {failure}")
    write_anomalies(anomalies_artifact, result)
    return result


def _read_given(location: str) -> schema_pb2.Schema:
    schema = read_schema(location)
    check_rules(schema, location)
    return schema
