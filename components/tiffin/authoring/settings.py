"""What a step asks of a cluster beyond its inputs: a title, a size, retries, a deadline, settings and credentials.

A run on one machine passes over all of it but the retries, between which it does not wait.
"""

from collections.abc import Iterable
from typing import Any

from kfp import kubernetes
from kfp.dsl.structures import ResourceSpec

from tiffin.errors import InputError
from tiffin.specs.sizes import read_size
from tiffin.stages import find_components
from tiffin.stages.traits import S3, Service

# A config map and a secret of this name in the namespace of the run. Both are optional, and so is each key, so that a
# spec runs where a parameter or the service account's own identity says the same.
SETTINGS = "tiffin"
CREDENTIALS = "tiffin-credentials"

# The keys of Kubeflow Pipelines' own store, in a secret that it puts into each namespace of users, keep names of their
# own. As AWS_ACCESS_KEY_ID they would come before a role of the service account, and so lock users of AWS out of their
# buckets on every cluster that has the secret; and where the user's own credentials are there too, one variable would
# have two sources, of which only the last counts.
KUBEFLOWS_CREDENTIALS = "mlpipeline-minio-artifact"
KUBEFLOWS_KEYS = {"accesskey": "MINIO_ACCESS_KEY", "secretkey": "MINIO_SECRET_KEY"}


def set_up(
    task: Any,
    title: str,
    *,
    size: str = "small",
    retries: int = 0,
    deadline_hours: float = 1,
    needs: Iterable[Service] | None = None,
) -> Any:
    """Say what a task asks of a cluster, and return the task.

    Args:
        task: What calling a component returned.
        title: As the dashboard shows it.
        size: `small`, `medium`, `large`, or explicit.
        retries: How often it runs again after a failure; the first time after half a minute, then after twice as long
            each time. 0 for a gate, whose failure is its result.
        deadline_hours: How long its pod may run.
        needs: Services whose settings and credentials it gets as environment variables, from the config map `tiffin` and
            the secret `tiffin-credentials`. Defaults to those of the component's traits; none for a component that is
            not Tiffin's.
    """
    needs = find_needs(task) if needs is None else tuple(needs)
    settings = {name: name for service in needs for name in service.settings}
    credentials = {name: name for service in needs for name in service.credentials}
    if S3 in needs:
        kubernetes.use_secret_as_env(task, KUBEFLOWS_CREDENTIALS, KUBEFLOWS_KEYS, optional=True)
    set_size(task, size)
    task.set_display_name(title)
    if retries:
        task.set_retry(retries, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration="600s")
    kubernetes.set_timeout(task, round(deadline_hours * 3600))
    if settings:
        kubernetes.use_config_map_as_env(task, SETTINGS, settings, optional=True)
    if credentials:
        kubernetes.use_secret_as_env(task, CREDENTIALS, credentials, optional=True)
    return task


def set_size(task: Any, text: str) -> None:
    """Give a task of a pipeline a size.

    Args:
        task: What calling a component returned.
        text: As `read_size` takes it.

    Raises:
        InputError: It is no size, or the task runs no container.
    """
    try:
        size = read_size(text)
    except InputError as error:
        raise InputError(f"The step '{task.name}' has a wrong size. {error}") from None
    if task.container_spec is None:
        raise InputError(f"A step with a size should run a container. Received: '{task.name}'. Leave its size out.")
    # At once: each of kfp's setters inspects the whole stack, which made up most of a compilation.
    task.container_spec.resources = ResourceSpec(
        cpu_request=size.cpu_request,
        cpu_limit=size.cpu_limit,
        memory_request=size.memory_request,
        memory_limit=size.memory_limit,
        accelerator_type=size.accelerator or None,
        accelerator_count=str(size.accelerators) if size.accelerator else None,
    )


def find_needs(task: Any) -> tuple[Service, ...]:
    """Return the services that a task's component talks to; none where the component is not Tiffin's."""
    component = task.component_spec
    container = component.implementation.container
    row = find_components().get(component.name.replace("-", "_"))
    return row.needs if row and container and container.image == row.image else ()
