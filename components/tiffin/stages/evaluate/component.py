"""KFP declaration of the evaluate stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from tiffin.stages.evaluate.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["evaluate_model"].image, install_kfp_package=False)
def evaluate_model(
    examples: Input[Dataset],
    model: Input[Model],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    thresholds: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    split: str = "eval",
    gate: dict = {},  # type: ignore[type-arg]  # noqa: B006
    slices: list = [],  # type: ignore[type-arg]  # noqa: B006
    sensitive: list = [],  # type: ignore[type-arg]  # noqa: B006
    min_slice_rows: int = 100,
    model_name: str = "",
    serving_root: str = "",
) -> NamedTuple("Evaluated", [("passed", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Evaluate the exported SavedModel on a split and check the metrics against the gate.

    A model that does not pass the gate does not fail this step: the pipeline branches on the output passed. Besides the
    rules that are given, the gate requires that every class of the split occurred in training; that log_loss (regression:
    rmse) is better than guessing with 95 % confidence on the split's rows, where guessing is always predicting the shares
    of the classes, or the mean of the label; that the model is not worse than the one in production on the same rows; and that
    a model server loads it and gives the same answers.

    Args:
        examples: Output of ingest_examples.
        model: Output of train_model.
        thresholds: Metric name to bound, such as {"auc": 0.9, "log_loss": 0.3}: the short form of bounds in the gate. The bound
            is a maximum for log_loss, brier, calibration_error, rmse, mae and the pinball losses, a minimum for others.
        split: Split to evaluate on.
        gate: Rules of the gate, such as {"champion": {"mode": "improvement"}}, or {"file": "gs://bucket/gate.yaml"}. Empty
            for better than guessing, not worse than the model in production, and the same answers from a model server.
        slices: Columns, or pairs of columns, such as ["city", ["city", "day"]]. The metrics are also measured for each group.
        sensitive: Columns whose groups are compared for fairness.
        min_slice_rows: Fewest rows of a slice or of a group of a sensitive column, at least 1.
        model_name: Name of the model in production to compare with. Empty to compare with none.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the
            step's environment.

    Returns:
        evaluation: verdict.json, the metrics with 95 % intervals, slices, curves, the checks of the gate and the verdict.
        metrics: The metrics, to compare runs in the dashboard.
        curves: ROC curve (binary) and confusion matrix (up to 50 classes).
        passed: Whether the model passed the gate.
        reason: Reason for the verdict, in one line.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.evaluate.evaluation import evaluate
        from tiffin.stages.evaluate.sandbox import server_command
        from tiffin.stages.evaluate.trial import describe

        found = evaluate(
            model.path, examples.path, evaluation.path, thresholds=thresholds, split=split, gate=gate, slices=slices,
            sensitive=sensitive, min_slice_rows=min_slice_rows, model_name=model_name, serving_root=serving_root,
            server=server_command(),
        )  # fmt: skip
        for name, value in found.metrics.items():
            if value is not None:
                metrics.log_metric(name, value)
        if found.curve and found.curve.fpr:
            curves.log_roc_curve(*map(list, (found.curve.fpr, found.curve.tpr, found.curve.threshold)))
        if found.classes and found.confusion and len(found.classes) <= 50:
            curves.log_confusion_matrix(list(found.classes), list(map(list, found.confusion)))
        if found.serving is not None:
            print(printable(describe(found.serving)))  # noqa: T201 - the step's log
        for note in found.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        print(printable(found.reason))  # noqa: T201 - the step's log
        return found.passed, found.reason
