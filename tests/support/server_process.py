"""A model server process with clients, and a model run that a test can pause."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest


@contextlib.contextmanager
def nursery(folder: pathlib.Path) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Fork servers from a process with TensorFlow imported; importing it in each would take most of the tests' time."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **os.environ}
    command = [sys.executable, str(pathlib.Path(__file__).with_name("nursery.py"))]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        assert json.loads(stdout.readline()) == "ready"

        def order(message: dict[str, Any]) -> Any:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield order
        stdin.close()


class Server:
    """A server process with its gRPC and REST clients."""

    def __init__(self, nursery: Any, port: int, rest_port: int, log: pathlib.Path, argv: list[str]) -> None:
        self._nursery = nursery
        self.port, self.rest_port, self.log_path, self.argv = port, rest_port, log, argv
        self.pid = nursery({"argv": argv, "log": str(log)})
        self.address = f"127.0.0.1:{port}"
        self._channels: list[Any] = []

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def channel(self, *options: tuple[str, Any]) -> Any:
        channel = grpc.insecure_channel(
            self.address, [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *options]
        )
        self._channels.append(channel)
        return channel

    def wait(self, seconds: float = 60) -> "Server":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.status() is not None:
                break
            if self.is_open() and (not self.rest_port or self.is_open(self.rest_port)):
                return self
            time.sleep(0.02)
        pytest.fail(f"The server did not start:\n{self.log[-4000:]}")

    def is_open(self, port: int = 0) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port or self.port), 1):
            return True
        return False

    def status(self) -> int | None:
        return self._nursery({"poll": self.pid})

    def exit(self, seconds: float = 90) -> int:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if status is not None:
                return status
            time.sleep(0.02)
        pytest.fail(f"The server did not exit:\n{self.log[-4000:]}")

    def stop(self) -> int:
        for channel in self._channels:
            channel.close()
        if self.status() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        return self.exit()

    def call(self, method: str, request: Any, response: Any, timeout: float = 30) -> Any:
        """Call a gRPC method by its name without the service."""
        service = "ModelService" if method in ("GetModelStatus", "HandleReloadConfigRequest") else "PredictionService"
        if not self._channels:
            self.channel()
        call = self._channels[0].unary_unary(f"/tensorflow.serving.{service}/{method}")
        content = request if isinstance(request, bytes) else request.SerializeToString()
        return response.FromString(call(content, timeout=timeout, wait_for_ready=True))

    def rest(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, str]:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def resident_mib(self) -> float:
        return self._memory_mib("VmRSS")

    def peak_mib(self) -> float:
        return self._memory_mib("VmHWM")

    def _memory_mib(self, name: str) -> float:
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) / 1024


class Pause:
    """Two pipes that control a run of the signature `wait` of the model `tools`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.begun, self.over = folder / "begun", folder / "over"
        for path in (self.begun, self.over):
            os.mkfifo(path)

    @property
    def inputs(self) -> dict[str, list[str]]:
        return {"paths": [str(self.begun), str(self.over)]}

    def wait(self) -> None:
        """Wait until the run has begun."""
        assert self.begun.read_bytes() == b"begun"

    def end(self) -> None:
        """Let the run finish."""
        assert self.over.read_bytes() == b"over"
