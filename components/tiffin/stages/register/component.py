"""KFP declaration of the register stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Input, Model, Output

from tiffin.stages.register.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["register_model"].image, install_kfp_package=False)
def register_model(
    model: Input[Model],
    evaluation: Input[Artifact],
    registration: Output[Artifact],
    model_name: str,
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
) -> NamedTuple("Registered", [("version", int), ("run_id", str)]):  # type: ignore[valid-type]
    """Log a model that passed its gate to MLflow and register it as a new version in the model registry.

    The version is tagged with the data version, the schema digest and the Tiffin version. A retry does not create a
    second version.

    Args:
        model: Output of train_model.
        evaluation: Output of evaluate_model. The step fails if the model did not pass.
        model_name: Name of the registered model: up to 128 letters, digits, '_', '-' and '.'; starts with a letter or digit.
        tracking_uri: MLflow tracking URI, without a password or token. Empty for MLFLOW_TRACKING_URI of the step's environment.
        experiment: MLflow experiment, created if it does not exist. Empty for that of MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID
            in the step's environment, else for the model name.
        run: Pipeline run ID. A retry with the same ID reuses the registered version. Empty to always create a version.

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
            model.path, evaluation.path, registration.path, model_name,
            tracking_uri=tracking_uri, experiment=experiment, run=run,
        )  # fmt: skip
        print(printable(f"registered {result.name} version {result.version}"))  # noqa: T201 - the step's log
        return result.version, result.run_id
