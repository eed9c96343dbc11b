"""What a gateway has counted of a model, by route: requests, errors and latencies, since its Envoy started.

Read from the page `/models` of its metrics: a part of Envoy's statistics as JSON, see
https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats?format=json
"""

import contextlib
import http.client
import json
import re
import socket
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError, ServingError

PAGE = "/models"
_NAME = re.compile(
    r"cluster\.(?P<model>[^/]+)/(?P<route>stable|candidate|mirror)/(?P<protocol>grpc|rest)\.(?P<stat>.+)"
)
# Requests that the client gave up, before and after they were sent to a server. Envoy counts no status for them.
_GIVEN_UP = ("upstream_rq_cancelled", "upstream_rq_tx_reset")
# Counter of the requests that succeeded, and those of the ones that failed.
_STATUSES = {
    "grpc": ("grpc.success", ("grpc.failure",)),
    "rest": ("upstream_rq_2xx", ("upstream_rq_1xx", "upstream_rq_3xx", "upstream_rq_4xx", "upstream_rq_5xx")),
}
# Name of the histogram of the latencies.
TIME = "upstream_rq_time"
_MOST_BYTES = 64 << 20

# Host and port -> the IP addresses behind them.
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Side:
    """What one Envoy has counted of a model on one route.

    Attributes:
        requests: Requests that ended.
        errors: Those that failed, or that the client gave up.
        bounds: Upper bounds of the latencies in milliseconds, growing; empty without a request.
        totals: Number of answers up to each bound, and of all of them.
    """

    requests: int = 0
    errors: int = 0
    bounds: tuple[float, ...] = ()
    totals: tuple[int, ...] = ()


def read_stats(
    url: str, model: str, resolve: Resolve | None = None, timeout_seconds: float = 5.0
) -> dict[str, dict[str, Side]]:
    """Return what each Envoy behind a URL has counted of a model.

    Args:
        url: `http://host:port` of the gateways' metrics. In a cluster, the host is a headless Service, which has an address
            for each pod.
        model: Name of the model. Only a model with a candidate has counts of its own.
        resolve: Returns the addresses of a host and a port. Defaults to those of the system.
        timeout_seconds: Time for the answer of an Envoy, in seconds. Defaults to 5.

    Returns:
        IP address of an Envoy to route (`stable`, `candidate`, `mirror`) to what it has counted.

    Raises:
        InputError: The URL is invalid.
        ServingError: The name does not resolve, or an Envoy does not answer.
    """
    host, port = split_url(url)
    try:
        addresses = (resolve or find_addresses)(host, port)
    except OSError as error:
        raise ServingError(
            f"The gateway's metrics at {url} cannot be read: the name does not resolve ({error.strerror or error}).",
            "UNAVAILABLE",
        ) from None
    return {address: parse_stats(_fetch(address, port, timeout_seconds), model) for address in addresses}


def split_url(url: str) -> tuple[str, int]:
    """Return host and port of the gateways' metrics.

    Raises:
        InputError: The URL is not `http://host:port`.
    """
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise InputError(
        f"The gateway's metrics should be at http://host:port. Received: '{url}'. Example: http://tiffin-gateway-pods:9901."
    )


def parse_stats(content: bytes, model: str) -> dict[str, Side]:
    """Return what an Envoy has counted of a model by route.

    Raises:
        ServingError: The content is not that of the page.
    """
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    times: dict[str, list[tuple[tuple[float, ...], tuple[int, ...]]]] = {}
    try:
        for found in json.loads(content)["stats"]:
            for histogram in found.get("histograms", ()):
                name = _NAME.fullmatch(histogram["name"])
                if name and (name["model"], name["stat"]) == (model, TIME):
                    times.setdefault(name["route"], []).append(_buckets(histogram["buckets"]))
            name = _NAME.fullmatch(found.get("name", ""))
            if name and name["model"] == model:
                numbers.setdefault((name["route"], name["protocol"]), {})[name["stat"]] = int(found["value"])
    except (ValueError, LookupError, TypeError) as error:
        raise ServingError(f"The gateway's page {PAGE} cannot be read: {error!r}.") from None
    return make_sides(numbers, times)


def make_sides(
    numbers: Mapping[tuple[str, str], Mapping[str, int]],
    times: Mapping[str, list[tuple[tuple[float, ...], tuple[int, ...]]]],
) -> dict[str, Side]:
    """Return what was counted by route.

    Args:
        numbers: Route and protocol (`grpc` or `rest`) to the counters by name, such as `grpc.success`.
        times: Route to the bounds and totals of its latencies, one pair for each protocol.
    """
    return {
        route: _side(
            [_count(stats, protocol) for (of, protocol), stats in numbers.items() if of == route], times.get(route, [])
        )
        for route in {route for route, _ in numbers}
    }


def _count(stats: Mapping[str, int], protocol: str) -> tuple[int, int]:
    """Return requests and errors, as sums of counters: a difference of two may fall, since they are not read at once."""
    good, bad = _STATUSES[protocol]
    failed = sum(stats.get(name, 0) for name in (*bad, *_GIVEN_UP))
    return stats.get(good, 0) + failed, failed


def _side(counts: Iterable[tuple[int, int]], times: list[tuple[tuple[float, ...], tuple[int, ...]]]) -> Side:
    requests, errors = (sum(values) for values in zip(*counts, strict=True))
    # gRPC and REST are counted in the same bins.
    bounds = times[0][0] if times else ()
    totals = tuple(map(sum, zip(*(one for _, one in times), strict=True)))
    return Side(requests, errors, bounds, totals)


def _buckets(buckets: list[dict[str, Any]]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    return tuple(float(one["upper_bound"]) for one in buckets), tuple(int(one["cumulative"]) for one in buckets)


def find_addresses(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, sorted: those of IPv4 if it has any.

    Raises:
        OSError: The host has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = {family for family, *_ in found}
    # A pod with addresses of both families would be counted twice.
    chosen = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    return sorted({str(address[0]) for family, _, _, _, address in found if family == chosen})


def _fetch(address: str, port: int, timeout_seconds: float) -> bytes:
    # http.client uses no proxies and follows no redirects.
    connection = http.client.HTTPConnection(address, port, timeout=timeout_seconds)
    try:
        connection.request("GET", PAGE)
        response = connection.getresponse()
        content = response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or repr(error)
        raise ServingError(f"No answer from the gateway at {address}:{port}: {reason}.", "UNAVAILABLE") from None
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise ServingError(f"The gateway at {address}:{port} answered HTTP {response.status} to {PAGE}.")
    return content
