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
) -> NamedTuple("Registered", version=int, run_id=str):  # type: ignore[valid-type]
    """Record a model that passed its gate in MLflow and register a version of it.

    The version carries the data version, the schema digest and the version of the spec. A retry makes no second version.

    Args:
        model: Output of train_model.
        evaluation: Output of evaluate_model. A model that did not pass is refused.
        model_name: Name in the registry: letters, digits, '_', '-' and '.'.
        tracking_uri: MLflow's address, without a password. Empty for MLFLOW_TRACKING_URI in the step's environment.
        experiment: MLflow's experiment. Empty for the model's name.
        run: Identifier of the pipeline run, by which a retry finds its version. Empty to always make a new one.

    Returns:
        registration: registration.json, name, version and what the version carries.
        version: Number of the registered version.
        run_id: Of the MLflow run.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.register.registry import register

        result = register(
            model.path, evaluation.path, registration.path, model_name,
            tracking_uri=tracking_uri, experiment=experiment, run=run,
        )  # fmt: skip
        print(f"registered {result.name} version {result.version}")  # noqa: T201 - the step's log
        return result.version, result.run_id
