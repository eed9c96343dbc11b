"""Traits of the deploy stage's component."""

from tiffin.stages.deploy.parameters import check_deadline, check_version
from tiffin.stages.traits import SERVING, Location, Traits

COMPONENTS = {
    "deploy_model": Traits(
        "model",
        needs=(SERVING,),
        locations={"serving_root": Location("pass the gs:// URI of the serving root")},
        rules={"version": check_version, "deadline_seconds": check_deadline},
    )
}
