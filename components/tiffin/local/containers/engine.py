"""The Docker engine that `tiffin run --docker` runs its steps with: found, checked, and asked for its images."""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from tiffin.errors import InputError, TiffinError

# On every container and network of a run: who takes them away again.
OWNER = "tiffin.owner"


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Yield a client of the engine that DOCKER_HOST names, or of the one on this machine.

    Raises:
        TiffinError: No engine answers, or one answers that does not report how a container ended.
    """
    import docker
    from docker.errors import DockerException

    where = os.environ.get("DOCKER_HOST") or "the engine of this machine"
    try:
        client = docker.from_env(timeout=600)
        version = client.version()
    except DockerException as error:
        raise TiffinError(
            f"--docker needs a Docker engine that answers. Received from {where}: {error}. "
            "Start one, or name its socket in DOCKER_HOST. Without --docker, no engine is needed."
        ) from None
    try:
        refuse_podman(version, where)
        sweep(client)
        yield client
    finally:
        client.close()


def refuse_podman(version: dict[str, Any], where: str) -> None:
    """Raise TiffinError if what answers as Docker is podman.

    Args:
        version: What the engine says about itself.
        where: Its address.
    """
    names = [str(component.get("Name", "")) for component in version.get("Components") or []]
    if any("podman" in name.lower() for name in names):
        raise TiffinError(
            f"--docker needs Docker's own engine. Received: podman at {where}, whose socket reports steps that failed as "
            "succeeded. Use Docker's, or leave --docker out."
        )


def check_images(client: Any, names: Iterable[str]) -> None:
    """Accept the images of a spec.

    Raises:
        InputError: The engine does not have one of them. Nothing is pulled: the tag of an image that was built here may
            be somebody else's in a registry.
    """
    from docker.errors import ImageNotFound

    missing = []
    for name in sorted(set(names)):
        try:
            client.images.get(name)
        except ImageNotFound:
            missing.append(name)
    if missing:
        raise InputError(
            f"The engine should have the spec's images. Received: {', '.join(missing)}, not there. Run `make images`, or "
            "`docker pull` one that was published; TIFFIN_IMAGE_PREFIX is what both put before the names."
        )


def owner() -> str:
    """Return the label of this process: machine, process id and when it started, for process ids come again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def sweep(client: Any) -> None:
    """Take away what runs on this machine that were killed have left in the engine."""
    from docker.errors import APIError

    for found in (*client.containers.list(all=True, filters={"label": OWNER}), *client.networks.list()):
        label = (getattr(found, "labels", None) or found.attrs.get("Labels") or {}).get(OWNER)
        machine, _, process = (label or "").partition(":")
        number, _, started = process.partition(":")
        if machine != socket.gethostname() or _started(int(number)) == started:
            continue
        with contextlib.suppress(APIError):
            if hasattr(found, "image"):
                found.remove(force=True, v=True)
            else:
                found.remove()


def _started(process: int) -> str:
    """Return when a process started, in the kernel's ticks; empty if there is none."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        with contextlib.suppress(OSError):
            os.kill(process, 0)
            return "running"
        return ""
