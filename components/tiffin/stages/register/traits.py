"""Traits of the register stage's components."""

from tiffin.stages.traits import TRACKING, TRACKING_URI, Traits
from tiffin.tracking.names import check_model_name, check_optional_name
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "register_model": Traits(
        "model",
        late_imports=("tiffin.tracking.client", "mlflow.store.tracking.sqlalchemy_store", "mlflow.pyfunc"),
        needs=(TRACKING,),
        locations={"tracking_uri": TRACKING_URI},
        rules={"model_name": check_model_name, "tracking_uri": check_tracking_uri},
    ),
    "stop_run": Traits(
        "model",
        needs=(TRACKING,),
        locations={"tracking_uri": TRACKING_URI},
        rules={"model_name": check_optional_name, "tracking_uri": check_tracking_uri},
        gate="gate",
        example=("validate_examples", 'with dsl.If(validate.outputs["valid"] == False):\n        {call}'),
    ),
}
