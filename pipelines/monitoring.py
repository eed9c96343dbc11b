"""The pipeline that monitors a model in production: from its prediction log and labels to a verdict."""

from typing import Literal

from kfp import dsl

from tiffin import find_reference, monitor_model, notify_people, summarize_run
from tiffin.authoring.declaration import pipeline
from tiffin.authoring.settings import set_up
from tiffin.pipelines.retraining import retraining


@pipeline(name="monitoring", display_name="Monitor a model in production")
def monitoring(
    *,
    model_name: str = "model",
    version: int,
    window: str,
    log_root: str,
    labels: str,
    label_columns: dict,  # type: ignore[type-arg]
    corrections: Literal["last", "first", "refuse"],
    tolerance_hours: float,
    clock_skew_seconds: float,
    performance_window: str,
    slices: list,  # type: ignore[type-arg]
    thresholds: dict,  # type: ignore[type-arg]
    level: float,
    max_error_share: float,
    max_p99_seconds: float,
    evidently: bool,
    policy: Literal["none", "ask", "retrain"] = "ask",
    training: dict,  # type: ignore[type-arg]
    labelled_window: str,
    spans: int,
    cool_down_hours: float,
    max_per_week: int,
    roll_back_hours: float,
    approval: Literal["none", "required", "four_eyes"],
    requested_by: str,
    rollout: Literal["direct", "shadow", "canary", "ab", "shadow_canary"] = "canary",
    rollout_steps: list,  # type: ignore[type-arg]
    rollout_limits: dict,  # type: ignore[type-arg]
    rollout_hours: float,
    sticky: str,
    state: str,
    serving_root: str,
    tracking_uri: str,
    notify_on: list,  # type: ignore[type-arg]
    notify_to: list,  # type: ignore[type-arg]
) -> None:
    """Compare the requests of a model with its training, give a verdict, and train it again if the policy allows that.

    Args:
        model_name: Name of the model in the registry and in the prediction log.
        version: Version of the model. 0 for the one in production.
        state: Folder or bucket that keeps what was counted, and a copy of what the model is compared with for the time when
            MLflow does not respond. Empty for the folder of the prediction log.
        policy: Rule for a model that is degraded or drifted: none, ask a person, or retrain.
        serving_root: Path or URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the steps' environment.
    """
    # Other defaults and descriptions are taken from the components that the parameters are passed to. A verdict does not fail
    # the run: it succeeds, and its summary has the verdict. No step is cached: the log changes.
    end = summarize_run(
        pipeline="monitoring",
        tracking_uri=tracking_uri,
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        notify_on=notify_on,
        notify_to=notify_to,
    )
    set_up(end, "Summarize").set_caching_options(False)
    with dsl.ExitHandler(end, name="run"):
        found = find_reference(
            model_name=model_name,
            version=version,
            serving_root=serving_root,
            tracking_uri=tracking_uri,
            state=state,
        )
        set_up(found, "Find the reference", retries=3).set_caching_options(False)
        monitored = monitor_model(
            reference=found.outputs["reference"],
            log_root=log_root,
            window=window,
            state=state,
            thresholds=thresholds,
            level=level,
            max_error_share=max_error_share,
            max_p99_seconds=max_p99_seconds,
            labels=labels,
            label_columns=label_columns,
            corrections=corrections,
            tolerance_hours=tolerance_hours,
            clock_skew_seconds=clock_skew_seconds,
            slices=slices,
            performance_window=performance_window,
            evidently=evidently,
        )
        set_up(monitored, "Monitor", size="medium", retries=3, deadline_hours=6).set_caching_options(False)
        with dsl.If(monitored.outputs["healthy"] == False, name="not healthy"):  # noqa: E712 - kfp builds a condition
            again = retraining(
                model_name=model_name,
                training=training,
                trigger="monitoring",
                verdict=monitored.outputs["verdict"],
                cause=monitored.outputs["cause"],
                policy=policy,
                spans=spans,
                cool_down_hours=cool_down_hours,
                max_per_week=max_per_week,
                roll_back_hours=roll_back_hours,
                labelled_window=labelled_window,
                labels=labels,
                label_columns=label_columns,
                corrections=corrections,
                tolerance_hours=tolerance_hours,
                clock_skew_seconds=clock_skew_seconds,
                log_root=log_root,
                state=state,
                serving_root=serving_root,
                tracking_uri=tracking_uri,
                approval=approval,
                requested_by=requested_by,
                rollout=rollout,
                rollout_steps=rollout_steps,
                rollout_limits=rollout_limits,
                rollout_hours=rollout_hours,
                sticky=sticky,
                notify_on=["none"],
            )
            again.set_display_name("Train again")
            # At once: the steps that follow a verdict may take hours. The exit step does not send it again.
            told = notify_people(
                pipeline="monitoring",
                monitoring=monitored.outputs["monitoring"],
                notify_on=notify_on,
                notify_to=notify_to,
                run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            )
            set_up(told, "Notify").set_caching_options(False)
