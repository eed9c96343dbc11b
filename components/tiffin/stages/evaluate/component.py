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
) -> NamedTuple("Evaluated", [("passed", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Evaluate the exported SavedModel on a split and check the metrics against the gate.

    A model that does not pass the gate does not fail this step: the pipeline branches on the output passed. In addition
    to the thresholds, the gate requires that every class of the split occurred in training, and that log_loss
    (regression: rmse) is better than guessing with 95 % confidence on the split's rows. Guessing is always predicting the
    shares of the classes, or the mean of the label.

    Args:
        examples: Output of ingest_examples.
        model: Output of train_model.
        thresholds: Metric name to bound, such as {"auc": 0.9, "log_loss": 0.3}. The bound is a minimum for auc,
            average_precision, accuracy, precision, recall, f1 and r2, and a maximum for log_loss, brier, rmse and mae.
            Empty to require better than guessing only.
        split: Split to evaluate on.

    Returns:
        evaluation: verdict.json, the metrics, the checks of the gate and the verdict.
        metrics: The metrics, to compare runs in the dashboard.
        curves: ROC curve (binary) and confusion matrix (up to 50 classes).
        passed: Whether the model passed the gate.
        reason: Reason for the verdict, in one line.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.evaluate.evaluation import evaluate

        found = evaluate(model.path, examples.path, evaluation.path, thresholds=thresholds, split=split)
        for name, value in found.metrics.items():
            if value is not None:
                metrics.log_metric(name, value)
        if found.curve and found.curve.fpr:
            curves.log_roc_curve(*map(list, (found.curve.fpr, found.curve.tpr, found.curve.threshold)))
        if found.classes and found.confusion and len(found.classes) <= 50:
            curves.log_confusion_matrix(list(found.classes), list(map(list, found.confusion)))
        for note in found.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        print(printable(found.reason))  # noqa: T201 - the step's log
        return found.passed, found.reason
