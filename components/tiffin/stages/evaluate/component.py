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
) -> NamedTuple("Evaluated", passed=bool, reason=str):  # type: ignore[valid-type]
    """Evaluate the exported SavedModel on a split and judge it by the gate.

    A model that does not pass is this step's result, not its failure: the pipeline branches on it. Besides the
    thresholds, a model must always do better than a guess from the label's distribution in training, and know every class
    of the label.

    Args:
        examples: Output of ingest_examples.
        model: Output of train_model.
        thresholds: Metric to bound, such as {"auc": 0.9, "log_loss": 0.3}: at least it where larger is better (auc,
            average_precision, accuracy, precision, recall, f1, r2), at most it where smaller is (log_loss, brier, rmse,
            mae).
        split: Which split to evaluate on.

    Returns:
        evaluation: verdict.json, the metrics, every check and the verdict.
        metrics: The metrics, for the dashboard to compare runs by.
        curves: ROC curve and confusion matrix of a classification.
        passed: Whether the model may go on.
        reason: Why, in one line.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.evaluate.evaluation import evaluate

        found = evaluate(model.path, examples.path, evaluation.path, thresholds=thresholds, split=split)
        for name, value in found.metrics.items():
            if value is not None:
                metrics.log_metric(name, value)
        if found.curve and found.curve.fpr:
            curves.log_roc_curve(*map(list, (found.curve.fpr, found.curve.tpr, found.curve.threshold)))
        if found.classes and found.confusion and len(found.classes) <= 50:
            curves.log_confusion_matrix(list(found.classes), list(map(list, found.confusion)))
        print(found.reason)  # noqa: T201 - the step's log
        return found.passed, found.reason
