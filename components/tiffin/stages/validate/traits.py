"""Traits of the validate stage's components."""

from tiffin.drift.limits import check_comparison, check_level, check_thresholds
from tiffin.stages.traits import DATA_ROOT, RESULTS, S3, Location, Traits

_TFDV = ("tiffin.validation.tfdv",)
_SCHEMA = Location("upload the schema to gs:// or s3:// and pass its URI")

COMPONENTS = {
    "compute_statistics": Traits("data", imports=_TFDV, needs=(S3, RESULTS), locations={"data_root": DATA_ROOT}),
    "infer_schema": Traits("data", imports=_TFDV),
    "validate_examples": Traits(
        "data",
        imports=_TFDV,
        needs=(S3, RESULTS),
        locations={"expected_schema": _SCHEMA, "data_root": DATA_ROOT},
    ),
    "compare_examples": Traits(
        "data",
        late_imports=("tiffin.stages.validate.drift",),
        needs=(S3,),
        locations={"baseline_location": Location("pass a gs:// or s3:// URI")},
        rules={"thresholds": check_thresholds, "level": check_level, "comparison": check_comparison},
    ),
}
