"""A run of a compiled spec in containers of its images: what they may see, write and reach."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tiffin import images
from tiffin.local.containers.engine import check_images, connected
from tiffin.local.containers.servers import CLOSED, SERVING_ADDRESS, TRACKING_ADDRESS, Servers, mount, network
from tiffin.local.containers.steps import Containers
from tiffin.local.serving import serving_root
from tiffin.specs.services import find_unaddressed, needs_of
from tiffin.specs.spec import Spec
from tiffin.stages.traits import SERVING, TRACKING

# Variables of the user's that steps read, beside those that start so.
_PASSED = ("MLFLOW_", "TIFFIN_SERVING_", "TIFFIN_USER", "TIFFIN_DEBUG")


@contextlib.contextmanager
def containers_of(spec: Spec, arguments: dict[str, Any], state: Path, folder: Path) -> Iterator[Containers]:
    """Yield the containers of a run, with what its steps talk to at hand.

    A step's root file system is read-only, its user is not root and has no capabilities, its memory has the limit of the
    spec. It reaches an MLflow server and a model server of its own run, and nothing else unless a parameter or the
    environment names an address outside.

    Args:
        spec: To run.
        arguments: Values of its parameters.
        state: The state folder.
        folder: Of the run.

    Raises:
        TiffinError: No engine answers, an image is missing in it, or a server did not start.
    """
    with connected() as client, contextlib.ExitStack() as stack:
        check_images(client, [step.image for step in spec.steps])
        artifacts = folder / "artifacts"
        user = _user()
        for path in (artifacts, serving_root(state), state / "mlflow"):
            path.mkdir(parents=True, exist_ok=True)
            _give(path, user, "name=rootless" in client.info().get("SecurityOptions", []))
        _give_database(state, user)

        given = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        own = [service.name for service in find_unaddressed(spec, arguments) if service.variable not in given]
        is_closed = not _addresses(arguments) and not {TRACKING.variable, SERVING.variable} & given.keys()
        name = stack.enter_context(network(client, is_closed))
        servers = Servers(client, name, state, user, folder / "logs")
        stack.callback(servers.stop)
        servers.start(own)

        def prepare(function: str) -> list[Any]:
            needs = needs_of(function)
            if TRACKING in needs:
                servers.wait(TRACKING.name)
                return [mount(state / "mlflow")]
            return [mount(serving_root(state))] if SERVING in needs else []

        variables = {
            TRACKING.variable: f"http://{TRACKING_ADDRESS}",
            SERVING.variable: SERVING_ADDRESS,
            "TIFFIN_SERVING_ROOT": str(serving_root(state)),
        } | given
        container_arguments = {
            **CLOSED,
            "user": user,
            "network": name,
            "environment": variables,
            "mounts": [mount(path, read_only=is_input) for path, is_input in local_paths(arguments)],
            # Paths that are relative to this process are so to the steps.
            "working_dir": os.getcwd(),
        }
        limits = {function: str(limit) for function, limit in spec.memory_limits.items()}
        yield Containers(client, container_arguments, limits, prepare)


def local_paths(arguments: Mapping[str, Any]) -> list[tuple[Path, bool]]:
    """Return the files and folders of this machine that parameters name, and whether each is only read.

    What a pipeline writes to is a parameter that ends in `_root`. Of a glob it is the folder above the first wild card.
    """
    found: dict[Path, bool] = {}
    for name, value in arguments.items():
        if not isinstance(value, str) or not value or "://" in value:
            continue
        writes = name.endswith("_root")
        parts = Path(os.path.abspath(value)).parts
        wild = next((index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
        path = Path(*parts[:wild])
        if writes:
            path.mkdir(parents=True, exist_ok=True)
        if path != Path("/") and path.exists() and (writes or "/" in value or "." in value):
            found[path] = found.get(path, True) and not writes
    return sorted(found.items())


def _addresses(arguments: Mapping[str, Any]) -> list[str]:
    """Return the parameters that name something beyond this machine's files."""
    return [
        name
        for name, value in arguments.items()
        if isinstance(value, str) and value and ("://" in value or name.endswith(("_address", "_uri")))
    ]


def _user() -> str:
    """Return uid:gid of the steps: who runs them, so that the files are theirs; the images' own user for root."""
    return f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{images.USER}:{images.USER}"


def _give(path: Path, user: str, is_rootless: bool) -> None:
    """Make a folder and all in it writable for the user of the steps."""
    uid, _, gid = user.partition(":")
    if os.getuid() == 0:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, int(uid), int(gid), follow_symlinks=False)
    elif is_rootless:
        # There, the containers' user is none that this process could name.
        path.chmod(0o777)


def _give_database(state: Path, user: str) -> None:
    # SQLite keeps its journal beside the file.
    if os.getuid() == 0:
        uid, _, gid = user.partition(":")
        for path in (state, *state.glob("mlflow.db*")):
            os.chown(path, int(uid), int(gid))
