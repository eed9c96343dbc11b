"""Traits of the ingest stage's components."""

from tiffin.stages.ingest.parameters import RULES
from tiffin.stages.traits import DATA_ROOT, S3, Location, Traits, path_of

_DATA = Location(
    "upload the data to gs:// or s3:// and pass its URI",
    lambda data: "" if data.startswith("sample:") else path_of(data),
)

COMPONENTS = {
    "ingest_examples": Traits(
        "data",
        needs=(S3,),
        locations={"data": _DATA, "data_root": DATA_ROOT},
        rules=RULES,
    )
}
