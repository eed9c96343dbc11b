"""Traits of the register stage's component."""

from tiffin.stages.register.parameters import check_model_name, check_tracking_uri
from tiffin.stages.traits import TRACKING, Traits

COMPONENTS = {
    "register_model": Traits(
        "model",
        late_imports=("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.tensorflow"),
        needs=(TRACKING,),
        rules={"model_name": check_model_name, "tracking_uri": check_tracking_uri},
    )
}
