"""Traits of the report stage's component."""

from tiffin.stages.traits import S3, TRACKED_RUNS, TRACKING_URI, Traits
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "summarize_run": Traits(
        "model",
        late_imports=("tiffin.report.report", "tiffin.report.card"),
        needs=(S3, TRACKED_RUNS),
        locations={"tracking_uri": TRACKING_URI},
        rules={"tracking_uri": check_tracking_uri},
        example=("ingest_examples", "{call}\n    with dsl.ExitHandler(summarize):\n        {before}"),
    ),
}
