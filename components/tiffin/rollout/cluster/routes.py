"""Divide the requests by a GRPCRoute or a VirtualService, in clusters without Tiffin's Envoy.

Nothing else follows the serving root there: whoever drives a rollout changes the object. If nobody drives it, requests stay
divided as they are, also after an abort or a rollback.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tiffin import storage
from tiffin.errors import Conflict, ServingError
from tiffin.gateway.applied import State
from tiffin.gateway.grpc_route import make_rules
from tiffin.gateway.table import Table, parse_table
from tiffin.gateway.virtual_service import make_routes
from tiffin.governance.changes import pauses
from tiffin.rollout.cluster.kubernetes import Api, Resource, patch, read
from tiffin.serving.root import GATEWAY

# Digest of the table that the object was last changed to.
_ANNOTATION = "tiffin/traffic"
# Time in which proxies take over a change. Neither Istio nor Gateway API tells when all of them have.
SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class Router:
    """An object that divides requests.

    Attributes:
        resource: The object.
        field: Field of its spec with the rules.
        make: Returns the rules for a table.
        is_accepted: Whether its controller tells if it accepts the object.
    """

    resource: Resource
    field: str
    make: Callable[[Table], list[dict[str, Any]]]
    is_accepted: bool


ROUTERS = {
    "gateway-api": Router(
        Resource(
            "gateway.networking.k8s.io/v1",
            "GRPCRoute",
            "grpcroutes",
            "tiffin-serving",
            "tiffin-gateway-router",
            "gateway",
        ),
        "rules",
        make_rules,
        True,
    ),
    "istio": Router(
        Resource(
            "networking.istio.io/v1",
            "VirtualService",
            "virtualservices",
            "tiffin-serving",
            "tiffin-istio-router",
            "istio",
        ),
        "http",
        make_routes,
        False,
    ),
}


def divide(api: Api, router: Router, root: str, settle_seconds: float) -> State:
    """Bring an object in line with a serving root, and return whether requests are divided accordingly.

    A GRPCRoute has to be accepted by its Gateway in its current generation. Then, and at once for a VirtualService, which
    nothing accepts, proxies take over a change in about a second; this waits longer, since nothing tells when they have.

    Args:
        api: The API server.
        router: The object.
        root: The serving root.
        settle_seconds: Time to wait after a change, in seconds, such as `SETTLE_SECONDS`.

    Raises:
        Conflict: Others changed the object in all attempts.
        InputError: The cluster has no such object, the service account may not change it, or it cannot divide requests so.
        ServingError: The API server does not answer, or the Gateway refuses the object.
    """
    for pause in pauses():
        found = read(api, router.resource)
        # Read after the object, so that nobody has changed the object for a later table.
        table = parse_table(storage.read(storage.join(root, GATEWAY)), root)
        rules = router.make(table)
        metadata, spec = found.get("metadata", {}), found.get("spec", {})
        if _has(spec.get(router.field), rules) and (metadata.get("annotations") or {}).get(_ANNOTATION) == table.digest:
            return _state(found) if router.is_accepted else "applied"
        version = {"resourceVersion": metadata.get("resourceVersion"), "annotations": {_ANNOTATION: table.digest}}
        try:
            patch(api, router.resource, {"metadata": version, "spec": {router.field: rules}})
        except Conflict:
            time.sleep(pause)
            continue
        time.sleep(settle_seconds)
        return _state(read(api, router.resource)) if router.is_accepted else "applied"
    raise Conflict(
        f"The {router.resource.kind} '{router.resource.name}' was changed by others in all attempts. Try again."
    )


def _has(found: Any, wanted: Any) -> bool:
    """Return whether a value of an object has what is wanted. The API server adds the defaults of other fields."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and _has(found[name], one) for name, one in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_has, found, wanted))
    return bool(found == wanted)


def _state(route: dict[str, Any]) -> State:
    """Return whether all Gateways of a GRPCRoute have accepted it as it is."""
    generation = route.get("metadata", {}).get("generation", 0)
    parents = (route.get("status") or {}).get("parents") or []
    current = [
        {one["type"]: one for one in parent.get("conditions") or () if one.get("observedGeneration", 0) >= generation}
        for parent in parents
    ]
    for conditions in current:
        for kind in ("Accepted", "ResolvedRefs"):
            if conditions.get(kind, {}).get("status") == "False":
                reason, message = (conditions[kind].get(name, "") for name in ("reason", "message"))
                raise ServingError(f"The Gateway refuses the GRPCRoute: {reason}: {message}", "FAILED_PRECONDITION")
    is_accepted = all(conditions.get("Accepted", {}).get("status") == "True" for conditions in current)
    return "applied" if current and is_accepted else "pending"
