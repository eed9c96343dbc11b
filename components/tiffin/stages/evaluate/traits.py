"""Traits of the evaluate stage's component."""

from tiffin.stages.evaluate.gate import check_thresholds
from tiffin.stages.traits import S3, Traits

COMPONENTS = {
    "evaluate_model": Traits(
        "model",
        imports=("tensorflow", "keras"),
        late_imports=("scipy.special",),
        needs=(S3,),
        rules={"thresholds": check_thresholds},
    )
}
