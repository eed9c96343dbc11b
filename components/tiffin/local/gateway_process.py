"""The process of the local gateway: runs Envoy, the recorder and, during a rollout, the candidate server.

    python -m tiffin.local.gateway_process --state=.tiffin --host=127.0.0.1 --port=8600

A part that ends is started again. If this process is killed, its guardian ends the parts.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import envoy

from tiffin.artifacts import documents
from tiffin.errors import TiffinError, explain
from tiffin.gateway import admin
from tiffin.gateway.clusters import Upstreams
from tiffin.gateway.envoy import BOOTSTRAP, Places, make_bootstrap
from tiffin.gateway.following import Follower
from tiffin.local import companion, gateway, serving
from tiffin.local.environments import find_python
from tiffin.local.guarding import Guard, guarded_folder
from tiffin.local.ports import find_port
from tiffin.local.programs import is_open
from tiffin.serving import model_config
from tiffin.serving.root import CANDIDATE, find_configs
from tiffin.signals import StopSignal
from tiffin.storage.files import write_json

_LOOK_SECONDS = 0.1
# A part that ended is started again at once, and after a pause that grows if it ends again soon.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.0, 10.0
# Time that a part runs after which the next pause is the shortest again.
_STEADY_SECONDS = 30.0
# Time for which Envoy waits for the recorder at the start.
_RECORDER_SECONDS = 10.0
# Attempts to start Envoy.
_MOST_FAILURES = 3
# The candidate server stays for this long without a candidate, so that requests under way are answered.
_IDLE_SECONDS = 10.0
_STOP_SECONDS = 10.0
_LOCAL = "127.0.0.1"


@dataclass
class Part:
    """A program that the gateway runs.

    Attributes:
        name: Its name; also that of its log.
        command: Its command.
        restarts: Number of times that it ended and was started again.
    """

    name: str
    command: Sequence[str]
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _pause: float = _SHORTEST_PAUSE

    def keep_running(self, folder: Path, guard: Guard) -> None:
        """Start the program if it does not run. A program that ends again and again waits longer each time."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            guard.remove(self._process.pid)
            _log(f"{self.name} ended with status {self._process.returncode}")
            ran, self._process = time.monotonic() - self._started, None
            self._pause = (
                _SHORTEST_PAUSE
                if ran > _STEADY_SECONDS or not self.restarts
                else min(2 * self._pause + 0.1, _LONGEST_PAUSE)
            )
            self.restarts += 1
        if self.restarts and time.monotonic() < self._started + self._pause:
            return
        self._started = time.monotonic()
        with (folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        guard.add(self._process.pid)

    def stop(self, guard: Guard) -> None:
        """End the program; kill it if it does not end in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        guard.remove(self._process.pid)
        self._process = None


@dataclass
class Gateway:
    """The running gateway of a state folder.

    Attributes:
        state: The state folder.
        places: Where Envoy listens.
        guard: Ends the parts if this process is killed.
        recorder_metrics: URL of the recorder's metrics; empty if requests are not recorded.
    """

    state: Path
    places: Places
    guard: Guard
    recorder_metrics: str
    _parts: list[Part] = field(default_factory=list)
    _candidate: Part | None = None
    # Reserved from the start, so that the steps of a run know the address before the server runs.
    _candidate_ports: tuple[int, int] = field(default_factory=lambda: (find_port(_LOCAL, 0), find_port(_LOCAL, 0)))
    _rest: str = ""
    _needed: float = 0.0
    _is_ready: bool = False
    _has_recorder: bool = False
    _begun: float = field(default_factory=time.monotonic)
    _status: gateway.Status | None = None

    def run(self, stopped: StopSignal) -> None:
        """Follow the serving root and keep the parts running until `stopped` is set or the state folder is removed."""
        root, folder = str(serving.serving_root(self.state)), gateway.gateway_folder(self.state)
        follower = Follower(root, self.places.folder, self._upstreams(), self.places.admin, _log)
        write_json(self.places.folder / BOOTSTRAP, make_bootstrap(self.places))
        try:
            while not stopped.is_set() and folder.is_dir():
                try:
                    self._keep_candidate(folder)
                    follower.upstreams = self._upstreams()
                    follower.follow()
                    for part in self._parts:
                        if part.name != "envoy" or self._is_recorder_open():
                            part.keep_running(folder, self.guard)
                    self._write_status()
                    self._check_start()
                except (TiffinError, OSError) as error:
                    _log(explain(error) or repr(error))
                stopped.wait(_LOOK_SECONDS)
        finally:
            with contextlib.suppress(TiffinError):
                admin.drain(self.places.admin)
            # Envoy, which was added last, is stopped first.
            for part in reversed([*self._parts, *([self._candidate] if self._candidate else [])]):
                part.stop(self.guard)

    def _is_recorder_open(self) -> bool:
        """Return whether the recorder takes the first requests, or is too late for them."""
        self._has_recorder = (
            self._has_recorder
            or not self.places.recorder
            or is_open(self.places.recorder)
            or time.monotonic() > self._begun + _RECORDER_SECONDS
        )
        return self._has_recorder

    def _check_start(self) -> None:
        """End this process if Envoy has never answered and does not start."""
        self._is_ready = self._is_ready or self.places.admin.exists()
        failed = next((part for part in self._parts if part.name == "envoy" and part.restarts >= _MOST_FAILURES), None)
        if failed and not self._is_ready:
            raise SystemExit(f"error: Envoy did not start. See {gateway.gateway_folder(self.state) / 'envoy.log'}.")

    def add(self, name: str, command: Sequence[str]) -> None:
        """Add a part that runs as long as the gateway."""
        self._parts.append(Part(name, command))

    def _upstreams(self) -> Upstreams:
        running = serving.find_server(self.state)
        if running is None:
            # Also after the server of a run ended with the run.
            port = find_port(_LOCAL, 0)
            running, started = serving.start_server(self.state, [f"--rest-port={port}"])
            # The server itself tells it later.
            self._rest = f"{_LOCAL}:{port}" if started else ""
        self._rest = serving.rest_address(self.state) or self._rest
        grpc, rest = (f"{_LOCAL}:{port}" if self._candidate else "" for port in self._candidate_ports)
        return Upstreams(running.address, self._rest, grpc, rest, str(self.places.mirror))

    def _keep_candidate(self, folder: Path) -> None:
        """Run the candidate server while a model has a candidate, as a cluster scales it from zero."""
        now = time.monotonic()
        if any(map(_has_models, find_configs(serving.serving_root(self.state), CANDIDATE))):
            self._needed = now
            if self._candidate is None:
                grpc, rest = self._candidate_ports
                module = [find_python("model"), "-m", "tiffin.local.server_process", "--track=candidate"]
                options = [f"--state={self.state}", f"--host={_LOCAL}", f"--port={grpc}", f"--rest-port={rest}"]
                self._candidate = Part("candidate", [*module, *options])
        if self._candidate and now > self._needed + _IDLE_SECONDS:
            self._candidate.stop(self.guard)
            self._candidate = None
        if self._candidate:
            self._candidate.keep_running(folder, self.guard)

    def _write_status(self) -> None:
        parts = [*self._parts, *([self._candidate] if self._candidate else [])]
        running = serving.find_server(self.state)
        status = gateway.Status(
            stable=running.address if running else "",
            stable_rest=self._rest,
            metrics=f"http://{self.places.metrics_host}:{self.places.metrics_port}/metrics",
            log_root=str(serving.prediction_log(self.state)) if self.places.recorder else "",
            recorder_metrics=self.recorder_metrics,
            candidate=f"{_LOCAL}:{self._candidate_ports[0]}" if self._candidate else "",
            candidate_address=f"{_LOCAL}:{self._candidate_ports[0]}",
            restarts={part.name: part.restarts for part in parts if part.restarts},
        )
        if status != self._status:
            documents.write(gateway.status_path(self.state), status)
            self._status = status


def main() -> int:
    """Run the gateway until SIGTERM, Ctrl-C, or the removal of the state folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--record-all", action="store_true")
    parser.add_argument("--log-seconds", type=int, default=60)
    options = parser.parse_args()
    os.chdir("/")
    stopped = StopSignal()
    recorder, metrics = find_port(_LOCAL, 0), find_port(_LOCAL, 0)
    with _needing_server(options.state), guarded_folder() as guard:
        places = Places(
            guard.folder, options.host, options.port, _LOCAL, find_port(_LOCAL, 0),
            "" if options.no_record else f"{_LOCAL}:{recorder}",
            "" if options.record_all else str(guard.folder / "throttle"),
        )  # fmt: skip
        running = Gateway(
            options.state, places, guard, "" if options.no_record else f"http://{_LOCAL}:{metrics}/metrics"
        )
        if not options.no_record:
            log, root = serving.prediction_log(options.state), serving.serving_root(options.state)
            running.add("recorder", [
                sys.executable, "-m", "tiffin.recorder", f"--log-root={log}", f"--serving-root={root}",
                f"--port={recorder}", f"--metrics-port={metrics}", f"--max-file-age={options.log_seconds}s",
                *([f"--throttle={places.throttle}"] if places.throttle else []),
            ])  # fmt: skip
        running.add("envoy", [
            str(Path(envoy.__path__[0], "_bin", "envoy")), "-c", str(guard.folder / BOOTSTRAP), "--disable-hot-restart",
            "--concurrency", str(min(4, os.cpu_count() or 1)), "--log-level", "warning",
        ])  # fmt: skip
        try:
            running.run(stopped)
        finally:
            gateway.status_path(options.state).unlink(missing_ok=True)
    return 0


@contextlib.contextmanager
def _needing_server(state: Path) -> Iterator[None]:
    """Keep others from stopping the model server, and stop it afterwards if nothing else needs it."""
    with companion.needing(state):
        was_running = serving.is_running(state)
        yield
    if not was_running:
        companion.stop_unless_needed(state)


def _has_models(config: Path) -> bool:
    try:
        return bool(model_config.read_config(config.read_text()).model_config_list.config)
    except (OSError, ValueError, TiffinError):
        return False


def _log(text: str) -> None:
    sys.stderr.write(f"tiffin gateway: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    status = main()
    # A second signal, while Python ends, would give another exit status.
    os._exit(status)
