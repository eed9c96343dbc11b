"""Traits of the ingest stage's components."""

from tiffin.stages.ingest.parameters import RULES
from tiffin.stages.traits import DATA_ROOT, S3, Location, Traits, path_of


def _path_of(data: str) -> str:
    """Return the first path on the step's disk among the locations, one per line; empty without one."""
    paths = (path_of(location) for location in data.splitlines() if not location.startswith("sample:"))
    return next(filter(None, paths), "")


_DATA = Location("upload the data to gs:// or s3:// and pass its URI", _path_of)

COMPONENTS = {
    "ingest_examples": Traits(
        "data",
        needs=(S3,),
        locations={"data": _DATA, "data_root": DATA_ROOT},
        rules=RULES,
    )
}
