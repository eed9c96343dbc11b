"""Traits of the reference stage's component."""

from tiffin.stages.reference.parameters import check_version
from tiffin.stages.traits import RECORDED, S3, SERVING_ROOT, TRACKING, TRACKING_URI, Location, Traits
from tiffin.tracking.names import check_model_name
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "find_reference": Traits(
        "model",
        late_imports=("tiffin.tracking.client", "mlflow.store.tracking.sqlalchemy_store"),
        needs=(TRACKING, SERVING_ROOT, RECORDED, S3),
        locations={
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "state": Location("pass a gs:// or s3:// URI"),
            "tracking_uri": TRACKING_URI,
        },
        rules={"model_name": check_model_name, "version": check_version, "tracking_uri": check_tracking_uri},
    ),
}
