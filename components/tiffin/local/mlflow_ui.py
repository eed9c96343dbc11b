"""MLflow's UI on the database of a state folder, in the virtualenv `model`.

The server's process and its workers end with this process, however it ends, as the steps of a run do.
"""

import contextlib
import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

from tiffin.errors import InputError, TiffinError
from tiffin.local.environments import find_environment
from tiffin.local.guarding import guarded_folder
from tiffin.local.ports import find_port
from tiffin.local.processes import Processes
from tiffin.local.records import database, list_runs, read_record
from tiffin.local.step_logs import tail
from tiffin.stages.traits import database_uri

DEFAULT_PORT = 5000

_HOST = "127.0.0.1"
_LOOK_SECONDS = 0.1
_TIMEOUT_SECONDS = 120
# The worker ends at SIGINT; its parent may go on until SIGKILL.
_GRACE_SECONDS = 2


def serve_ui(state: str | Path, port: int | None, opened: Callable[[str, Path], None]) -> None:
    """Run MLflow's UI until a signal ends it: SIGINT, SIGTERM or SIGHUP.

    Args:
        state: The state folder.
        port: Port to listen on; None for 5000, or a free port if 5000 is taken.
        opened: Called with the UI's address and its log file once it answers.

    Raises:
        InputError: The state folder has no MLflow database.
        TiffinError: The port is taken, the virtualenv is missing, or the server ended.
    """
    state = Path(state).absolute()
    check_database(state)
    number = _choose_port(port)
    log = state / "mlflow-ui.log"
    log.unlink(missing_ok=True)
    with guarded_folder() as guard:
        processes = Processes(guard)
        with _ending(processes), ThreadPoolExecutor(1) as executor:
            server = executor.submit(processes.run, _command(state, number), _environment(), log)
            try:
                if _is_up(server, number):
                    opened(f"http://{_HOST}:{number}", log)
                    wait_for([server])
                problem = "ended" if server.done() else f"did not answer within {_TIMEOUT_SECONDS} s"
            finally:
                # A second call would kill the processes.
                if not (is_signalled := processes.stopped):
                    processes.stop(_GRACE_SECONDS)
    if not is_signalled:
        server.result()
        lines = tail(log)
        raise TiffinError(
            f"MLflow's UI {problem}. Its log ends with: {lines[-1].rstrip('.') if lines else 'nothing'}. See {log}."
        )


def check_database(state: Path) -> None:
    """Raise an InputError unless a state folder has an MLflow database.

    MLflow would create one.
    """
    path = database(state)
    # SQLite creates an empty file on a read.
    if path.is_file() and path.stat().st_size:
        return
    runs = list_runs(state)
    if not runs:
        raise InputError(
            f"No runs in '{state}'. Run a pipeline there, for example with tiffin demo, or pass --state with another folder."
        )
    newest = runs[-1][1]
    uri = (read_record(newest) or {}).get("tracking_uri")
    reason = f"was logged to {uri}" if uri else "registered no model, and no gate stopped it"
    raise InputError(
        f"No MLflow database in '{state}'. The newest of its {len(runs)} runs, {newest.name}, {reason}. "
        f"{'Open MLflow there.' if uri else 'See its result with tiffin report.'}"
    )


def _choose_port(port: int | None) -> int:
    try:
        return find_port(_HOST, DEFAULT_PORT if port is None else port)
    except OSError as error:
        if port is None:
            return find_port(_HOST, 0)
        raise TiffinError(
            f"Port {port} on {_HOST} is not available: {error.strerror}. Choose another one, or leave --port out."
        ) from None


def _command(state: Path, port: int) -> list[str]:
    python = str(find_environment("model") / "bin" / "python3")
    return [
        python, "-m", "mlflow", "server", f"--host={_HOST}", f"--port={port}", "--workers=1",
        # Artifacts are read where the registrations wrote them.
        "--no-serve-artifacts", f"--default-artifact-root={state / 'mlflow'}",
        f"--backend-store-uri={database_uri(database(state))}",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    # MLflow reads options of the server from MLFLOW_ variables, such as another registry.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_") and name != "PYTHONHOME"
    }
    return kept | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # The job queue is for evaluating language models, and runs more processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Modules in the working directory, such as a mlflow.py, are not those of the server.
        "PYTHONSAFEPATH": "1",
    }


def _is_up(server: Future[int], port: int) -> bool:
    """Wait until the server answers, ends or takes too long, and return whether it answers."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline and not wait_for([server], _LOOK_SECONDS).done:
        connection = http.client.HTTPConnection(_HOST, port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return not server.done()
    return False


@contextlib.contextmanager
def _ending(processes: Processes) -> Iterator[None]:
    """End the processes on SIGINT, SIGTERM and SIGHUP; a second signal kills them. `nohup` makes SIGHUP ignored."""
    # Shells start background jobs with SIGINT ignored; handle it anyway.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: processes.stop(_GRACE_SECONDS)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
