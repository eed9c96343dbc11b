"""Cluster settings of a step: title, size, retries, deadline, configuration, credentials and security context.

A local run uses only the retries, without waiting between them.
"""

from collections.abc import Iterable
from typing import Any

from kfp import kubernetes
from kfp.dsl.structures import ResourceSpec

from tiffin.errors import InputError
from tiffin.specs.sizes import read_size
from tiffin.stages import find_components
from tiffin.stages.traits import NOTIFICATIONS, PREDICTION_LOG, S3, SENTRY, Service, Traits

# Names of a config map and a secret in the run's namespace. Both are optional, and so is each key: a parameter or the
# service account's identity can replace them.
SETTINGS = "tiffin"
CREDENTIALS = "tiffin-credentials"

# Secret with the key of hashed columns of the prediction log, which the recorder of the manifests has too.
LOG_KEY = "tiffin-log-key"

# Secret with the addresses of notifications.
ADDRESSES = "tiffin-notify"

# Kubeflow Pipelines puts a secret with the keys of its own object store into each user namespace. These keys must not
# become AWS_ACCESS_KEY_ID: that would take precedence over the service account's role and lock AWS users out of their
# buckets, and it would conflict with the user's own credentials.
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
    run_as_non_root: bool | None = None,
) -> Any:
    """Configure a task for a cluster, and return it.

    Args:
        task: Task returned by calling a component.
        title: Display name on the dashboard.
        size: `small`, `medium`, `large`, or explicit, as `read_size` reads it. Defaults to `small`.
        retries: Maximum number of retries, with a backoff of 30 s that doubles up to 600 s. By the settings that Kubeflow
            Pipelines installs, a backend retries only a step whose pod was lost, for example with its node, and not one
            that failed with an exit code; a local run retries both. Defaults to 0, as a gate requires: its failure is its
            result.
        deadline_hours: Maximum running time of the pod in hours. Defaults to 1.
        needs: Services whose settings and credentials the step gets as environment variables, from the config map
            `tiffin` and the secret `tiffin-credentials`. Defaults to the services in the component's traits and Sentry;
            none for components that are not Tiffin's.
        run_as_non_root: Whether the cluster refuses to start the container as root, as the restricted Pod Security Standard
            requires. Defaults to True for Tiffin's components; for others, to the backend's default, because their image
            may need root.

    Raises:
        InputError: The size is invalid, or the task runs no container.
    """
    needs = find_needs(task) if needs is None else tuple(needs)
    settings = {name: name for service in needs for name in service.settings}
    own = (PREDICTION_LOG, NOTIFICATIONS)
    credentials = {name: name for service in needs if service not in own for name in service.credentials}
    if PREDICTION_LOG in needs:
        kubernetes.use_secret_as_env(task, LOG_KEY, {"key": PREDICTION_LOG.credentials[0]}, optional=True)
    if NOTIFICATIONS in needs:
        kubernetes.use_secret_as_env(task, ADDRESSES, {"addresses": NOTIFICATIONS.credentials[0]}, optional=True)
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
    if run_as_non_root is None and _find_row(task):
        run_as_non_root = True
    if run_as_non_root is not None:
        kubernetes.set_security_context(task, run_as_non_root=run_as_non_root)
    return task


def set_size(task: Any, text: str) -> None:
    """Set the size of a task.

    Args:
        task: Task returned by calling a component.
        text: Size, as `read_size` reads it.

    Raises:
        InputError: The size is invalid, or the task runs no container.
    """
    try:
        size = read_size(text)
    except InputError as error:
        raise InputError(f"Size of step '{task.name}': {error}") from None
    if task.container_spec is None:
        raise InputError(f"A step with a size should run a container. Received: '{task.name}'. Remove its size.")
    # Set directly: each of kfp's setters inspects the whole stack, which took most of the compilation time.
    task.container_spec.resources = ResourceSpec(
        cpu_request=size.cpu_request,
        cpu_limit=size.cpu_limit,
        memory_request=size.memory_request,
        memory_limit=size.memory_limit,
        accelerator_type=size.accelerator or None,
        accelerator_count=str(size.accelerators) if size.accelerator else None,
    )


def find_needs(task: Any) -> tuple[Service, ...]:
    """Return the services that a task's component needs, and Sentry; none for components that are not Tiffin's."""
    row = _find_row(task)
    return (*row.needs, SENTRY) if row else ()


def _find_row(task: Any) -> Traits | None:
    """Return the traits of a task's component; None if it is not Tiffin's, even if it has the name of one."""
    component = task.component_spec
    container = component.implementation.container
    row = find_components().get(component.name.replace("-", "_"))
    return row if row and container and container.image == row.image else None
