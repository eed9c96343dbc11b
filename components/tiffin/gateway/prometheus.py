"""What the gateways have counted of a model, as a Prometheus has it: for steps that cannot reach each gateway.

The metrics are those of the gateways' page `/metrics`; `tiffin.gateway.stats` reads the same from the gateways themselves.
Prometheus reads them every few seconds, so that a count may be older. Its API:
https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

import contextlib
import http.client
import json
import math
import urllib.parse
from dataclasses import dataclass, field

from tiffin.errors import InputError, ServingError
from tiffin.gateway.stats import TIME, Side, make_sides

# Environment variable with the URL.
VARIABLE = "TIFFIN_PROMETHEUS"

_PREFIX = "envoy_cluster_"
# The metrics' names without the prefix. The class of an HTTP status is a label in Prometheus, and part of the name in Envoy.
_NAMES = ("grpc_success", "grpc_failure", "upstream_rq_cancelled", "upstream_rq_tx_reset", "upstream_rq_xx")
_BUCKETS = f"{TIME}_bucket"
_SECONDS = 10.0
_MOST_BYTES = 64 << 20


@dataclass
class _Gateway:
    """The values of one gateway, by route and protocol."""

    numbers: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    buckets: dict[tuple[str, str], dict[float, int]] = field(default_factory=dict)

    @property
    def sides(self) -> dict[str, Side]:
        times: dict[str, list[tuple[tuple[float, ...], tuple[int, ...]]]] = {}
        for (route, _), totals in self.buckets.items():
            bounds = tuple(sorted(totals))
            times.setdefault(route, []).append((bounds, tuple(totals[bound] for bound in bounds)))
        return make_sides(self.numbers, times)


def read_prometheus(url: str, model: str, namespace: str = "") -> dict[str, dict[str, Side]]:
    """Return what each gateway has counted of a model, from a Prometheus.

    Args:
        url: `http://host:port` or `https://host` of Prometheus, with its path if it has one.
        model: Name of the model.
        namespace: Namespace of the gateways, which is the label `namespace`; empty for all gateways.

    Returns:
        Gateway, which is the label `instance`, to route (`stable`, `candidate`, `mirror`) to what it has counted.

    Raises:
        InputError: The URL is invalid.
        ServingError: Prometheus does not answer, or has no counts of the model.
    """
    labels = {"model": model, **({"namespace": namespace} if namespace else {})}
    selector = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    names = "|".join(f"{_PREFIX}{name}" for name in (*_NAMES, _BUCKETS))
    found = parse_answer(_query(url, f'{{__name__=~"{names}",{selector}}}'))
    if not found:
        where = f" in the namespace '{namespace}'" if namespace else ""
        raise ServingError(
            f"The Prometheus at {url} has no counts of the model '{model}'{where}: the gateway has had no request for it, or is "
            "not scraped.",
            "NOT_FOUND",
        )
    return found


def parse_answer(content: bytes) -> dict[str, dict[str, Side]]:
    """Return what each gateway has counted, from the answer of Prometheus.

    Raises:
        ServingError: The content is not such an answer.
    """
    gateways: dict[str, _Gateway] = {}
    try:
        for found in json.loads(content)["data"]["result"]:
            labels, value = found["metric"], int(float(found["value"][1]))
            gateway = gateways.setdefault(labels.get("instance", ""), _Gateway())
            of, name = (labels["route"], labels["protocol"]), labels["__name__"].removeprefix(_PREFIX)
            if name != _BUCKETS:
                stats = gateway.numbers.setdefault(of, {})
                name = name.replace("grpc_", "grpc.").replace("_xx", f"_{labels.get('envoy_response_code_class')}xx")
                # Two Prometheus may read the same gateway.
                stats[name] = max(value, stats.get(name, 0))
            elif (bound := float(labels["le"])) < math.inf:
                totals = gateway.buckets.setdefault(of, {})
                totals[bound] = max(value, totals.get(bound, 0))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ServingError(f"The answer of Prometheus cannot be read: {error!r}.") from None
    return {instance: gateway.sides for instance, gateway in gateways.items()}


def _query(url: str, query: str) -> bytes:
    parts = split_url(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = made(str(parts.hostname), parts.port, timeout=_SECONDS)
    body = urllib.parse.urlencode({"query": query})
    with contextlib.closing(connection):
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", f"{parts.path.rstrip('/')}/api/v1/query", body, headers)
            response = connection.getresponse()
            content = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or repr(error)
            raise ServingError(f"No answer from the Prometheus at {url}: {reason}.", "UNAVAILABLE") from None
    if response.status != http.HTTPStatus.OK:
        raise ServingError(
            f"The Prometheus at {url} answered HTTP {response.status}: {content[:200].decode(errors='replace')}"
        )
    return content


def split_url(url: str) -> urllib.parse.SplitResult:
    """Return the parts of the URL of a Prometheus.

    Raises:
        InputError: It is not `http://host:port` or `https://host`, with or without a path.
    """
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        if (
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0  # raises a ValueError for one that is not a port
            and "@" not in parts.netloc
            and not (parts.query or parts.fragment)
        ):
            return parts
    raise InputError(
        f"{VARIABLE} should be http://host:port of Prometheus. Received: '{url}'. Example: http://prometheus.monitoring:9090."
    )
