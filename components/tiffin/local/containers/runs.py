"""Run a compiled spec in containers of its images: their mounts, permissions and network."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tiffin import images
from tiffin.artifacts.results import RESULTS, VARIABLE
from tiffin.local.containers.engine import check_images, connected
from tiffin.local.containers.servers import CLOSED, SERVING_ADDRESS, TRACKING_ADDRESS, Servers, mount, network
from tiffin.local.containers.steps import Containers
from tiffin.local.serving import notifications, prediction_log, serving_root
from tiffin.specs.services import find_unaddressed, needs_of
from tiffin.specs.spec import Spec
from tiffin.stages.traits import (
    NOTIFICATIONS,
    RECORDED,
    SENTRY,
    SERVING,
    SERVING_METRICS,
    SERVING_ROOT,
    TRACKED_RUNS,
    TRACKING,
)

# Prefixes of the user's environment variables that are passed to steps.
_PASSED = (
    "MLFLOW_",
    "TIFFIN_SERVING_",
    "TIFFIN_WATCH",
    "TIFFIN_USER",
    "TIFFIN_DEBUG",
    "TIFFIN_NOTIFY",
    "TIFFIN_UI",
    "SENTRY_",
)


@contextlib.contextmanager
def containers_of(spec: Spec, arguments: dict[str, Any], state: Path, folder: Path) -> Iterator[Containers]:
    """Yield the containers of a run; its MLflow server and model server run during the block.

    A step has a read-only root file system, a user other than root, no capabilities, and the spec's memory limit. It can
    reach only the MLflow server and the model server of its run, unless a parameter or the environment has an address
    outside.

    Args:
        spec: Spec to run.
        arguments: Parameter values by name.
        state: The state folder.
        folder: Folder of the run.

    Raises:
        TiffinError: No engine answers, an image is missing, or a server did not start.
    """
    with connected() as client, contextlib.ExitStack() as stack:
        check_images(client, [step.image for step in spec.steps])
        artifacts = folder / "artifacts"
        user = _user()
        kept = (state / "mlflow", state / RESULTS, notifications(state))
        for path in (artifacts, serving_root(state), prediction_log(state), *kept):
            path.mkdir(parents=True, exist_ok=True)
            _give(path, user, "name=rootless" in client.info().get("SecurityOptions", []))
        _give_database(state, user)

        given = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
        own = [service.name for service in find_unaddressed(spec, arguments) if service.variable not in given]
        outside = {TRACKING.variable, SERVING.variable, *NOTIFICATIONS.credentials, SENTRY.settings[0]}
        is_closed = not _addresses(arguments) and not outside & given.keys()
        name = stack.enter_context(network(client, is_closed))
        servers = Servers(client, name, state, user, folder / "logs")
        stack.callback(servers.stop)
        servers.start(own)

        def prepare(function: str) -> list[Any]:
            needs = needs_of(function)
            if TRACKING in needs:
                servers.wait(TRACKING.name)
            places = {
                state / "mlflow": {TRACKING, TRACKED_RUNS},
                serving_root(state): {SERVING, SERVING_ROOT},
                prediction_log(state): {RECORDED},
                notifications(state): {NOTIFICATIONS},
            }
            return [mount(place) for place, services in places.items() if services & {*needs}]

        variables = {
            TRACKING.variable: f"http://{TRACKING_ADDRESS}",
            SERVING.variable: SERVING_ADDRESS,
            "TIFFIN_SERVING_ROOT": str(serving_root(state)),
            "TIFFIN_LOG_ROOT": str(prediction_log(state)),
            "TIFFIN_WATCH": "0",
            VARIABLE: str(state),
        } | given
        # Another folder is not mounted.
        variables["TIFFIN_NOTIFY_STATE"] = str(notifications(state))
        if SERVING.name in own:
            # Those of other servers do not count the requests to the run's own.
            variables[SERVING_METRICS] = ""
        container_arguments = {
            **CLOSED,
            "user": user,
            "network": name,
            "environment": variables,
            "mounts": [
                mount(state / RESULTS),
                *(mount(path, read_only=is_input) for path, is_input in local_paths(arguments)),
            ],
            # Relative paths in parameters have the same meaning in the steps.
            "working_dir": os.getcwd(),
        }
        limits = {function: str(limit) for function, limit in spec.memory_limits.items()}
        yield Containers(client, container_arguments, limits, prepare)


def local_paths(arguments: Mapping[str, Any]) -> list[tuple[Path, bool]]:
    """Return the local files and folders that parameters name, and whether each is read-only.

    Parameters whose name ends in `_root`, and `state`, are written to, all others are read. A glob is replaced by the folder
    above its first wildcard.
    """
    found: dict[Path, bool] = {}
    for name, value in arguments.items():
        if not isinstance(value, str) or not value or "://" in value:
            continue
        writes = name.endswith("_root") or name == "state"
        parts = Path(os.path.abspath(value)).parts
        wild = next((index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
        path = Path(*parts[:wild])
        if writes:
            path.mkdir(parents=True, exist_ok=True)
        if path != Path("/") and path.exists() and (writes or "/" in value or "." in value):
            found[path] = found.get(path, True) and not writes
    return sorted(found.items())


def _addresses(arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of parameters whose value is an address or a remote URI, or a list with one."""
    return [
        name
        for name, value in arguments.items()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str) and text and ("://" in text or name.endswith(("_address", "_uri")))
    ]


def _user() -> str:
    """Return uid:gid of the steps: the current user, who then owns the files; the images' user if that is root."""
    return f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{images.USER}:{images.USER}"


def _give(path: Path, user: str, is_rootless: bool) -> None:
    """Make a folder and its content writable for the user of the steps."""
    uid, _, gid = user.partition(":")
    if os.getuid() == 0:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, int(uid), int(gid), follow_symlinks=False)
    elif is_rootless:
        # A rootless engine maps the containers' user to an id that this process cannot use.
        path.chmod(0o777)


def _give_database(state: Path, user: str) -> None:
    # SQLite writes its journal next to the file.
    if os.getuid() == 0:
        uid, _, gid = user.partition(":")
        for path in (state, *state.glob("mlflow.db*")):
            os.chown(path, int(uid), int(gid))
