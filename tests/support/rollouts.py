"""A model server with three versions of a model, and promotions and rollbacks of them one after another."""

import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.load import Sent
from tiffin.governance.acceptance import accept
from tiffin.governance.promotion import check_in_service, promoting, roll_back
from tiffin.local import serving
from tiffin.local.environments import find_python
from tiffin.serving import Client
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import ServedModel

# Inputs of the model; the answer of a version is its number plus 6.
INPUTS = {"x": [[1.0, 1.0, 1.0]]}
VERSIONS = (1, 2, 3)

_AUTHOR = Author("ada", "a load test")
_DEADLINE_SECONDS = 60.0
# The server unloads the version before after it has answered with the next one.
_SETTLING_SECONDS = 2.0
# Runs in the environment `model`.
_SAVE = """
import json, sys
from pathlib import Path
from support.tiny_models import save_score
from tiffin.serving.warmup import write_warmup

folder, versions, inputs, fails_above = json.loads(sys.argv[1])
for version in versions:
    save_score(Path(folder, str(version)), float(version), fails_above)
    write_warmup(Path(folder, str(version)), "taxi", inputs)
"""


@dataclass(frozen=True)
class Change:
    """A promotion or a rollback.

    Attributes:
        action: `promote` or `rollback`.
        version: Version that is served afterwards.
        begun: Monotonic time at its start, in seconds.
        seconds: Time until the server answered requests without a version with this one.
    """

    action: str
    version: int
    begun: float
    seconds: float


def publish_versions(
    served: ServedModel, saved: Path, versions: Sequence[int], fails_above: float | None = None
) -> None:
    """Publish versions; with `fails_above`, they fail for larger inputs."""
    arguments = json.dumps([str(saved), versions, INPUTS, fails_above])
    command = [find_python("model"), "-W", "ignore", "-c", _SAVE, arguments]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert ended.returncode == 0, ended.stderr[-2000:]
    for version in versions:
        served.publish(saved / str(version), version)


def publish(folder: Path) -> ServedModel:
    """Publish the versions in the state folder `state` of a folder, and promote the first one."""
    served = ServedModel(str(serving.serving_root(folder / "state")), "taxi")
    publish_versions(served, folder / "models", VERSIONS)
    with promoting(served, VERSIONS[0], _AUTHOR):
        pass
    return served


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[tuple[ServedModel, serving.Server]]:
    """Publish the versions in a state folder, promote the first one, and run the model server of the folder."""
    served, state = publish(folder), folder / "state"
    server, _ = serving.start_server(state)
    try:
        serving.wait_until_open(server)
        yield served, server
    finally:
        serving.stop_server(state)


def change_in_turn(served: ServedModel, address: str, seconds: float, every: float) -> list[Change]:
    """Promote a version and roll back in turn for some seconds, and return the changes.

    Args:
        served: The model, with the first version in service.
        address: Address of the model server.
        seconds: Time to go on, in seconds.
        every: Time from the start of a change to the start of the next one, in seconds.

    Raises:
        ServingError: The server did not answer with a version.
    """
    changes: list[Change] = []
    begun = time.monotonic()
    with Client(address) as client:
        while (due := begun + (len(changes) + 1) * every) < begun + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            changes.append(_change(served, client, len(changes)))
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    return changes


def _change(served: ServedModel, client: Client, number: int) -> Change:
    begun = time.monotonic()
    if number % 2:
        action, version = "rollback", read_history(served).standing.previous or 0
        roll_back(served, _AUTHOR)
        accept(client.address, served, version, None, _DEADLINE_SECONDS, lambda: check_in_service(served, version))
    else:
        action, version = "promote", VERSIONS[1 + number // 2 % 2]
        with promoting(served, version, _AUTHOR) as check:
            accept(client.address, served, version, None, _DEADLINE_SECONDS, check)
    answer = float(client.predict(served.name, INPUTS)["y"][0][0])
    if answer != 6 + version:
        raise AssertionError(f"version {version} was accepted, but the answer is that of version {answer - 6:g}")
    return Change(action, version, begun, time.monotonic() - begun)


def latencies_by_change(sent: Sent, changes: Sequence[Change]) -> tuple[list[float], list[float]]:
    """Return the sorted latencies of the requests while nothing changed, and of those during a change."""
    spans = [(one.begun, one.begun + one.seconds + _SETTLING_SECONDS) for one in changes]
    apart: tuple[list[float], list[float]] = ([], [])
    for due, seconds in sent.latencies:
        apart[any(begin <= due <= end for begin, end in spans)].append(seconds)
    return sorted(apart[0]), sorted(apart[1])


def resident_mib(server: serving.Server) -> float:
    """Return the resident memory of a server's process."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def median_and_longest(changes: Sequence[Change], action: str) -> tuple[float, float]:
    """Return the median and the largest number of seconds of the changes of one kind."""
    found = [one.seconds for one in changes if one.action == action]
    return (statistics.median(found), max(found)) if found else (float("nan"), float("nan"))
