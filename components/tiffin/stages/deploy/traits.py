"""Traits of the deploy stage's component."""

from tiffin.governance.identity import check_person
from tiffin.serving.watch import check_max_error_share
from tiffin.stages.deploy.parameters import (
    check_approval,
    check_deadline,
    check_keep_previous,
    check_strategy,
    check_version,
    check_watch,
)
from tiffin.stages.traits import SERVING, TRACKED_RUNS, TRACKING_URI, Location, Traits
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "deploy_model": Traits(
        "model",
        needs=(SERVING, TRACKED_RUNS),
        locations={
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "tracking_uri": TRACKING_URI,
        },
        rules={
            "version": check_version,
            "deadline_seconds": check_deadline,
            "approval": check_approval,
            "rollout": check_strategy,
            "keep_previous": check_keep_previous,
            "watch": check_watch,
            "max_error_share": check_max_error_share,
            "requested_by": check_person,
            "tracking_uri": check_tracking_uri,
        },
        approval="approval",
        requester="requested_by",
    )
}
