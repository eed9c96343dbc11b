"""The gateway of a state folder: Envoy in front of the model servers, with the recorder of the prediction log.

<state>/gateway/                 its files, see `tiffin.local.programs`
<state>/gateway/status.json      {"metrics", "recorder", "candidate", …}: addresses of its parts
<state>/gateway/*.log            the logs of its parts
<state>/predictions/             the prediction log
"""

import http.client
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import InputError, ServingError
from tiffin.gateway.table import Served, parse_table
from tiffin.local import programs
from tiffin.local.programs import Program, Server, spawn
from tiffin.local.serving import serving_root
from tiffin.serving.root import GATEWAY as GATEWAY_FILE
from tiffin.stages.traits import GATEWAY as GATEWAY_SERVICE

if TYPE_CHECKING:
    from tiffin.rollout.places import Places

__all__ = ["DEFAULT_PORT", "GATEWAY", "spawn"]

DEFAULT_PORT = 8600
GATEWAY = Program("gateway", "gateway", "tiffin.local.gateway_process", "gateway", DEFAULT_PORT)

# The functions of `programs`, for the gateway.
gateway_folder = partial(programs.find_folder, GATEWAY)
find_gateway = partial(programs.find, GATEWAY)
starting_gateway = partial(programs.starting, GATEWAY)
start_gateway = partial(programs.start, GATEWAY)
stop_gateway = partial(programs.stop, GATEWAY)


@dataclass(frozen=True)
class Status:
    """The parts of a running gateway.

    Attributes:
        stable: `host:port` of the stable server's gRPC API.
        stable_rest: The same of its REST API; empty if it has none, because a run started it.
        metrics: URL of Envoy's metrics.
        log_root: Folder of the prediction log; empty if requests are not recorded.
        recorder_metrics: URL of the recorder's metrics; empty if requests are not recorded.
        candidate: `host:port` of the candidate server's gRPC API; empty if it does not run.
        candidate_address: Where the candidate server runs when it does.
        restarts: Name of a part to the number of times that it ended and was started again.
    """

    stable: str
    stable_rest: str
    metrics: str
    log_root: str
    recorder_metrics: str
    candidate: str
    candidate_address: str
    restarts: dict[str, int]


@dataclass(frozen=True)
class Recorded:
    """Requests since the recorder started.

    Attributes:
        requests: Number that it recorded.
        missing: Reason to the number that is not in the log, such as `throttled`: left out since the machine was busy.
    """

    requests: int
    missing: dict[str, int]


def status_path(state: str | Path) -> Path:
    """Return the path of the status of the running gateway."""
    return gateway_folder(state) / "status.json"


def read_status(state: str | Path) -> Status | None:
    """Return the status of the gateway of a state folder; None if it runs none, or if it still starts."""
    if find_gateway(state) is None:
        return None
    try:
        return documents.read(status_path(state), Status)
    except InputError:
        return None


def read_recorded(metrics: str) -> Recorded | None:
    """Return how many requests the recorder has got, from its metrics; None if it does not answer, or if there is none."""
    if not metrics:
        return None
    parts = urlsplit(metrics)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        page = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    got = sum(map(float, re.findall(r"^tiffin_recorder_requests_total\{[^}\n]*\} (\S+)$", page, re.MULTILINE)))
    missing = re.findall(r'^tiffin_recorder_dropped_requests_total\{reason="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return Recorded(int(got), {reason: int(float(number)) for reason, number in missing})


def find_places(state: str | Path) -> "Places":
    """Return the servers and the gateway of a state folder, for a rollout.

    Raises:
        ServingError: No gateway is running.
    """
    # Imports numpy, which the command `gateway` does not need.
    from tiffin.rollout.places import Places

    running, status = _find_parts(state)
    metrics = status.metrics.removesuffix("/metrics")
    return Places(status.stable, status.candidate, running.address, metrics, log=status.log_root)


def find_variables(state: str | Path) -> dict[str, str]:
    """Return the environment variables with the servers and the gateway of a state folder, for the steps of a run.

    Raises:
        ServingError: No gateway is running.
    """
    running, status = _find_parts(state)
    return {
        "TIFFIN_SERVING_ADDRESS": status.stable,
        "TIFFIN_CANDIDATE_ADDRESS": status.candidate_address,
        GATEWAY_SERVICE.variable: running.address,
        "TIFFIN_GATEWAY_METRICS": status.metrics.removesuffix("/metrics"),
        "TIFFIN_LOG_ROOT": status.log_root,
        # Those of a cluster.
        "TIFFIN_CANDIDATE_DEPLOYMENT": "",
        "TIFFIN_PROMETHEUS": "",
        "TIFFIN_ROUTES": "",
    }


def _find_parts(state: str | Path) -> tuple[Server, Status]:
    running, status = find_gateway(state), read_status(state)
    if running is None or status is None:
        raise ServingError(
            f"A rollout needs the gateway of '{state}'. Received: none is running. Start it with: tiffin gateway",
            "UNAVAILABLE",
        )
    return running, status


def read_traffic(state: str | Path) -> dict[str, Served]:
    """Return where the requests for each model of a state folder go.

    Raises:
        InputError: The file of the serving root is invalid.
    """
    root = str(serving_root(state))
    return dict(sorted(parse_table(storage.read(storage.join(root, GATEWAY_FILE)), root).models.items()))


def describe_traffic(served: Served) -> str:
    """Return where the requests for a model go, such as `80 % to version 1, 20 % to the candidate, version 2`."""
    stable = "no version" if served.version is None else f"version {served.version}"
    traffic = served.traffic
    if traffic.candidate is None:
        return f"all requests to {stable}"
    candidate = f"the candidate, version {traffic.candidate}"
    if traffic.mirror:
        return f"all requests to {stable}, copies of {traffic.mirror:g} % to {candidate}"
    sticky = f", by the header {traffic.sticky}" if traffic.sticky else ""
    return f"{100 - traffic.weight:g} % to {stable}, {traffic.weight:g} % to {candidate}{sticky}"
