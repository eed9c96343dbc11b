"""What a step asks of a cluster beyond its inputs: a title, a size, retries, a deadline, settings and credentials.

A run on one machine passes over all of it but the retries, between which it does not wait.
"""

from collections.abc import Iterable
from typing import Any

from kfp import kubernetes

from tiffin.sizes import set_size

# A config map and a secret of this name in the namespace of the run. Both are optional, and so is each key, so that a
# spec runs where a parameter or the service account's own identity says the same.
SETTINGS = "tiffin"
CREDENTIALS = "tiffin-credentials"


def set_up(
    task: Any,
    title: str,
    *,
    size: str = "small",
    retries: int = 0,
    deadline_hours: float = 1,
    settings: Iterable[str] = (),
    credentials: Iterable[str] = (),
) -> Any:
    """Say what a task asks of a cluster, and return the task.

    Args:
        task: What calling a component returned.
        title: As the dashboard shows it.
        size: `small`, `medium`, `large`, or explicit.
        retries: How often it runs again after a failure; the first time after half a minute, then after twice as long
            each time. 0 for a gate, whose failure is its result.
        deadline_hours: How long its pod may run.
        settings: Environment variables taken from the config map `tiffin`.
        credentials: Environment variables taken from the secret `tiffin-credentials`.
    """
    set_size(task, size)
    task.set_display_name(title)
    if retries:
        task.set_retry(retries, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration="600s")
    kubernetes.set_timeout(task, round(deadline_hours * 3600))
    if settings:
        kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in settings}, optional=True)
    if credentials:
        kubernetes.use_secret_as_env(task, CREDENTIALS, {name: name for name in credentials}, optional=True)
    return task
