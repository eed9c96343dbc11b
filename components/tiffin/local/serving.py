"""The model server of a state folder.

<state>/serving/                 the serving root, written by deployments
<state>/server/                  its files, see `tiffin.local.programs`
<state>/server/models.config     its model config, merged from the serving root
<state>/server/rest              address of its REST API, if it has one
"""

from functools import partial
from pathlib import Path

from tiffin.local import programs
from tiffin.local.programs import Program, Server, is_open, launch, spawn, wait_until_open

__all__ = ["DEFAULT_PORT", "MODEL_SERVER", "Server", "is_open", "launch", "spawn", "wait_until_open"]

DEFAULT_PORT = 8500
MODEL_SERVER = Program("model server", "server", "tiffin.local.server_process", "model", DEFAULT_PORT)

# The functions of `programs`, for the model server.
server_folder = partial(programs.find_folder, MODEL_SERVER)
make_server_folder = partial(programs.make_folder, MODEL_SERVER)
record_path = partial(programs.record_path, MODEL_SERVER)
find_server = partial(programs.find, MODEL_SERVER)
is_running = partial(programs.is_running, MODEL_SERVER)
starting_server = partial(programs.starting, MODEL_SERVER)
start_server = partial(programs.start, MODEL_SERVER)
stop_server = partial(programs.stop, MODEL_SERVER)


def rest_path(state: str | Path) -> Path:
    """Return the path of the file with the address of the server's REST API."""
    return server_folder(state) / "rest"


def rest_address(state: str | Path) -> str:
    """Return the address of the running server's REST API as host:port; empty if it has none."""
    try:
        return rest_path(state).read_text().strip() if is_running(state) else ""
    except FileNotFoundError:
        return ""


def serving_root(state: str | Path) -> Path:
    """Return the serving root of a state folder."""
    return Path(state).absolute() / "serving"


def notifications(state: str | Path) -> Path:
    """Return the folder of a state folder that keeps what people were notified of."""
    return Path(state).absolute() / "notifications"


def prediction_log(state: str | Path) -> Path:
    """Return the folder of the prediction log of a state folder."""
    return Path(state).absolute() / "predictions"
