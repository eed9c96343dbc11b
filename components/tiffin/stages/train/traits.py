"""Traits of the train stage's component."""

from tiffin.stages.train.settings import RULES
from tiffin.stages.traits import DATA_ROOT, RESULTS, S3, Location, Traits

_CODE = Location("upload the file to gs:// or s3:// and pass its URI")

COMPONENTS = {
    "train_model": Traits(
        "model",
        imports=("tensorflow", "keras"),
        needs=(S3, RESULTS),
        locations={"model_code": _CODE, "data_root": DATA_ROOT},
        rules=RULES,
    )
}
