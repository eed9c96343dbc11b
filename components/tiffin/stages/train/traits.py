"""Traits of the train stage's component."""

from tiffin.stages.train.settings import RULES
from tiffin.stages.traits import DATA_ROOT, RESULTS, S3, Traits

COMPONENTS = {
    "train_model": Traits(
        "model", imports=("tensorflow", "keras"), needs=(S3, RESULTS), locations={"data_root": DATA_ROOT}, rules=RULES
    )
}
