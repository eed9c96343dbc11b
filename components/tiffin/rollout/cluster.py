"""The servers and the gateway of a rollout, as the environment names them: of a step of a pipeline, in a pod or locally."""

from collections.abc import Mapping

from tiffin.errors import InputError
from tiffin.rollout.driving import Places

# What a rollout needs, and what it is.
_NEEDED = {
    "TIFFIN_SERVING_ADDRESS": "host:port of the stable servers' gRPC API",
    "TIFFIN_CANDIDATE_ADDRESS": "host:port of the candidate servers' gRPC API",
    "TIFFIN_GATEWAY_ADDRESS": "host:port of the gateways",
    "TIFFIN_GATEWAY_METRICS": "http://host:port of the gateways' metrics",
}


def find_places(environment: Mapping[str, str]) -> Places:
    """Return the servers and the gateway that environment variables name.

    Args:
        environment: The variables. In a cluster, the ConfigMap `tiffin` has them.

    Raises:
        InputError: A variable is missing.
    """
    for name, what in _NEEDED.items():
        if not environment.get(name):
            raise InputError(
                f"A rollout needs {name}, {what}. Received: none. In a cluster, add the option envoy to the manifests; on this "
                "machine, run: tiffin gateway"
            )
    stable, candidate, gateway, metrics = (environment[name] for name in _NEEDED)
    return Places(stable, candidate, gateway, metrics, environment.get("TIFFIN_LOG_ROOT", ""))
