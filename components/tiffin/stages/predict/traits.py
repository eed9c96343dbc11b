"""Traits of the predict stage's components."""

from tiffin.stages.predict.parameters import (
    check_deadline,
    check_keep,
    check_name,
    check_outputs,
    check_parts,
    check_version,
)
from tiffin.stages.traits import PREDICTION_LOG, S3, SERVING_ROOT, Location, Traits

_ROOT = Location("pass the gs:// URI of the serving root")
_OUTPUT = Location("pass a gs:// or s3:// URI")

COMPONENTS = {
    "plan_predictions": Traits(
        "model",
        needs=(S3, SERVING_ROOT),
        locations={"serving_root": _ROOT, "output": _OUTPUT},
        rules={"model_name": check_name, "model_version": check_version, "parts": check_parts},
        example_values={"model_name": "model"},
    ),
    "predict_batch": Traits(
        "model",
        imports=("tensorflow",),
        late_imports=("tiffin.stages.predict.prediction",),
        needs=(S3, SERVING_ROOT, PREDICTION_LOG),
        locations={"serving_root": _ROOT, "output": _OUTPUT, "log_root": _OUTPUT},
        rules={
            "model_name": check_name,
            "model_version": check_version,
            "keep": check_keep,
            "outputs": check_outputs,
            "parts": check_parts,
            "deadline_seconds": check_deadline,
        },
        example_values={"model_name": "model"},
    ),
    "finish_predictions": Traits(
        "model",
        needs=(S3,),
        example=("predict_batch", "with dsl.ParallelFor([0]) as part:\n        {before}\n    {call}"),
    ),
}
