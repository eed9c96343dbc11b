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
) -> NamedTuple("Deployed", [("address", str)]):  # type: ignore[valid-type]
    """Deploy a registered model version to TensorFlow Serving and verify it with one prediction.

    The version's files are published before the configuration names them, and the configuration is changed by
    compare-and-swap. If the server does not serve the version within the deadline, both changes are rolled back.

    Args:
        model: Output of train_model.
        examples: Output of ingest_examples. Sample rows are used for warm-up requests and the test prediction.
        model_name: Name of the model in the registry and on the server.
        version: Output of register_model: version number in the registry and on the server, at least 1.
        serving_root: Path or gs:// URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        serving_address: host:port of the model server's gRPC API. Empty for TIFFIN_SERVING_ADDRESS of the step's environment.
        deadline_seconds: Time for the server to load the version and answer, in seconds, above 0.
        why: Reason for the deployment, recorded in the history of the serving root.
        replace_newer: Allow replacing a newer version, for example after a registry reset.

    Returns:
        deployment: deployment.json, the version, the server address and the test prediction.
        address: host:port of the server.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.deploy.deployment import deploy

        result = deploy(
            model.path, examples.path, deployment.path, model_name, version, serving_root=serving_root,
            address=serving_address, deadline_seconds=deadline_seconds, why=why, replace_newer=replace_newer,
        )  # fmt: skip
        print(printable(f"deployed {model_name} version {version} at {result.address}; prediction: {result.answer}"))  # noqa: T201
        return (result.address,)
