"""Traits of the notify stage's component."""

from tiffin.notifications.addresses import check_notify_to
from tiffin.notifications.events import check_event, check_notify_on
from tiffin.stages.traits import NOTIFICATIONS, S3, Traits

COMPONENTS = {
    "notify_people": Traits(
        "model",
        needs=(S3, NOTIFICATIONS),
        rules={"event": check_event, "notify_on": check_notify_on, "notify_to": check_notify_to},
        example=("monitor_model", 'with dsl.If(monitor.outputs["healthy"] == False):\n        {call}'),
    ),
}
