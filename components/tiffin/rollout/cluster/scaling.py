"""Start the candidate servers of a cluster, and stop them.

A Deployment without replicas has no autoscaler: Kubernetes disables it at 0. With one replica, it adds more as it is set up.
"""

from tiffin.rollout.cluster.kubernetes import Api, Resource, patch, read

ROLE = "tiffin-candidate-scaler"


def scale(api: Api, deployment: str, is_needed: bool) -> None:
    """Start the servers of a Deployment if it has none, or stop all of them.

    Args:
        api: The API server.
        deployment: Name of the Deployment.
        is_needed: Whether the servers are needed. Those that run are left as they are.

    Raises:
        InputError: There is no such Deployment, or the service account may not scale it.
        ServingError: The API server does not answer.
    """
    resource = scale_of(deployment)
    replicas = read(api, resource).get("spec", {}).get("replicas", 0)
    if is_needed and not replicas:
        patch(api, resource, {"spec": {"replicas": 1}})
    elif not is_needed and replicas:
        patch(api, resource, {"spec": {"replicas": 0}})


def scale_of(deployment: str) -> Resource:
    """Return the subresource with the number of replicas of a Deployment."""
    return Resource("apps/v1", "Deployment", "deployments", deployment, ROLE, subresource="scale")
