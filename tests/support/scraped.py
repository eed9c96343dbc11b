"""A real run that a real Prometheus scrapes: model servers, gateway with recorder, and the page of metrics.

A candidate that fails for large inputs is under a rollout: first with copies of the requests, then with half of them.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from support import rollouts
from support.prometheus import running_prometheus
from support.serving_roots import ADA
from support.waiting import until
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import FOLDER
from tiffin.artifacts.monitoring_status import STATUS, ColumnFigure, ColumnStatus, Look, MetricStatus, Status
from tiffin.errors import ServingError, TiffinError
from tiffin.local import gateway, programs, serving
from tiffin.local.environments import find_python
from tiffin.rollout import course, driving
from tiffin.rollout.driving import Pace
from tiffin.rollout.plan import Limits, Step
from tiffin.serving import Client, wire
from tiffin.serving.root import ServedModel

MODEL, NAMESPACE = "taxi", "team-a"
# Fails for large inputs.
CANDIDATE = 4
_SHADOW, _CANARY = Step(mirror=100.0, minutes=0.05, min_requests=20), Step(weight=50.0, minutes=60.0)
# Counters that do not exist before their first event.
_LATE = (
    "tiffin_recorder_rows_total", "tiffin_recorder_problems_total", "tiffin_recorder_dropped_requests_total",
    "envoy_cluster_upstream_rq_tx_reset", 'envoy_cluster_upstream_rq_xx{envoy_response_code_class="4"}',
)  # fmt: skip
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: Its address, `http://host:port`.
    """

    url: str

    def ask(self, path: str, **parameters: str) -> tuple[int, Any]:
        """Return the HTTP status and the data of an answer of its API; of an error, its text."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}", urllib.parse.urlencode(parameters, doseq=True).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)["data"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["error"]

    def query(self, expression: str) -> tuple[int, Any]:
        """Return the status and the series of a query, as a panel with one value asks it."""
        status, data = self.ask("query", query=expression)
        return status, data["result"] if status == 200 else data

    def query_range(self, expression: str, seconds: float = 60) -> tuple[int, Any]:
        """Return the status and the series of a query over the last seconds, as a panel over time asks it."""
        now = datetime.now(UTC).timestamp()
        span = {"start": str(now - seconds), "end": str(now), "step": "1"}
        status, data = self.ask("query_range", query=expression, **span)
        return status, data["result"] if status == 200 else data

    def values(self, selector: str, label: str) -> list[str]:
        """Return the values of a label, as a variable asks for them."""
        # Only GET takes a selector here.
        query = urllib.parse.urlencode({"match[]": selector})
        return list(json.loads(_get(self, f"label/{label}/values?{query}"))["data"])


@contextlib.contextmanager
def scraping(folder: Path, targets: Mapping[str, str], rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes each second.

    Args:
        folder: An empty folder.
        targets: Name of a job to the URL of its page.
        rules: Files with rules.
    """
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [_job(name, urllib.parse.urlsplit(url)) for name, url in targets.items()],
    }
    # YAML that is JSON.
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with running_prometheus(folder) as url:
        found = Prometheus(url)
        assert until(lambda: len(found.query("up == 1")[1]) == len(targets), 30), [
            (one["scrapeUrl"], one["lastError"]) for one in json.loads(_get(found, "targets"))["data"]["activeTargets"]
        ]
        yield found


def _get(prometheus: Prometheus, path: str) -> bytes:
    with urllib.request.urlopen(f"{prometheus.url}/api/v1/{path}", timeout=30) as response:
        return bytes(response.read())


def _job(name: str, url: urllib.parse.SplitResult) -> dict[str, Any]:
    # The Prometheus Operator adds the namespace.
    static = {"targets": [url.netloc], "labels": {"namespace": NAMESPACE}}
    return {"job_name": name, "metrics_path": url.path, "static_configs": [static]}


@contextlib.contextmanager
def running_page(state: Path) -> Iterator[str]:
    """Run the metrics page of a state folder, and yield its URL."""
    command = [
        find_python("gateway"), "-m", "tiffin.observability", f"--log-root={serving.prediction_log(state)}",
        f"--serving-root={serving.serving_root(state)}", "--port=0", "--read-seconds=1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address = json.loads(process.stdout.readline().removeprefix("READY "))["address"]
            yield f"http://{address}/metrics"
        finally:
            process.terminate()


def write_status(state: Path, version: int = 1) -> None:
    """Write the status of the model as its monitoring keeps it: one input has drifted, and labels have come."""
    now = datetime.now(UTC)
    since, start, made = ((now - timedelta(hours=hours)).isoformat() for hours in (6, 24, 0))
    columns = (
        ColumnStatus("km", True, (ColumnFigure("jensen_shannon", 0.3, 0.1), ColumnFigure("missing_share", 0.0, 0.05))),
        ColumnStatus("city", False, (ColumnFigure("jensen_shannon", 0.02, 0.1), ColumnFigure("new_share", 0.0, None))),
    )
    metrics = (MetricStatus("auc", 0.71, 0.74, 0.8), MetricStatus("log_loss", 0.5, None, 0.4))
    status = Status(
        MODEL, version, "drifted", since, start, made, made, "km has moved", "look at km", 900, 9, 0.02, 1800, ("km",),
        "auc", 0.71, 0.8, 0.74, 120, (Look(since, version, "drifted"),), columns, 3, metrics,
    )  # fmt: skip
    folder = serving.prediction_log(state) / MODEL / FOLDER
    folder.mkdir(parents=True)
    documents.write(folder / STATUS, status)


class _Traffic:
    """Requests until it ends: good ones, large ones that the candidate fails at, and mistakes, by gRPC and by REST."""

    def __init__(self, address: str) -> None:
        self._address, self._over = address, threading.Event()
        self._threads = [threading.Thread(target=send) for send in (self._send_grpc, self._send_rest)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send_grpc(self) -> None:
        with Client(self._address) as client:
            number = 0
            while not self._over.wait(0.02):
                number += 1
                inputs: dict[str, Any] = {"x": [[float(1 + number % 2)] * 3]}
                with contextlib.suppress(ServingError):
                    client.predict(MODEL, inputs, timeout_seconds=30)
                if number % 40 == 7:
                    _predict(self._address, "a name that no log takes", timeout_seconds=30)

    def _send_rest(self) -> None:
        number = 0
        while not self._over.wait(0.1):
            number += 1
            body = b"not JSON" if number % 3 == 0 else json.dumps({"inputs": rollouts.INPUTS}).encode()
            request = urllib.request.Request(f"http://{self._address}/v1/models/{MODEL}:predict", body)
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30):
                pass


def _predict(address: str, model: str, timeout_seconds: float) -> None:
    """Send a request without inputs to the stable server, whatever the weight is, and ignore its error."""
    request = wire.PredictRequest()
    request.model_spec.name = model
    with grpc.insecure_channel(address) as channel, contextlib.suppress(grpc.RpcError):
        headers = (("x-tiffin-version", "stable"),)
        channel.unary_unary(_PREDICT)(request.SerializeToString(), timeout=timeout_seconds, metadata=headers)


def _give_up(address: str, server: int) -> None:
    """Have a client give up a request that a stopped server does not answer in time."""
    os.kill(server, signal.SIGSTOP)
    try:
        _predict(address, MODEL, timeout_seconds=0.5)
    finally:
        os.kill(server, signal.SIGCONT)


@contextlib.contextmanager
def run(folder: Path, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Run everything, send requests until the candidate has answered some of them, and yield the Prometheus.

    Args:
        folder: An empty folder, with a path that is short enough for sockets.
        rules: Files with rules for Prometheus.
    """
    taxi, state = rollouts.publish(folder), folder / "state"
    write_status(state)
    running, _ = gateway.start_gateway(state)
    try:
        programs.wait_until_open(running)
        with Client(running.address) as client:
            client.predict(MODEL, rollouts.INPUTS, timeout_seconds=90)
        status, server = gateway.read_status(state), serving.find_server(state)
        assert status
        assert server
        (folder / "prometheus").mkdir()
        with running_page(state) as page:
            targets = {
                "servers": f"http://{status.stable_rest}/monitoring/prometheus/metrics",
                "gateway": status.metrics,
                "recorder": status.recorder_metrics,
                "page": page,
            }
            with scraping(folder / "prometheus", targets, rules) as prometheus:
                with _Traffic(running.address):
                    rollouts.publish_versions(taxi, folder / "models", [CANDIDATE], fails_above=1.5)
                    _roll_out(taxi, state, prometheus)
                    _give_up(running.address, server.pid or 0)
                    # Two scrapes of each counter make a rate. A file of the log is stored after a minute.
                    for counter in _LATE:
                        assert until(lambda: _has(prometheus, f"rate({counter}[5s])"), 90), counter  # noqa: B023
                yield prometheus
    finally:
        gateway.stop_gateway(state)
        serving.stop_server(state)


def _has(prometheus: Prometheus, expression: str) -> bool:
    return bool(prometheus.query(expression)[1])


def _roll_out(taxi: ServedModel, state: Path, prometheus: Prometheus) -> None:
    """Start the rollout of the candidate, and wait until it answers requests and fails at some."""
    limits = Limits(max_error_share=0.95, max_latency_ratio=1000.0)
    started = course.start(taxi, CANDIDATE, ADA, strategy="shadow_canary", steps=(_SHADOW, _CANARY), limits=limits)
    lines: list[str] = []

    def drive() -> None:
        with contextlib.suppress(TiffinError):  # the gateway ends before the rollout
            driving.drive(taxi, started.id, lambda: gateway.find_places(state), Pace(look=0.3, load=60), lines.append)

    # It goes on until the gateway ends.
    threading.Thread(target=drive, daemon=True).start()
    failed = 'tiffin_rollout_failed_requests{role="candidate"} > 2'
    answered = f'envoy_cluster_grpc_success{{model="{MODEL}",route="candidate"}}'
    assert until(lambda: _has(prometheus, failed) and _has(prometheus, answered), 120), lines
