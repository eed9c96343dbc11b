"""KFP declaration of the deploy stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from tiffin.stages.deploy.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["deploy_model"].image, install_kfp_package=False)
def deploy_model(
    model: Input[Model],
    examples: Input[Dataset],
    deployment: Output[Artifact],
    model_name: str,
    version: int,
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 120.0,
    why: str = "",
    replace_newer: bool = False,
) -> NamedTuple("Deployed", address=str):  # type: ignore[valid-type]
    """Put a registered model version into service and wait until TensorFlow Serving answers from it.

    The version's files are complete before the configuration names them; the configuration changes by compare-and-swap;
    if the server does not serve the version in time, both go back to what they were.

    Args:
        model: Output of train_model.
        examples: Output of ingest_examples: one of its rows is asked about.
        model_name: Name in the registry and on the server.
        version: Output of register_model: number in the registry and on the server.
        serving_root: Path or URI that the model servers read. Empty for TIFFIN_SERVING_ROOT in the step's environment.
        serving_address: host:port of the model server's gRPC. Empty for TIFFIN_SERVING_ADDRESS in the step's environment.
        deadline_seconds: How long the server may take to serve the version.
        why: Reason for the history.
        replace_newer: Whether the version may take the place of a newer one, to go back on purpose.

    Returns:
        deployment: deployment.json, what serves where, and the server's first answer.
        address: host:port of the server that serves it.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.deploy.deployment import deploy

        result = deploy(
            model.path, examples.path, deployment.path, model_name, version, serving_root=serving_root,
            address=serving_address, deadline_seconds=deadline_seconds, why=why, replace_newer=replace_newer,
        )  # fmt: skip
        print(f"{model_name} version {version} answers at {result.address}: {result.answer}")  # noqa: T201
        return (result.address,)
