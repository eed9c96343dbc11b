"""Provide a Docker engine to tests: the running one, or Debian's, with a temporary data root and socket."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from images.builder import docker_clients
from tiffin.errors import TiffinError
from tiffin.local.containers.engine import refuse_podman

_DAEMON = "/usr/sbin/dockerd"
# Debian's packages run this program before they start a service; exit status 101 prevents the start.
_POLICY = Path("/usr/sbin/policy-rc.d")


@contextlib.contextmanager
def running_engine() -> Iterator[str]:
    """Yield the address of an engine.

    A running engine is used as it is. Otherwise, install Debian's if missing, start it, and set DOCKER_HOST. On exit, stop
    it and delete its data.

    Raises:
        TiffinError: The running engine is podman, DOCKER_HOST does not respond, or Debian's engine cannot be started.
    """
    before = os.environ.get("DOCKER_HOST")
    if is_running():
        yield before or "unix:///var/run/docker.sock"
        return
    if before:
        raise TiffinError(
            f"No response from a Docker engine at DOCKER_HOST='{before}'. Start the engine, or unset DOCKER_HOST."
        )
    install()
    with tempfile.TemporaryDirectory(prefix="tiffin-engine-", dir=os.environ.get("TIFFIN_ENGINE_ROOT")) as folder:
        os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        try:
            with _daemon(Path(folder)):
                yield os.environ["DOCKER_HOST"]
        finally:
            del os.environ["DOCKER_HOST"]


def find_client() -> str:
    """Return the path of Docker's client.

    Raises:
        TiffinError: No client is installed.
    """
    clients = docker_clients()
    if not clients:
        raise TiffinError("No Docker client on the PATH. Install docker.io.")
    return clients[0]


def is_running() -> bool:
    """Return whether an engine responds at DOCKER_HOST or the default socket.

    Raises:
        TiffinError: The engine is podman.
    """
    for client in docker_clients():
        answer = subprocess.run(
            [client, "version", "--format", "{{json .Server}}"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0 and answer.stdout.strip() not in ("", "null"):
            refuse_podman(json.loads(answer.stdout), os.environ.get("DOCKER_HOST", "the default socket"))
            return True
    return False


def install() -> None:
    """Install Debian's engine if missing.

    Raises:
        TiffinError: The user is not root, or apt-get is missing.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise TiffinError(
            "No Docker engine is running, and installing Debian's requires root and apt-get. Start an engine, or set "
            "DOCKER_HOST."
        )
    install_packages({"dockerd": "docker.io", "docker": "docker.io", "mmdebstrap": "mmdebstrap"})


def install_packages(packages: Mapping[str, str]) -> None:
    """Install the Debian packages of missing programs, without starting services. Requires root.

    Args:
        packages: Program -> Debian package.
    """
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = {package for program, package in packages.items() if not shutil.which(program, path=places)}
    if not missing:
        return
    assert os.geteuid() == 0, f"Install {' and '.join(sorted(missing))}, or run as root."
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        for arguments in (["update"], ["install", "--no-install-recommends", "--yes", *sorted(missing)]):
            subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdout=sys.stderr, check=True)
    finally:
        if ours:
            _POLICY.unlink()


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[None]:
    log = folder / "dockerd.log"
    had_bridge = Path("/sys/class/net/docker0").exists()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                # Stop the daemon when this process ends, even if it is killed.
                "setpriv", "--pdeathsig=TERM",
                _DAEMON, f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'pid'}", f"--host=unix://{folder}/docker.sock",
            ],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(errors="replace").splitlines()
                raise TiffinError("Docker's engine did not start. End of its log: " + " / ".join(lines[-3:]))
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A container with the host's network leaves its namespace mounted.
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        if not had_bridge and shutil.which("ip"):
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
