"""The pipeline that trains a model again: from the decision whether it should be to a rollout of the new version."""

from typing import Literal

from kfp import dsl

from tiffin import (
    collect_labelled,
    find_reference,
    plan_retraining,
    prepare_retraining,
    roll_back_model,
    summarize_run,
)
from tiffin.authoring.declaration import pipeline
from tiffin.authoring.settings import set_up
from tiffin.pipelines.training import training as train_and_deploy
from tiffin.retraining.settings import SETTINGS

_DEFAULTS = {name: train_and_deploy.component_spec.inputs[name].default for name in SETTINGS}


@pipeline(name="retraining", display_name="Train a model again")
def retraining(
    *,
    model_name: str = "model",
    training: dict,  # type: ignore[type-arg]
    trigger: Literal["monitoring", "data", "schedule", "hand"] = "hand",
    verdict: str,
    cause: str,
    policy: Literal["none", "ask", "retrain"] = "retrain",
    spans: int,
    cool_down_hours: float,
    max_per_week: int,
    roll_back_hours: float,
    labelled_window: str,
    labels: str,
    label_columns: dict,  # type: ignore[type-arg]
    corrections: Literal["last", "first", "refuse"],
    tolerance_hours: float,
    clock_skew_seconds: float,
    log_root: str,
    state: str,
    serving_root: str,
    tracking_uri: str,
    approval: Literal["none", "required", "four_eyes"],
    requested_by: str,
    rollout: Literal["direct", "shadow", "canary", "ab", "shadow_canary"] = "canary",
    rollout_steps: list,  # type: ignore[type-arg]
    rollout_limits: dict,  # type: ignore[type-arg]
    rollout_hours: float,
    sticky: str,
    notify_on: list,  # type: ignore[type-arg]
    notify_to: list,  # type: ignore[type-arg]
) -> None:
    """Train a model again on the newest data, if the policy allows it, compare it with production, and roll it out.

    Args:
        model_name: Name of the model in the registry and on the server. A version of it is in production.
        state: Folder or bucket that keeps the retrainings, as for the pipeline monitoring. Empty for the folder of the
            prediction log.
        serving_root: Path or URI that the model servers load from. Empty for TIFFIN_SERVING_ROOT of the steps' environment.
    """
    # Other defaults and descriptions are taken from the components that the parameters are passed to. No step is cached: what
    # the decision is made from changes.
    end = summarize_run(
        pipeline="retraining",
        tracking_uri=tracking_uri,
        notify_on=notify_on,
        notify_to=notify_to,
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    set_up(end, "Summarize the retraining").set_caching_options(False)
    with dsl.ExitHandler(end, name="retraining"):
        found = find_reference(
            model_name=model_name, version=0, serving_root=serving_root, tracking_uri=tracking_uri, state=state
        )
        set_up(found, "Find the reference of the version in production", retries=3).set_caching_options(False)
        planned = plan_retraining(
            reference=found.outputs["reference"],
            training=training,
            trigger=trigger,
            verdict=verdict,
            cause=cause,
            policy=policy,
            spans=spans,
            cool_down_hours=cool_down_hours,
            max_per_week=max_per_week,
            roll_back_hours=roll_back_hours,
            labelled_window=labelled_window,
            labels=labels,
            log_root=log_root,
            state=state,
            serving_root=serving_root,
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
        set_up(planned, "Decide", retries=3).set_caching_options(False)
        with dsl.If(planned.outputs["roll_back"] == True, name="roll back"):  # noqa: E712 - kfp builds a condition
            rolled_back = roll_back_model(
                model_name=model_name,
                version=found.outputs["version"],
                why=f"monitoring found {cause}",
                serving_root=serving_root,
                requested_by=requested_by,
                tracking_uri=tracking_uri,
                run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            )
            set_up(rolled_back, "Roll back", retries=3).set_caching_options(False)
        with dsl.If(planned.outputs["start"] == True, name="start"):  # noqa: E712
            collected = collect_labelled(
                reference=found.outputs["reference"],
                window=labelled_window,
                labels=labels,
                label_columns=label_columns,
                corrections=corrections,
                tolerance_hours=tolerance_hours,
                clock_skew_seconds=clock_skew_seconds,
                log_root=log_root,
            )
            set_up(
                collected, "Collect labelled answers", size="medium", retries=3, deadline_hours=6
            ).set_caching_options(False)
            prepared = prepare_retraining(
                retraining=planned.outputs["retraining"], defaults=_DEFAULTS, labelled=collected.outputs["labelled"]
            )
            set_up(prepared, "Prepare", retries=3).set_caching_options(False)
            trained = train_and_deploy(
                **{name: prepared.outputs[name] for name in SETTINGS},
                model_name=model_name,
                serving_root=serving_root,
                tracking_uri=tracking_uri,
                approval=approval,
                requested_by=requested_by,
                rollout=rollout,
                rollout_steps=rollout_steps,
                rollout_limits=rollout_limits,
                rollout_hours=rollout_hours,
                sticky=sticky,
                # The exit step of this pipeline sends what happened in it.
                notify_on=["none"],
            )
            trained.set_display_name("Train, check and deploy")
