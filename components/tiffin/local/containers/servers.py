"""The MLflow server and the model server of a run in containers, on the run's network."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tiffin import images
from tiffin.errors import TiffinError
from tiffin.local import serving
from tiffin.local.containers.engine import OWNER, owner
from tiffin.local.records import database
from tiffin.stages.traits import database_uri

TRACKING_ADDRESS = "tracking:5000"
SERVING_ADDRESS = "serving:8500"

# Restrictions of every container of a run.
CLOSED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 4096,
}

_READY = """
import socket, sys, time
deadline = time.monotonic() + 90
while True:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.1)
"""


@contextlib.contextmanager
def network(client: Any, is_closed: bool) -> Iterator[str]:
    """Yield the name of a network for one run.

    Args:
        client: Client of the engine.
        is_closed: Whether the network reaches only its own containers.
    """
    # Without an IPv4 address of the host in the network, the host is unreachable as well.
    options = {"com.docker.network.bridge.inhibit_ipv4": "true"} if is_closed else {}
    made = client.networks.create(
        f"tiffin-{os.getpid()}-{time.time_ns()}", internal=is_closed, options=options, labels={OWNER: owner()}
    )
    try:
        yield made.name
    finally:
        made.remove()


class Servers:
    """The servers of one run.

    Args:
        client: Client of the engine.
        network: Name of the run's network.
        state: The state folder.
        user: User of the containers as uid:gid.
        logs: Folder for their logs.
    """

    def __init__(self, client: Any, network: str, state: Path, user: str, logs: Path) -> None:
        self._client = client
        self._network = network
        self._state = state
        self._user = user
        self._logs = logs
        self._running: dict[str, Any] = {}

    def start(self, names: Iterable[str]) -> None:
        """Start the servers `tracking` or `serving`, without waiting until they answer."""
        for name in names:
            command, mounts = (self._tracking if name == "tracking" else self._serving)()
            endpoint = self._client.api.create_endpoint_config(aliases=[name])
            container = self._client.containers.create(
                images.MODEL,
                command,
                user=self._user,
                # MLflow's job queue is for evaluating language models; the image does not contain it.
                environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                mounts=mounts,
                tmpfs={"/tmp": "mode=1777"},  # noqa: S108 - inside the container
                mem_limit="4g",
                labels={OWNER: owner()},
                network=self._network,
                networking_config={self._network: endpoint},
                **CLOSED,
            )
            self._running[name] = container
            container.start()

    def wait(self, name: str) -> None:
        """Wait until a started server answers.

        Raises:
            TiffinError: The server ended, or did not answer within 90 s.
        """
        container = self._running.get(name)
        if container is None:
            return
        from docker.errors import APIError

        port = (TRACKING_ADDRESS if name == "tracking" else SERVING_ADDRESS).rpartition(":")[2]
        try:
            code, _ = container.exec_run(["python3", "-c", _READY, port])
        except APIError:
            code = 1
        if code != 0:
            self._write_log(name)
            raise TiffinError(f"No response from the {name} server in its container. See {self._logs / f'{name}.log'}.")

    def stop(self) -> None:
        """Remove the servers, and keep their logs."""
        for name, container in self._running.items():
            self._write_log(name)
            container.remove(force=True, v=True)
        self._running.clear()

    def _write_log(self, name: str) -> None:
        (self._logs / f"{name}.log").write_bytes(self._running[name].logs())

    def _tracking(self) -> tuple[list[str], list[Any]]:
        # Steps write model files directly to the artifact folder, as they do without a server, so that runs with and
        # without containers share one registry.
        port = TRACKING_ADDRESS.rpartition(":")[2]
        command = [
            "mlflow", "server", "--host=0.0.0.0", f"--port={port}", "--workers=1", "--no-serve-artifacts",
            "--allowed-hosts=*", f"--backend-store-uri={database_uri(database(self._state))}",
            f"--default-artifact-root={self._state / 'mlflow'}",
        ]  # fmt: skip
        return command, [mount(self._state)]

    def _serving(self) -> tuple[list[str], list[Any]]:
        port = SERVING_ADDRESS.rpartition(":")[2]
        command = [
            "python3", "-m", "tiffin.local.server_process", f"--state={self._state}", "--host=0.0.0.0", f"--port={port}",
        ]  # fmt: skip
        import docker

        # Its own files stay in the container: another server may be running for the state folder outside.
        own = docker.types.Mount(str(serving.server_folder(self._state)), None, type="tmpfs", tmpfs_mode=0o1777)
        return command, [mount(serving.serving_root(self._state), read_only=True), own]


def mount(path: Path, *, read_only: bool = False) -> Any:
    """Return the mount of a local file or folder at the same path in a container."""
    import docker

    return docker.types.Mount(str(path), str(path), type="bind", read_only=read_only)
