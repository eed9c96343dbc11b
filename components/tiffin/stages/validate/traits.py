"""Traits of the validate stage's components."""

from tiffin.stages.traits import S3, Traits

_TFDV = ("tiffin.stages.validate.tfdv",)

COMPONENTS = {
    "compute_statistics": Traits("data", imports=_TFDV, needs=(S3,)),
    "infer_schema": Traits("data", imports=_TFDV),
    "validate_examples": Traits("data", imports=_TFDV, needs=(S3,)),
}
