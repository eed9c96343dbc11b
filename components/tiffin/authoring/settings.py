"""What a step asks of a cluster beyond its inputs: a title, a size, retries, a deadline, settings and credentials.

A run on one machine passes over all of it but the retries, between which it does not wait.
"""

from collections.abc import Iterable
from typing import Any

from kfp import kubernetes

from tiffin.specs.sizes import set_size

# A config map and a secret of this name in the namespace of the run. Both are optional, and so is each key, so that a
# spec runs where a parameter or the service account's own identity says the same.
SETTINGS = "tiffin"
CREDENTIALS = "tiffin-credentials"

# What tiffin.storage.s3 reads from the environment. The keys of Kubeflow Pipelines' own store, in a secret that it puts into each
# namespace of users, keep names of their own. As AWS_ACCESS_KEY_ID they would come before a role of the service account,
# and so lock users of AWS out of their buckets on every cluster that has the secret; and where the user's own credentials
# are there too, one variable would have two sources, of which only the last counts.
STORE_SETTINGS = ("AWS_ENDPOINT_URL", "AWS_REGION", "MINIO_ENDPOINT_URL")
STORE_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
KUBEFLOWS_CREDENTIALS = "mlpipeline-minio-artifact"
KUBEFLOWS_KEYS = {"accesskey": "MINIO_ACCESS_KEY", "secretkey": "MINIO_SECRET_KEY"}


def set_up(
    task: Any,
    title: str,
    *,
    size: str = "small",
    retries: int = 0,
    deadline_hours: float = 1,
    settings: Iterable[str] = (),
    credentials: Iterable[str] = (),
    uses_s3: bool = False,
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
        uses_s3: Whether it gets what `s3://` and `minio://` locations need, the keys of Kubeflow's own store among it.
    """
    if uses_s3:
        settings, credentials = (*settings, *STORE_SETTINGS), (*credentials, *STORE_CREDENTIALS)
        kubernetes.use_secret_as_env(task, KUBEFLOWS_CREDENTIALS, KUBEFLOWS_KEYS, optional=True)
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
