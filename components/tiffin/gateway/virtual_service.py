"""The traffic of the models as routes of a VirtualService, for clusters with Istio.

As with Gateway API, requests need the header `x-tiffin-model`; those without it go to the stable servers. The API:
https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from typing import Any

from tiffin.errors import InputError
from tiffin.gateway.grpc_route import CANDIDATE, PORT, STABLE, check_sticky
from tiffin.gateway.routes import CHOSEN, MODEL
from tiffin.gateway.table import Table
from tiffin.gateway.traffic import Traffic

_PREDICTIONS = {"prefix": "/tensorflow.serving.PredictionService/"}
_STATUS = {"exact": "/tensorflow.serving.ModelService/GetModelStatus"}


def make_routes(table: Table) -> list[dict[str, Any]]:
    """Return the HTTP routes of a VirtualService.

    Raises:
        InputError: The traffic of a model cannot be expressed.
    """
    routes = []
    for name, served in sorted(table.models.items()):
        if served.traffic.candidate is not None:
            routes += _of_model(name, served.traffic)
    return [
        *routes,
        {"name": "predictions", "match": [{"uri": _PREDICTIONS}], "route": [_to(STABLE)]},
        {"name": "status", "match": [{"uri": _STATUS}], "route": [_to(STABLE)]},
    ]


def _of_model(name: str, traffic: Traffic) -> list[dict[str, Any]]:
    check_sticky(name, traffic, "Istio")
    if traffic.weight != int(traffic.weight):
        raise InputError(
            f"weight should be a whole number for '{name}': Istio divides requests by whole percents. Received: "
            f"weight={traffic.weight:g}."
        )
    weight = int(traffic.weight)
    shared: dict[str, Any] = {
        "name": f"{name}",
        "match": [_match({MODEL: name})],
        "route": [{**_to(STABLE), "weight": 100 - weight}, {**_to(CANDIDATE), "weight": weight}],
    }
    if traffic.mirror:
        shared["mirrors"] = [{**_to(CANDIDATE), "percentage": {"value": traffic.mirror}}]
    chosen = {"match": [_match({MODEL: name, CHOSEN: "candidate"})], "route": [_to(CANDIDATE)]}
    return [{"name": f"{name}-candidate", **chosen}, shared]


def _match(headers: dict[str, str]) -> dict[str, Any]:
    return {"uri": _PREDICTIONS, "headers": {name: {"exact": value} for name, value in headers.items()}}


def _to(host: str) -> dict[str, Any]:
    return {"destination": {"host": host, "port": {"number": PORT}}}
