"""Rollouts one after another behind a gateway, under load, of which any process may be killed at any moment."""

import contextlib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

from support import rollouts
from support.command_line import start
from support.waiting import free_port, until
from tiffin.local import gateway, serving
from tiffin.rollout.document import read_rollout
from tiffin.serving import tensors, wire
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel

KINDS = ("server", "candidate", "envoy", "recorder", "gateway", "driver")
# The version of which copies fail. It loads, since its warm-up has smaller inputs than the load.
BAD, FAILS_ABOVE = 4, 1.5

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_CLIENTS, _PER_SECOND = 4, 25.0
# No retries, and soon a new connection.
_CHANNEL = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)
_QUICK = ("minutes=0.03,min_requests=30", "--look=0.3", "--max-latency-ratio=1000")


@dataclass(frozen=True)
class Failure:
    """A request that failed: the monotonic times of its start and its end, its code and its message."""

    begun: float
    ended: float
    code: str
    message: str


class Load:
    """Clients without retries. Each notes its failures and counts its answers."""

    def __init__(self, address: str) -> None:
        self.answered: Counter[float] = Counter()
        self.failures: list[Failure] = []
        self._address, self._over = address, threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(_CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with connect(self._address) as ask:
            while not self._over.wait(1 / _PER_SECOND):
                begun = time.monotonic()
                try:
                    self.answered[ask()] += 1
                except grpc.RpcError as error:
                    self.failures.append(Failure(begun, time.monotonic(), error.code().name, error.details()))  # type: ignore[attr-defined]


@contextlib.contextmanager
def connect(address: str) -> Iterator["Ask"]:
    """Yield a function that sends a request and returns the version that answered."""
    with grpc.insecure_channel(address, options=_CHANNEL) as channel:
        yield Ask(channel)


class Ask:
    """Sends a request on a channel, and returns the version that answered."""

    def __init__(self, channel: grpc.Channel) -> None:
        request = wire.PredictRequest()
        request.model_spec.name = "taxi"
        tensors.to_proto(np.full((1, 3), 2, np.float32), request.inputs["x"])
        self._content, self._call = request.SerializeToString(), channel.unary_unary(_PREDICT)

    def __call__(self) -> float:
        response = wire.PredictResponse.FromString(self._call(self._content, timeout=60))
        return float(tensors.from_proto(response.outputs["y"])[0][0]) - 12


@dataclass
class Scene:
    """A state folder with a gateway, and rollouts that somebody always drives.

    Attributes:
        served: The model, with the versions 1 to 4.
        port: Port of the gateway.
        ended: Outcomes of the rollouts that ended, in turn.
        resumed: Exit status of each process that drove a rollout and did not end it.
    """

    served: ServedModel
    port: int = field(default_factory=free_port)
    ended: list[str] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)
    _driver: subprocess.Popen[str] | None = None
    _gateway: subprocess.Popen[str] | None = None
    _started: int = 0

    @property
    def state(self) -> Path:
        return Path(self.served.root).parent

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_answered(self) -> bool:
        with connect(self.address) as ask, contextlib.suppress(grpc.RpcError):
            return ask() in (*rollouts.VERSIONS, BAD)
        return False

    def keep_gateway(self) -> None:
        """Start the gateway unless it runs, and wait until it answers."""

        def is_running() -> bool:
            if self._gateway is None or self._gateway.poll() is not None:
                if self._gateway is not None:
                    self._gateway.communicate()
                self._gateway = start("gateway", "--state", self.state, "--port", self.port)
            return self.is_answered()

        assert until(is_running, 120)

    def keep_driving(self) -> None:
        """Go on with the rollout under way, or start the next one, unless somebody drives one."""
        if self._driver is not None:
            if self._driver.poll() is None:
                return
            self._driver.communicate()
        found, _ = read_rollout(self.served)
        if found is not None and not found.is_over:
            if self._driver is not None:
                self.resumed.append(self._driver.returncode)
            self._driver = start("rollout", "resume", "taxi", "--state", self.state, "--why", "a kill")
            return
        if found is not None:
            self.ended.append(found.outcome)
        self._started += 1
        champion = read_history(self.served).standing.champion or 1
        version = BAD if self._started % 3 == 0 else 1 + champion % len(rollouts.VERSIONS)
        steps, *options = _QUICK
        self._driver = start(
            "rollout", "start", "taxi", version, "--state", self.state, "--why", "a test", "--strategy", "shadow_canary",
            f"--step=mirror=100,{steps}", f"--step=weight=50,{steps}", *options,
        )  # fmt: skip

    def find(self, kind: str) -> int | None:
        """Return the process id of a part; None if it does not run."""
        if kind == "driver":
            return self._driver.pid if self._driver and self._driver.poll() is None else None
        if kind == "server":
            server = serving.find_server(self.state)
            return server.pid if server else None
        running = gateway.find_gateway(self.state)
        if running is None or kind == "gateway":
            return running.pid if running else None
        marks = {"envoy": "/envoy\0", "recorder": "tiffin.recorder\0", "candidate": "--track=candidate\0"}
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
                if marks[kind] in Path(f"/proc/{child}/cmdline").read_text():
                    return int(child)
        return None

    def finish(self) -> None:
        """Drive the last rollout to its end."""

        def is_over() -> bool:
            found, _ = read_rollout(self.served)
            if found is not None and not found.is_over:
                self.keep_driving()
            return found is None or found.is_over

        assert until(is_over, 180)
        if self._driver is not None:
            self._driver.communicate()

    def stop(self) -> None:
        """End all processes."""
        if self._driver is not None and self._driver.poll() is None:
            self._driver.kill()
            self._driver.communicate()
        gateway.stop_gateway(self.state)
        serving.stop_server(self.state)
        if self._gateway is not None:
            self._gateway.communicate(timeout=60)
