"""The gateway of a state folder: Envoy in front of the model servers, with the recorder of the prediction log.

<state>/gateway/                 its files, see `tiffin.local.programs`
<state>/gateway/status.json      {"metrics", "recorder", "candidate", …}: addresses of its parts
<state>/gateway/*.log            the logs of its parts
<state>/predictions/             the prediction log
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.local import programs
from tiffin.local.programs import Program

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
        metrics: URL of Envoy's metrics.
        log_root: Folder of the prediction log; empty if requests are not recorded.
        recorder_metrics: URL of the recorder's metrics; empty if requests are not recorded.
        candidate: `host:port` of the candidate server's gRPC API; empty if it does not run.
        restarts: Name of a part to the number of times that it ended and was started again.
    """

    stable: str
    metrics: str
    log_root: str
    recorder_metrics: str
    candidate: str
    restarts: dict[str, int]


def prediction_log(state: str | Path) -> Path:
    """Return the folder of the prediction log of a state folder."""
    return Path(state).absolute() / "predictions"


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


def show(status: Status) -> str:
    """Return a status as text of JSON."""
    return json.dumps(documents.to_json(status))
