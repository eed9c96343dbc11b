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
    evaluation: Input[Artifact] = None,
    registration: Input[Artifact] = None,
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 120.0,
    why: str = "",
    replace_newer: bool = False,
    approval: str = "none",
    requested_by: str = "",
    rollout: str = "direct",
    keep_previous: int = 1,
    watch: str = "",
    max_error_share: float = 0.05,
    tracking_uri: str = "",
    run: str = "",
) -> NamedTuple("Deployed", [("address", str), ("waiting", bool), ("rolling_out", bool)]):  # type: ignore[valid-type]
    """Deploy a registered model version to TensorFlow Serving and verify it with one prediction.

    The version's files are published before the configuration names them, and the configuration is changed by
    compare-and-swap, with a record in the history. If the server does not serve the version within the deadline, both changes
    are rolled back. The aliases champion, previous and candidate in MLflow follow the history. A version that needs an
    approval waits as the candidate; tiffin models approve puts it into service.

    Args:
        model: Output of train_model.
        examples: Output of ingest_examples. Sample rows are used for warm-up requests and the test prediction.
        model_name: Name of the model in the registry and on the server.
        version: Output of register_model: version number in the registry and on the server, at least 1.
        evaluation: Output of evaluate_model, for the verdict and the metrics in the history. Optional.
        registration: Output of register_model, for the MLflow run in the history. Optional.
        serving_root: Path or gs:// URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        serving_address: host:port of the model server's gRPC API. Empty for TIFFIN_SERVING_ADDRESS of the step's environment.
        deadline_seconds: Time for the server to load the version and answer, in seconds, above 0.
        why: Reason for the deployment, recorded in the history of the serving root.
        replace_newer: Allow replacing a newer version, for example after a registry reset.
        approval: Approval that the version needs before it is served: none, required (of one person), or four_eyes (of a person
            other than the one in requested_by, or of two persons if it is empty).
        requested_by: Person who asks for the run, recorded in the history; tiffin run, submit and schedule fill it. Empty for
            the service account of the step's pod.
        rollout: direct, or the strategy of the rollout that roll_out_model then makes: shadow, canary, ab or shadow_canary. The
            version is then not put into service here, unless there is none to compare it with.
        keep_previous: Number of earlier versions that the servers keep loaded, so that a rollback loads nothing; from 0 to 10.
        watch: Time in s, m or h, such as 2m, for which the requests to the servers are watched after the change; 0 for no watch.
            If too many fail, the version before is served again and the step fails. Empty for TIFFIN_WATCH of the step's
            environment, else 2m; tiffin run sets it to 0.
        max_error_share: Share of the requests, above 0 and below 1, that may fail during the watch on top of the share before.
        tracking_uri: MLflow tracking URI, for the aliases, without a password or token. Empty for MLFLOW_TRACKING_URI of the
            step's environment; without either, there are no aliases. If MLflow does not respond, the step prints a warning.
        run: Pipeline run ID, recorded in the history.

    Returns:
        deployment: deployment.json, the version, the server address and the test prediction.
        address: host:port of the server; empty if the version waits for approval or for its rollout.
        waiting: Whether the version waits for approval.
        rolling_out: Whether the version is ready to be rolled out by roll_out_model.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.deploy.deployment import deploy

        result = deploy(
            model.path, examples.path, deployment.path, model_name, version,
            evaluation=evaluation.path if evaluation else "", registration=registration.path if registration else "",
            serving_root=serving_root, address=serving_address, deadline_seconds=deadline_seconds, why=why,
            replace_newer=replace_newer, approval=approval, requested_by=requested_by, rollout=rollout,
            keep_previous=keep_previous, tracking_uri=tracking_uri, run=run,
        )  # fmt: skip
        if result.waits_for:
            done = f"{model_name} version {version} waits for {result.waits_for}"
        elif result.rollout:
            done = f"{model_name} version {version} is ready for its rollout ({result.rollout})"
        else:
            done = f"deployed {model_name} version {version} at {result.address}; prediction: {result.answer}"
        print(printable(done))  # noqa: T201 - the step's log
        return result.address, bool(result.waits_for), bool(result.rollout)
