"""Traits of the evaluate stage's component."""

from tiffin.stages.evaluate.document import check_gate, check_thresholds
from tiffin.stages.evaluate.parameters import check_min_rows, check_sensitive, check_slices
from tiffin.stages.traits import S3, SERVING_ROOT, Location, Traits

COMPONENTS = {
    "evaluate_model": Traits(
        "model",
        imports=("tensorflow", "keras"),
        late_imports=("tiffin.stages.evaluate.evaluation", "grpc"),
        needs=(S3, SERVING_ROOT),
        locations={"serving_root": Location("pass the gs:// URI of the serving root")},
        rules={
            "thresholds": check_thresholds,
            "gate": check_gate,
            "slices": check_slices,
            "sensitive": check_sensitive,
            "min_slice_rows": check_min_rows,
        },
    )
}
