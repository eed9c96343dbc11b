"""Traits of the register stage's component."""

from tiffin.stages.register.parameters import check_model_name, check_tracking_uri, tracking_path
from tiffin.stages.traits import TRACKING, Location, Traits

COMPONENTS = {
    "register_model": Traits(
        "model",
        late_imports=("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.tensorflow"),
        needs=(TRACKING,),
        locations={
            "tracking_uri": Location("pass the address of an MLflow server, such as http://mlflow:5000", tracking_path)
        },
        rules={"model_name": check_model_name, "tracking_uri": check_tracking_uri},
    )
}
