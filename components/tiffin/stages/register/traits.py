"""Traits of the register stage's components."""

from tiffin.stages.register.parameters import check_model_name, check_optional_name, check_tracking_uri, tracking_path
from tiffin.stages.traits import TRACKING, Location, Traits

_LOCATIONS = {
    "tracking_uri": Location("pass the address of an MLflow server, such as http://mlflow:5000", tracking_path)
}

COMPONENTS = {
    "register_model": Traits(
        "model",
        late_imports=("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.tensorflow", "tiffin.report.report"),
        needs=(TRACKING,),
        locations=_LOCATIONS,
        rules={"model_name": check_model_name, "tracking_uri": check_tracking_uri},
    ),
    "stop_run": Traits(
        "model",
        needs=(TRACKING,),
        locations=_LOCATIONS,
        rules={"model_name": check_optional_name, "tracking_uri": check_tracking_uri},
        gate="gate",
        example=("validate_examples", 'with dsl.If(validate.outputs["valid"] == False):\n        {call}'),
    ),
}
