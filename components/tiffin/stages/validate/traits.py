"""Traits of the validate stage's components."""

from tiffin.stages.traits import S3, Location, Traits

_TFDV = ("tiffin.stages.validate.tfdv",)
_SCHEMA = Location("upload the schema to gs:// or s3:// and pass its URI")

COMPONENTS = {
    "compute_statistics": Traits("data", imports=_TFDV, needs=(S3,)),
    "infer_schema": Traits("data", imports=_TFDV),
    "validate_examples": Traits("data", imports=_TFDV, needs=(S3,), locations={"expected_schema": _SCHEMA}),
}
