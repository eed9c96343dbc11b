"""Traits of the validate stage's components."""

from tiffin.drift.limits import check_comparison, check_level, check_thresholds
from tiffin.stages.traits import DATA_ROOT, RESULTS, S3, SERVING_ROOT, Location, Traits
from tiffin.stages.validate.parameters import check_drift_gate, check_drift_thresholds
from tiffin.tracking.names import check_optional_name

_TFDV = ("tiffin.validation.tfdv",)
_SCHEMA = Location("upload the schema to gs:// or s3:// and pass its URI")

COMPONENTS = {
    "compute_statistics": Traits("data", imports=_TFDV, needs=(S3, RESULTS), locations={"data_root": DATA_ROOT}),
    "infer_schema": Traits("data", imports=_TFDV),
    "validate_examples": Traits(
        "data",
        imports=_TFDV,
        needs=(S3, RESULTS, SERVING_ROOT),
        locations={
            "expected_schema": _SCHEMA,
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "data_root": DATA_ROOT,
        },
        rules={
            "drift_gate": check_drift_gate,
            "drift_thresholds": check_drift_thresholds,
            "model_name": check_optional_name,
        },
    ),
    "compare_examples": Traits(
        "data",
        late_imports=("tiffin.stages.validate.drift",),
        needs=(S3,),
        takes={"reference": ("statistics",), "baseline_examples": ("examples",)},
        alternatives=("examples", "baseline_examples"),
        locations={"baseline_location": Location("pass a gs:// or s3:// URI")},
        rules={"thresholds": check_thresholds, "level": check_level, "comparison": check_comparison},
    ),
}
