"""Connect to the Docker engine of `tiffin run --docker`, and check the engine and its images."""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from tiffin.errors import InputError, TiffinError

# Label on every container and network of a run: the process that removes them.
OWNER = "tiffin.owner"


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Yield a client of the engine at DOCKER_HOST, by default the local engine.

    Raises:
        TiffinError: No engine answers, or it is podman, which does not report how a container ended.
    """
    import docker
    from docker.errors import DockerException

    where = os.environ.get("DOCKER_HOST") or "the default socket"
    try:
        client = docker.from_env(timeout=600)
        version = client.version()
    except DockerException as error:
        raise TiffinError(
            f"No response from a Docker engine at {where}: {error}. Start the engine, set DOCKER_HOST to its socket, or "
            "run without --docker."
        ) from None
    try:
        refuse_podman(version, where)
        sweep(client)
        yield client
    finally:
        client.close()


def refuse_podman(version: dict[str, Any], where: str) -> None:
    """Raise an error if the engine is podman.

    Args:
        version: The engine's version information.
        where: Address of the engine.

    Raises:
        TiffinError: The engine is podman.
    """
    names = [str(component.get("Name", "")) for component in version.get("Components") or []]
    if any("podman" in name.lower() for name in names):
        raise TiffinError(
            f"--docker requires the Docker engine, but podman answers at {where}; podman reports failed steps as "
            "succeeded. Use the Docker engine, or run without --docker."
        )


def check_images(client: Any, names: Iterable[str]) -> None:
    """Check that the engine has the images of a spec.

    Missing images are not pulled: a registry may have a different image with the tag of one built locally.

    Args:
        client: Client of the engine.
        names: Image names.

    Raises:
        InputError: An image is missing.
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
            f"Images of the spec are missing in the Docker engine: {', '.join(missing)}. Run `make images`, or "
            "`docker pull` published ones. TIFFIN_IMAGE_PREFIX sets the prefix of the names."
        )


def owner() -> str:
    """Return the label of this process: host, process id, and start time, because process ids are reused."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def sweep(client: Any) -> None:
    """Remove the containers and networks of killed runs of this machine."""
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
    """Return the start time of a process in the kernel's ticks; empty if there is no such process."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        with contextlib.suppress(OSError):
            os.kill(process, 0)
            return "running"
        return ""
