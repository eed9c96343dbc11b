"""Traits of the ingest stage's components."""

from tiffin.stages.ingest.parameters import RULES
from tiffin.stages.traits import S3, Location, Traits, path_of

_DATA = Location(
    "upload the data to gs:// or s3:// and pass its URI",
    lambda data: "" if data.startswith("sample:") else path_of(data),
)
_ROOT = Location("pass a gs:// or s3:// URI")

COMPONENTS = {
    "ingest_examples": Traits(
        "data",
        needs=(S3,),
        locations={"data": _DATA, "data_root": _ROOT},
        rules=RULES,
    )
}
