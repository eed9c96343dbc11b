"""The runs of a state folder: their names, their records, and the report of each.

<state>/runs/<pipeline>-<start>/    a run: artifacts, logs and run.json, its record, which is written when it ends
<state>/mlflow.db                   what MLflow knows of the runs, unless they are logged elsewhere
"""

import contextlib
import datetime
import json
import os
import re
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, did_you_mean

RECORD = "run.json"
_NAME = re.compile(r"(?P<pipeline>.+)-(?P<start>\d{8}-\d{6})(?:-(?P<attempt>\d{1,2}))?")
# The ID of a run is its folder's name and a random part.
_ID = re.compile(r"(?P<name>.+)-[0-9a-f]{8}")


def database(state: Path) -> Path:
    """Return the SQLite database of MLflow of a state folder."""
    return state / "mlflow.db"


def list_runs(state: Path) -> list[tuple[datetime.datetime, Path]]:
    """Return the start and the folder of each run, oldest first."""
    runs = state / "runs"
    folders = (
        [Path(entry.path) for entry in os.scandir(runs) if entry.is_dir(follow_symlinks=False)] if runs.is_dir() else []
    )
    return [(start, folder) for start, _, folder in sorted(filter(None, map(_started, folders)))]


def find_run(state: Path, run: str) -> Path:
    """Return the folder of a run.

    Args:
        state: The state folder.
        run: Name of the folder, its path, or the ID of the run; empty for the newest.

    Raises:
        InputError: There is no such run, or no run at all.
    """
    folders = {folder.name: folder for _, folder in list_runs(state)}
    if run and run not in folders and os.path.isdir(os.path.join(run, "logs")):
        return Path(run).absolute()
    if not folders:
        raise InputError(
            f"No runs in '{state}'. Run a pipeline there, for example with tiffin demo, or pass --state with another folder."
        )
    if not run:
        return list(folders.values())[-1]
    if run in folders:
        return folders[run]
    match = _ID.fullmatch(run)
    if match and (folder := folders.get(match["name"])) and (read_record(folder) or {}).get("run", run) == run:
        return folder
    raise InputError(
        f"RUN should be a run of '{state}': the name of its folder, its path or its ID. Received: '{run}'."
        f"{did_you_mean(run, folders)} The newest is {list(folders)[-1]}."
    )


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a run that ended; None for a run that is in progress or was killed."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((folder / RECORD).read_bytes())
        return record if isinstance(record, dict) else None
    return None


def find_page(folder: Path, name: str) -> Path | None:
    """Return a page that the exit step of a run wrote beside its summary, such as the report; None if there is none."""
    pages = (path.with_name(name) for path in sorted((folder / "artifacts").rglob("*/summary")))
    return next((page for page in pages if page.is_file()), None)


def relative(path: Path) -> str:
    """Return a path relative to the working directory; a path outside of it as it is."""
    found = os.path.relpath(path)
    return found if not found.startswith("..") else str(path)


def _started(folder: Path) -> tuple[datetime.datetime, int, Path] | None:
    match = _NAME.fullmatch(folder.name)
    with contextlib.suppress(ValueError):
        if match:
            start = datetime.datetime.strptime(match["start"], "%Y%m%d-%H%M%S").astimezone()
            return start, int(match["attempt"] or 0), folder
    return None
