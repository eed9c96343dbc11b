"""KFP declarations of the rollout stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Output

from tiffin.stages.rollout.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["roll_out_model"].image, install_kfp_package=False)
def roll_out_model(
    rollout: Output[Artifact],
    model_name: str,
    version: int,
    strategy: str = "canary",
    steps: list = [],  # type: ignore[type-arg]  # noqa: B006 - KFP takes defaults from the signature
    limits: dict = {},  # type: ignore[type-arg]  # noqa: B006
    sticky: str = "",
    allow_signature_change: bool = False,
    deadline_hours: float = 24.0,
    load_seconds: float = 900.0,
    look_seconds: float = 5.0,
    serving_root: str = "",
    why: str = "",
    requested_by: str = "",
    tracking_uri: str = "",
    run: str = "",
) -> NamedTuple("RolledOut", [("promoted", bool), ("outcome", str), ("reason", str)]):  # type: ignore[valid-type]
    """Roll out a version step by step, compare it with the version in production, and promote or abort it.

    The version has files in the serving root, as deploy_model with a rollout leaves them. The step waits until the rollout is
    over, and succeeds with any outcome; pass promoted to a condition with stop_run. If the step's pod is lost, requests stay
    divided, and a retry goes on with the rollout. tiffin rollout shows, pauses, promotes and aborts it meanwhile.

    Args:
        model_name: Name of the model on the server.
        version: Output of register_model: a version with files in the serving root that is not in production, at least 1.
        strategy: direct: promoted once a candidate server answers with it; shadow: gets copies of all requests; canary: answers
            5, 25, then 50 % of them; ab: answers 50 % for an hour; shadow_canary: shadow, then canary.
        steps: Steps in place of those of the strategy, such as [{"weight": 5, "minutes": 10, "min_requests": 100}], or with
            mirror in place of weight. Percent of the requests; a step lasts at least minutes and min_requests.
        limits: What the version may be worse in: max_error_share, from 0 and below 1, default 0; max_latency_ratio of p50 and
            p99, at least 1, default 1.5; min_agreement, share of the copies with the same answer, and max_distance between the
            predictions of both versions, from 0 to 1, by default only reported.
        sticky: Header; requests with the same value of it go to the same version. Empty to divide them at random.
        allow_signature_change: Allow inputs and outputs that are not those of the version in production.
        deadline_hours: Time for the whole rollout, in hours, above 0. Afterwards it ends as inconclusive.
        load_seconds: Time for servers to start, to load the version and to answer, in seconds, above 0.
        look_seconds: Time between looks at the requests, in seconds, at least 0.1.
        serving_root: Path or gs:// URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        why: Reason, recorded in the rollout and the history of the serving root.
        requested_by: Person who asks for the run; tiffin run, submit and schedule fill it. Empty for the service account of the
            step's pod.
        tracking_uri: MLflow tracking URI, for the aliases, without a password or token. Empty for MLFLOW_TRACKING_URI of the
            step's environment; without either, there are no aliases. If MLflow does not respond, the step prints a warning.
        run: Pipeline run ID. A retry with the same ID goes on with its rollout. Empty to always start one.

    Returns:
        rollout: rollout.json, the outcome, its reason and the requests of both versions.
        promoted: Whether the version is in production.
        outcome: promoted, aborted or inconclusive.
        reason: The outcome in one sentence.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.rollout.rolling_out import roll_out

        result = roll_out(
            rollout.path, model_name, version, strategy=strategy, steps=steps, limits=limits, sticky=sticky,
            allow_signature_change=allow_signature_change, deadline_hours=deadline_hours, load_seconds=load_seconds,
            look_seconds=look_seconds, serving_root=serving_root, why=why, requested_by=requested_by,
            tracking_uri=tracking_uri, run=run,
        )  # fmt: skip
        return result.is_promoted, result.outcome, result.sentence


@dsl.component(base_image=COMPONENTS["roll_back_model"].image, install_kfp_package=False)
def roll_back_model(
    rollback: Output[Artifact],
    model_name: str,
    version: int = 0,
    why: str = "rolled back by a pipeline",
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 120.0,
    requested_by: str = "",
    tracking_uri: str = "",
    run: str = "",
) -> int:
    """Return to the version that was in production before, as tiffin models rollback does.

    The version that it leaves stays loaded as MODEL@VERSION. The change is in the history of the serving root.

    Args:
        model_name: Name of the model on the server.
        version: Version that is left. The step fails if another one is in production. 0 for the one in production.
        why: Reason, recorded in the history.
        serving_root: Path or gs:// URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        serving_address: host:port of the server that should answer with the version before. Empty for TIFFIN_SERVING_ADDRESS of
            the step's environment; without either, none is asked.
        deadline_seconds: Time for the server to answer, in seconds. If it does not, the step succeeds and tells it.
        requested_by: Person who asks for the run; tiffin run, submit and schedule fill it. Empty for the service account of the
            step's pod.
        tracking_uri: MLflow tracking URI, for the aliases, without a password or token. Empty for MLFLOW_TRACKING_URI of the
            step's environment; without either, there are no aliases.
        run: Pipeline run ID. A retry with the same ID finds its rollback done.

    Returns:
        rollback: rollback.json, the versions, the reason, and who asked for it.
        Output: Version that is in production again.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.rollout.rolling_back import roll_back_to_previous

        found = roll_back_to_previous(
            rollback.path, model_name, version, why=why, serving_root=serving_root, serving_address=serving_address,
            deadline_seconds=deadline_seconds, requested_by=requested_by, tracking_uri=tracking_uri, run=run,
        )  # fmt: skip
        return found.version
