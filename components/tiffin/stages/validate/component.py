"""KFP components of the validate stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Output

from tiffin.stages.validate.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["compute_statistics"].image, install_kfp_package=False)
def compute_statistics(
    examples: Input[Dataset],
    statistics: Output[Artifact],
    data_root: str = "",
    reuse: bool = True,
    run: str = "",
) -> None:
    """Compute TFDV statistics for every split of the examples.

    Args:
        examples: Output of ingest_examples.
        data_root: Folder or bucket that keeps statistics, to reuse those of the same data version and code. Empty for
            TIFFIN_RESULT_STORE of the step's environment; without it, nothing is kept.
        reuse: Whether to reuse statistics. False computes new ones, which later runs reuse.
        run: Pipeline run ID, kept with the statistics. Empty for none.

    Returns:
        statistics: statistics.binpb, a DatasetFeatureStatisticsList with one dataset per split.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.validate.reuse import compute_or_reuse

        compute_or_reuse(examples.path, statistics.path, store=data_root, reuse=reuse, run=run)


@dsl.component(base_image=COMPONENTS["infer_schema"].image, install_kfp_package=False)
def infer_schema(statistics: Input[Artifact], schema: Output[Artifact], label: str = "", split: str = "train") -> None:
    """Infer a schema from the statistics of one split.

    Args:
        statistics: Output of compute_statistics.
        label: Column to predict; required in training data, absent in serving requests. Empty for no label.
        split: Split whose statistics the schema is inferred from.

    Returns:
        schema: schema.pbtxt, a TensorFlow Metadata Schema in text format, to review and keep under version control.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.artifacts.schema import write_schema
        from tiffin.artifacts.statistics import read_statistics

        # Another artifact is told before the seconds of TFDV's import.
        found = read_statistics(statistics.path)
        from tiffin.validation.schema import infer

        write_schema(schema.path, infer(found, label, split))


@dsl.component(base_image=COMPONENTS["validate_examples"].image, install_kfp_package=False)
def validate_examples(
    examples: Input[Dataset],
    statistics: Output[Artifact],
    schema: Output[Artifact],
    anomalies: Output[Artifact],
    drift: Output[Artifact],
    report: Output[Markdown],
    label: str = "",
    expected_schema: str = "",
    drift_gate: str = "report",
    drift_thresholds: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    model_name: str = "",
    serving_root: str = "",
    data_root: str = "",
    reuse: bool = True,
    run: str = "",
) -> NamedTuple("Validation", [("valid", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Compute statistics, infer a schema unless one is given, and validate the examples against it.

    The split train is also compared with the data that the model in production was trained on. Anomalies and drift do not fail
    the step: branch on the output valid.

    Args:
        examples: Output of ingest_examples.
        label: Column to predict; must exist and have at least two distinct values. Empty for no label.
        expected_schema: Path or URI of the schema.pbtxt to validate against. Empty to infer a schema from the split train, with
            tolerances that follow from the number of rows.
        drift_gate: What drift of a column from the training data of the model in production does, the label included: off does
            not compare, report reports it, stop makes the examples invalid, also if that data cannot be compared.
        drift_thresholds: Measure to threshold, such as {"wasserstein": 0.2}, or column to such an object; null not to judge it.
            They go before a drift_comparator of expected_schema, and that before the defaults of compare_examples.
        model_name: Name of the model in production. Empty to compare with none.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the
            step's environment; without it, nothing is compared with production.
        data_root: Folder or bucket that keeps statistics, to reuse those of the same data version and code. Empty for
            TIFFIN_RESULT_STORE of the step's environment; without it, nothing is kept.
        reuse: Whether to reuse statistics. False computes new ones, which later runs reuse.
        run: Pipeline run ID, kept with the statistics. Empty for none.

    Returns:
        statistics: statistics.binpb, a DatasetFeatureStatisticsList with one dataset per split.
        schema: schema.pbtxt, the given or inferred schema that the examples were validated against.
        anomalies: anomalies.json, every anomaly with split, column, code and description.
        drift: drift.json, every distance of every column from the training data of the model in production; a note if there
            is none to compare with.
        report: report.md, with the anomalies, drift, how the data was read, and the statistics of each column.
        valid: Whether the examples have no anomalies, and the drift gate passes.
        reason: One line with the first anomalies, the columns that drifted with drift_gate=stop, and what to do.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.validate.drift_gate import Gate
        from tiffin.stages.validate.validation import validate

        # KFP's paths have no extension; viewers of files need one.
        report.path = f"{report.path}.md"
        found = validate(
            examples.path, statistics.path, schema.path, anomalies.path, drift.path, report.path, label, expected_schema,
            gate=Gate(drift_gate, model_name, serving_root, drift_thresholds),
            store=data_root, reuse=reuse, run=run,
        )  # fmt: skip
        return found.valid, found.reason


@dsl.component(base_image=COMPONENTS["compare_examples"].image, install_kfp_package=False)
def compare_examples(
    drift: Output[Artifact],
    report: Output[Markdown],
    statistics: Input[Artifact] = None,
    examples: Input[Dataset] = None,
    reference: Input[Artifact] = None,
    baseline_examples: Input[Dataset] = None,
    schema: Input[Artifact] = None,
    baseline_location: str = "",
    update_baseline: bool = False,
    split: str = "train",
    baseline_split: str = "train",
    label: str = "",
    thresholds: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    level: float = 0.005,
    comparison: str = "drift",
) -> NamedTuple("Compared", [("drifted", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Compare examples with a baseline: drift from an earlier span or a model's training data, or skew.

    Each side is statistics, or examples whose rows are counted. Every distance of every column is written, with its threshold,
    a 95 % interval, its mean by chance and a p-value that is corrected for the number of distances. Drift does not fail the
    step: branch on the output drifted.

    Args:
        statistics: Output of validate_examples or compute_statistics. Optional, in place of examples.
        examples: Output of ingest_examples, whose rows are counted in the bins of the baseline. Optional, in place of statistics.
        reference: Output of find_reference, or other statistics, to compare with. With the reference of a model, only columns
            count that contribute to its predictions. Optional.
        baseline_examples: Output of ingest_examples, other rows to compare with. With rows on both sides, all counts are exact.
            Optional, in place of reference.
        schema: Output of validate_examples or infer_schema, whose drift_comparator or skew_comparator have thresholds of
            columns. Optional.
        baseline_location: Path or URI of the statistics.binpb to compare with, in place of reference.
        update_baseline: Whether to store the statistics at baseline_location afterwards, so that each span is compared with
            the one before; not with examples. The first span has nothing to compare with and does not drift.
        split: Split of the examples.
        baseline_split: Split of the baseline.
        label: Column that one side may lack. Empty for none.
        thresholds: Measure to threshold, such as {"wasserstein": 0.2}, or column to such an object. Null not to judge it.
            Defaults: jensen_shannon 0.02, population_stability_index 0.1, infinity_norm 0.1, wasserstein 0.1, missing_share
            0.05, new_share 0.05.
        level: Share of false discoveries among the distances that drift, above 0 and below 1.
        comparison: drift or skew: which comparator of the schema applies.

    Returns:
        drift: drift.json, every distance of every column, and which of them drifted.
        report: report.md, the columns that drifted with their values before and now, and all distances.
        drifted: Whether a column drifted that counts.
        reason: One line with the columns that drifted.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.validate.drift import Baseline, compare_with_baseline

        # KFP's paths have no extension; viewers of files need one.
        report.path = f"{report.path}.md"
        found = compare_with_baseline(
            statistics.path if statistics else "", drift.path, report.path,
            Baseline(
                reference.path if reference else "", baseline_location, baseline_split, update_baseline,
                baseline_examples.path if baseline_examples else "",
            ),
            examples=examples.path if examples else "", split=split, schema=schema.path if schema else "", label=label,
            thresholds=thresholds, level=level, comparison=comparison,
        )  # fmt: skip
        return found.drifted, found.reason
