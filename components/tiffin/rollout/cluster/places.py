"""The servers and the gateway of a rollout, as the environment names them: of a step of a pipeline, in a pod or locally.

    TIFFIN_SERVING_ADDRESS        host:port of the stable servers' gRPC API
    TIFFIN_CANDIDATE_ADDRESS      the same of the candidate servers
    TIFFIN_CANDIDATE_DEPLOYMENT   their Deployment, which is scaled from zero; empty if they start by themselves
    TIFFIN_ROUTES                 what divides the requests: envoy, gateway-api or istio

With Envoy, which follows the serving root:

    TIFFIN_GATEWAY_ADDRESS        host:port of the gateways, which tell whether they have taken over the traffic
    TIFFIN_GATEWAY_METRICS        http://host:port of their metrics
    TIFFIN_PROMETHEUS             http://host:port of a Prometheus that has them; in place of TIFFIN_GATEWAY_METRICS
    TIFFIN_LOG_ROOT               the prediction log; empty if requests are not recorded

With Gateway API or Istio, whose objects the rollout changes, and which record no requests:

    TIFFIN_SERVING_METRICS        http://host:port/path of the stable servers' metrics
    TIFFIN_CANDIDATE_METRICS      the same of the candidate servers
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tiffin.errors import InputError, did_you_mean
from tiffin.gateway import prometheus, stats
from tiffin.rollout.cluster import kubernetes
from tiffin.rollout.cluster import routes as cluster_routes
from tiffin.rollout.cluster.counts import read_servers
from tiffin.rollout.cluster.kubernetes import ACCOUNT, Api
from tiffin.rollout.cluster.scaling import scale, scale_of
from tiffin.rollout.places import Places
from tiffin.serving import counters

ENVOY = "envoy"
ROUTES = (ENVOY, *cluster_routes.ROUTERS)

_MEANINGS = {
    "TIFFIN_SERVING_ADDRESS": "host:port of the stable servers' gRPC API",
    "TIFFIN_CANDIDATE_ADDRESS": "host:port of the candidate servers' gRPC API",
    "TIFFIN_GATEWAY_ADDRESS": "host:port of the gateways",
    "TIFFIN_GATEWAY_METRICS": "http://host:port of the gateways' metrics",
    "TIFFIN_SERVING_METRICS": "http://host:port/path of the stable servers' metrics",
    "TIFFIN_CANDIDATE_METRICS": "http://host:port/path of the candidate servers' metrics",
}


def find_places(environment: Mapping[str, str], account: Path = ACCOUNT) -> Places:
    """Return the servers and the gateway that environment variables name.

    Without TIFFIN_CANDIDATE_DEPLOYMENT and with Envoy, nothing of Kubernetes is used. Otherwise the objects that the rollout
    would change are read, so that one that is missing is found before anything changes.

    Args:
        environment: The variables. In a cluster, the ConfigMap `tiffin` has them.
        account: Folder with the files of the pod's service account. Defaults to where Kubernetes mounts it.

    Raises:
        InputError: A variable is missing or invalid, or the cluster lacks an object or a permission.
        ServingError: The API server does not answer.
    """
    routes = environment.get("TIFFIN_ROUTES") or ENVOY
    if routes not in ROUTES:
        raise InputError(
            f"TIFFIN_ROUTES should be one of: {', '.join(ROUTES)}. Received: '{routes}'.{did_you_mean(routes, ROUTES)}"
        )
    stable, candidate = (
        _find_address(environment, f"TIFFIN_{name}_ADDRESS", routes) for name in ("SERVING", "CANDIDATE")
    )
    deployment = environment.get("TIFFIN_CANDIDATE_DEPLOYMENT", "")
    api = kubernetes.find_api(environment, account) if deployment or routes != ENVOY else None
    places = _with_objects(environment, api, routes) if api and routes != ENVOY else _with_envoy(environment, api)
    if api and deployment:
        kubernetes.read(api, scale_of(deployment))
        places = replace(places, scale=partial(scale, api, deployment))
    return replace(places, stable=stable, candidate=candidate)


def _with_envoy(environment: Mapping[str, str], api: Api | None) -> Places:
    gateway, log = _find_address(environment, "TIFFIN_GATEWAY_ADDRESS", ENVOY), environment.get("TIFFIN_LOG_ROOT", "")
    if url := environment.get(prometheus.VARIABLE, ""):
        prometheus.split_url(url)
        # Another namespace may have a model of the same name.
        read = partial(prometheus.read_prometheus, namespace=api.namespace if api else "")
        return Places("", "", gateway, url, log, read=read)
    metrics = _find(environment, "TIFFIN_GATEWAY_METRICS", ENVOY)
    stats.split_url(metrics)
    return Places("", "", gateway, metrics, log)


def _with_objects(environment: Mapping[str, str], api: Api, routes: str) -> Places:
    if url := environment.get(prometheus.VARIABLE, ""):
        raise InputError(
            f"{prometheus.VARIABLE} should be empty with TIFFIN_ROUTES={routes}: the servers' own metrics are read. Received: "
            f"'{url}'."
        )
    stable, candidate = (_find(environment, f"TIFFIN_{name}_METRICS", routes) for name in ("SERVING", "CANDIDATE"))
    for url in (stable, candidate):
        counters.check_url(url)
    router = cluster_routes.ROUTERS[routes]
    kubernetes.read(api, router.resource)
    return Places(
        "",
        "",
        f"{router.resource.kind} {router.resource.name}",
        stable,
        read=partial(read_servers, candidate=candidate),
        divide=lambda _, root: cluster_routes.divide(api, router, root, cluster_routes.SETTLE_SECONDS),
    )


def _find_address(environment: Mapping[str, str], name: str, routes: str) -> str:
    address = _find(environment, name, routes)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(
            f"{name} should be {_MEANINGS[name]}. Received: '{address}'. Example: tiffin-gateway-pods:8500."
        )
    return address


def _find(environment: Mapping[str, str], name: str, routes: str) -> str:
    value = environment.get(name, "")
    if not value:
        advice = "In a cluster, add the option envoy to the manifests; on this machine, run: tiffin gateway"
        if routes != ENVOY:
            advice = "The ConfigMap tiffin of the manifests has it."
        raise InputError(f"A rollout needs {name}, {_MEANINGS[name]}. Received: none. {advice}")
    return value
