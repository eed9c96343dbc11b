"""Traits of the rollout stage's components."""

from tiffin.governance.identity import check_person
from tiffin.stages.rollout.parameters import (
    check_deadline_hours,
    check_leaving,
    check_limits_given,
    check_load_seconds,
    check_look_seconds,
    check_steps,
    check_sticky,
    check_strategy,
    check_version,
)
from tiffin.stages.traits import GATEWAY, SERVING, TRACKED_RUNS, TRACKING_URI, Location, Traits
from tiffin.tracking.names import check_model_name
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "roll_out_model": Traits(
        "model",
        needs=(GATEWAY, TRACKED_RUNS),
        locations={
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "tracking_uri": TRACKING_URI,
        },
        rules={
            "version": check_version,
            "strategy": check_strategy,
            "steps": check_steps,
            "limits": check_limits_given,
            "sticky": check_sticky,
            "deadline_hours": check_deadline_hours,
            "load_seconds": check_load_seconds,
            "look_seconds": check_look_seconds,
            "requested_by": check_person,
            "tracking_uri": check_tracking_uri,
        },
        requester="requested_by",
        rollout="strategy",
        example=("deploy_model", '{before}\n    with dsl.If(deploy.outputs["rolling_out"] == True):\n        {call}'),
        example_values={"rollout": "canary"},
    ),
    "roll_back_model": Traits(
        "model",
        needs=(SERVING, TRACKED_RUNS),
        locations={
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "tracking_uri": TRACKING_URI,
        },
        rules={
            "model_name": check_model_name,
            "version": check_leaving,
            "requested_by": check_person,
            "tracking_uri": check_tracking_uri,
        },
        requester="requested_by",
    ),
}
