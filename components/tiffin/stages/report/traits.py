"""Traits of the report stage's component."""

from tiffin.notifications.addresses import check_notify_to
from tiffin.notifications.events import check_notify_on
from tiffin.stages.traits import NOTIFICATIONS, S3, TRACKED_RUNS, TRACKING_URI, Traits
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "summarize_run": Traits(
        "model",
        late_imports=("tiffin.report.report", "tiffin.report.card"),
        needs=(S3, TRACKED_RUNS, NOTIFICATIONS),
        locations={"tracking_uri": TRACKING_URI},
        rules={"tracking_uri": check_tracking_uri, "notify_on": check_notify_on, "notify_to": check_notify_to},
        example=("ingest_examples", "{call}\n    with dsl.ExitHandler(summarize):\n        {before}"),
    ),
}
