"""A Docker engine for tests: the one that answers, or Debian's, started in a private data root on a private socket."""

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
# Asked by Debian's packages whether their services may start; 101 says no.
_POLICY = Path("/usr/sbin/policy-rc.d")


@contextlib.contextmanager
def running_engine() -> Iterator[str]:
    """Yield the address of an engine, and have it in DOCKER_HOST meanwhile.

    One that answers is used as it is. Otherwise Debian's is installed where it is missing, started, and stopped at the
    end, with all that it kept.

    Raises:
        TiffinError: What answers is podman, or an engine is needed and this user may not start one.
    """
    before = os.environ.get("DOCKER_HOST")
    if answers():
        yield before or "unix:///var/run/docker.sock"
        return
    if before:
        raise TiffinError(
            f"DOCKER_HOST should name an engine that answers. Received: '{before}'. Start it, or unset it."
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
    """Return Docker's client.

    Raises:
        TiffinError: There is none.
    """
    clients = docker_clients()
    if not clients:
        raise TiffinError("Docker's client should be installed. Received: none on the PATH. Install docker.io.")
    return clients[0]


def answers() -> bool:
    """Return whether an engine answers at DOCKER_HOST or the usual socket.

    Raises:
        TiffinError: It is podman.
    """
    for client in docker_clients():
        answer = subprocess.run(
            [client, "version", "--format", "{{json .Server}}"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0 and answer.stdout.strip() not in ("", "null"):
            refuse_podman(json.loads(answer.stdout), os.environ.get("DOCKER_HOST", "the usual socket"))
            return True
    return False


def install() -> None:
    """Install Debian's engine where it is missing.

    Raises:
        TiffinError: This is no Debian, or this user is not root.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise TiffinError(
            "No Docker engine answers. Starting Debian's own needs root and apt-get. Start an engine, or name one in "
            "DOCKER_HOST."
        )
    install_packages({"dockerd": "docker.io", "docker": "docker.io", "mmdebstrap": "mmdebstrap"})


def install_packages(packages: Mapping[str, str]) -> None:
    """Install Debian's packages of the programs that are missing, as root, without starting the services in them."""
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = {package for program, package in packages.items() if not shutil.which(program, path=places)}
    if not missing:
        return
    assert os.geteuid() == 0, f"Install Debian's {' and '.join(sorted(missing))} first, or run this as root."
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
                # Whatever ends this process, however suddenly, the daemon goes with it.
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
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(errors="replace").splitlines()
                raise TiffinError("Docker's engine did not start. It said: " + " / ".join(lines[-3:]))
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A container with the host's network leaves a mount of its namespace behind.
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        if not had_bridge and shutil.which("ip"):
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
