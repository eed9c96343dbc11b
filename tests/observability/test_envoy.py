"""What Envoy counts where no model server answers: the series of the alert about that."""

import re
import urllib.request
from pathlib import Path

import grpc
import pytest

from support.gateways import PREDICT, Backend, request_of, running_envoy
from support.waiting import free_port, until
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.observability.rules import format_rules, make_rules

RUNS_IN = ("gateway",)


def read(url: str) -> dict[tuple[str, str], float]:
    """Return the counters of Envoy's page by name and model, of gRPC."""
    with urllib.request.urlopen(url, timeout=20) as response:
        page = response.read().decode()
    found = re.findall(r"^(envoy_cluster_\w+)\{(.*)\} (\S+)$", page, re.MULTILINE)
    labelled = [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for name, labels, value in found]
    return {(name, of.get("model", "")): value for name, of, value in labelled if of.get("protocol") == "grpc"}


@pytest.mark.parametrize("model", ["*", "taxi"])
def test_no_server_answers(tmp_path: Path, model: str) -> None:
    """Envoy tries again until the client gives up, and counts no failed request."""
    backends = [Backend(1, free_port(), free_port()), Backend(2, free_port(), free_port())]
    traffic = Traffic() if model == "*" else Traffic(2)
    refused = "envoy_cluster_upstream_rq_pending_failure_eject"
    with running_envoy(tmp_path, *backends, table=Table({"taxi": Served(1, traffic)})) as gateway:
        with grpc.insecure_channel(gateway.address) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(PREDICT)(request_of("taxi"), timeout=1)
        url = f"http://{gateway.places.metrics_host}:{gateway.places.metrics_port}/metrics"
        assert until(lambda: read(url).get((refused, model), 0) > 1)
        assert ("envoy_cluster_grpc_failure", model) not in read(url)
    assert refused in format_rules(make_rules())
