"""What the model servers have counted of a model: for rollouts without Tiffin's Envoy.

TensorFlow Serving counts by model and not by version, so the stable and the candidate servers are read apart. It counts
latencies of requests that succeeded only, in microseconds and in bins that grow by a factor of 1.8.
"""

import math

from tiffin.errors import ServingError
from tiffin.gateway.stats import Side
from tiffin.rollout.evidence import Reading
from tiffin.serving.counters import find_samples, parse_page, read_pages

_LATENCY = ":tensorflow:serving:request_latency_bucket"


def read_servers(stable: str, model: str, candidate: str) -> Reading:
    """Return what each model server has counted of a model since its process started.

    A server that cannot be read, such as one that starts, is left out: its requests count once it is read again.

    Args:
        stable: `http://host:port/path` of the stable servers' metrics; in a cluster, the host is a headless Service.
        model: Name of the model.
        candidate: The same of the candidate servers.

    Raises:
        InputError: A URL is invalid.
        ServingError: No stable server can be read, or no candidate server.
    """
    reading: dict[str, dict[str, Side]] = {}
    for route, url in (("stable", stable), ("candidate", candidate)):
        sides, unread = read_pages(url, lambda page: parse_side(page, model))
        if not sides:
            [(address, why), *_] = unread.items()
            raise ServingError(f"The metrics of the {route} server {address} cannot be read: {why}.", "UNAVAILABLE")
        reading |= {f"{route} {address}": {route: side} for address, side in sides.items()}
    return reading


def parse_side(page: bytes, model: str) -> Side:
    """Return the counts and latencies of a model in the text of a server's metrics.

    Raises:
        ServingError: The page is not that of TensorFlow Serving.
    """
    counts = parse_page(page, model)
    totals: dict[float, int] = {}
    # Of each API, such as Predict by gRPC and by REST, in the same bins.
    for labels, total in find_samples(page.decode(errors="replace").split("\n"), _LATENCY):
        if labels.get("model_name") == model and (bound := _bound(labels.get("le", ""))) < math.inf:
            totals[bound] = totals.get(bound, 0) + total
    bounds = tuple(sorted(totals))
    return Side(counts.requests, counts.failed, bounds, tuple(totals[bound] for bound in bounds))


def _bound(text: str) -> float:
    """Return a bound in milliseconds; infinity for one that is not a number."""
    try:
        return float(text) / 1000
    except ValueError:
        return math.inf
