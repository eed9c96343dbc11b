"""KFP declarations of the register stage: register a model, or stop a run that a gate did not pass."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from tiffin.stages.register.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["register_model"].image, install_kfp_package=False)
def register_model(
    model: Input[Model],
    evaluation: Input[Artifact],
    registration: Output[Artifact],
    model_name: str,
    examples: Input[Dataset] = None,
    statistics: Input[Artifact] = None,
    schema: Input[Artifact] = None,
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
    run_name: str = "",
) -> NamedTuple("Registered", [("version", int), ("run_id", str)]):  # type: ignore[valid-type]
    """Log a model that passed its gate to MLflow and register it as a new version in the model registry.

    The version is an MLflow model: mlflow.pyfunc.load_model("models:/<name>/<version>").predict takes rows of the source, as
    pandas.read_csv reads them. Its SavedModel is the one that TensorFlow Serving loads. The MLflow run has the parameters,
    metrics, losses and data sets, the files of the evaluation, and in its folder reference what monitoring compares with;
    summarize_run adds the report and the model card. The version is tagged with the data version, the schema digest and the
    Tiffin version. A retry does not create a second version.

    Args:
        model: Output of train_model.
        evaluation: Output of evaluate_model. The step fails if the model did not pass.
        examples: Output of ingest_examples, for the data sets, the parameters of ingest and the input example. Optional.
        statistics: Output of compute_statistics or validate_examples, which monitoring compares the data with. Optional.
        schema: Output of infer_schema or validate_examples that the model was trained with, for monitoring. Optional.
        model_name: Name of the registered model: up to 128 letters, digits, '_', '-' and '.'; starts with a letter or digit.
        tracking_uri: MLflow tracking URI, without a password or token. Empty for MLFLOW_TRACKING_URI of the step's environment.
        experiment: MLflow experiment, created if it does not exist. Empty for that of MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID
            in the step's environment, else for the model name.
        run: Pipeline run ID. A retry with the same ID reuses the registered version. Empty to always create a version.
        run_name: Name of the MLflow run. Empty for a name that MLflow makes up.

    Returns:
        registration: registration.json, the model name, the version and its tags.
        version: Number of the registered version.
        run_id: ID of the MLflow run.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.register.registry import register

        result = register(
            model.path, evaluation.path, registration.path, model_name, examples=examples.path if examples else "",
            statistics=statistics.path if statistics else "", schema=schema.path if schema else "",
            tracking_uri=tracking_uri, experiment=experiment, run=run, run_name=run_name,
        )  # fmt: skip
        print(printable(f"registered {result.name} version {result.version}"))  # noqa: T201 - the step's log
        return result.version, result.run_id


@dsl.component(base_image=COMPONENTS["stop_run"].image, install_kfp_package=False)
def stop_run(
    gate: str,
    reason: str,
    examples: Input[Dataset] = None,
    model: Input[Model] = None,
    evaluation: Input[Artifact] = None,
    model_name: str = "",
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
    run_name: str = "",
) -> None:
    """Fail the run because a gate did not pass; the reason is in this step's parameters and log.

    The step of the gate itself succeeds, and its reports are kept. With a model name, the run is logged to MLflow, with the
    status FAILED and the tag tiffin.stopped_by, and without a model; summarize_run adds the report. If MLflow does not
    respond, the step prints a warning and fails with the reason of the gate all the same.

    Args:
        gate: Gate that did not pass: validation, evaluation or rollout.
        reason: Output reason of validate_examples, evaluate_model or roll_out_model.
        examples: Output of ingest_examples, for the data sets and the parameters of ingest. Optional.
        model: Output of train_model, for the parameters and the losses of the training. Optional.
        evaluation: Output of evaluate_model, for the metrics and the verdict. Optional.
        model_name: Name of the registered model, which names the MLflow experiment. Empty to log nothing.
        tracking_uri: MLflow tracking URI, without a password or token. Empty for MLFLOW_TRACKING_URI of the step's environment;
            without either, nothing is logged.
        experiment: MLflow experiment, created if it does not exist. Empty for that of MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID
            in the step's environment, else for the model name.
        run: Pipeline run ID. A retry with the same ID reuses the MLflow run. Empty to always create one.
        run_name: Name of the MLflow run. Empty for a name that MLflow makes up.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.register.stop import stop

        stop(
            gate, reason, model_name, examples=examples.path if examples else "", model=model.path if model else "",
            evaluation=evaluation.path if evaluation else "", tracking_uri=tracking_uri, experiment=experiment, run=run,
            run_name=run_name,
        )  # fmt: skip
