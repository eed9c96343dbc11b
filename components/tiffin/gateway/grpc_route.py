"""The traffic of the models as rules of a GRPCRoute, for clusters with Gateway API.

A route chooses by headers only: requests need the header `x-tiffin-model`, which Tiffin's clients send. Requests without it
go to the stable servers. The API: https://gateway-api.sigs.k8s.io/reference/spec/
"""

from typing import Any

from tiffin.errors import InputError
from tiffin.gateway.routes import CHOSEN, MODEL
from tiffin.gateway.table import Table
from tiffin.gateway.traffic import PARTS, Traffic

STABLE, CANDIDATE, PORT = "tiffin-stable", "tiffin-candidate", 8500
# A GRPCRoute has at most 16 rules, of which a model takes two, and these functions two.
_MOST_RULES = 16
_SERVICE = "tensorflow.serving.PredictionService"


def make_rules(table: Table) -> list[dict[str, Any]]:
    """Return the rules of a GRPCRoute.

    Raises:
        InputError: The traffic of a model cannot be expressed.
    """
    rules = []
    for name, served in sorted(table.models.items()):
        if served.traffic.candidate is not None:
            rules += _of_model(name, served.traffic)
    rules += [
        {"matches": [{"method": {"service": _SERVICE}}], "backendRefs": [_backend(STABLE)]},
        {
            "matches": [{"method": {"service": "tensorflow.serving.ModelService", "method": "GetModelStatus"}}],
            "backendRefs": [_backend(STABLE)],
        },
    ]
    if len(rules) > _MOST_RULES:
        raise InputError(
            f"A GRPCRoute should have at most {_MOST_RULES} rules, which is {_MOST_RULES // 2 - 1} models with a candidate. "
            f"Received: {len(rules) // 2 - 1}. Wait for the end of a rollout, or use the option envoy of the manifests."
        )
    return rules


def _of_model(name: str, traffic: Traffic) -> list[dict[str, Any]]:
    check_sticky(name, traffic, "Gateway API")
    stable, candidate = traffic.parts
    shared: dict[str, Any] = {
        "matches": [_match({MODEL: name})],
        "backendRefs": [_backend(STABLE, stable), _backend(CANDIDATE, candidate)],
    }
    if traffic.mirror:
        fraction = {"numerator": round(traffic.mirror * PARTS / 100), "denominator": PARTS}
        copies = {"backendRef": _backend(CANDIDATE), "fraction": fraction}
        shared["filters"] = [{"type": "RequestMirror", "requestMirror": copies}]
    return [{"matches": [_match({MODEL: name, CHOSEN: "candidate"})], "backendRefs": [_backend(CANDIDATE)]}, shared]


def check_sticky(name: str, traffic: Traffic, place: str) -> None:
    """Raise an InputError if the requests of a model are divided by a header, which a place cannot do."""
    if traffic.sticky:
        raise InputError(
            f"sticky should be empty for '{name}': {place} divides requests at random. Received: '{traffic.sticky}'. Use the "
            "option envoy of the manifests."
        )


def _match(headers: dict[str, str]) -> dict[str, Any]:
    found = [{"type": "Exact", "name": header, "value": value} for header, value in headers.items()]
    return {"method": {"service": _SERVICE}, "headers": found}


def _backend(name: str, weight: int | None = None) -> dict[str, Any]:
    return {"name": name, "port": PORT, **({} if weight is None else {"weight": weight})}
