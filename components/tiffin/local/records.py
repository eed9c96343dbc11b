"""The runs of a state folder: their names, their records, who runs them, and the report of each.

<state>/runs/<run>/             a run: artifacts and logs; the folder's name, <pipeline>-<start>-<4 hex digits>, is its ID
<state>/runs/<run>/run.json     its record, written when its first step starts, at each step's start and end, and at its end
<state>/runs/<run>/spec.yaml    the spec that it runs
<state>/runs/<run>/lock         locked by the process that runs it, whose ID it contains
<state>/mlflow.db               what MLflow knows of the runs, unless they are logged elsewhere

The lock decides whether a run is in progress. The kernel releases it however the process ends.
"""

import contextlib
import datetime
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.storage.files import write_bytes

RECORD = "run.json"
# State to exit status; a run in any other state failed.
STATUSES = {"SUCCEEDED": 0, "WAITING": 4}
SPEC = "spec.yaml"
_LOCK = "lock"
# Earlier versions had no random part, but the number of the attempt to find a free name.
_NAME = re.compile(r"(?P<pipeline>.+)-(?P<start>\d{8}-\d{6})(?:-(?P<end>[0-9a-f]{4}|\d{1,2}))?")
# Matches of an ambiguous RUN that an error names.
_SHOWN = 5


def database(state: Path) -> Path:
    """Return the SQLite database of MLflow of a state folder."""
    return state / "mlflow.db"


def make_folder(state: Path, pipeline: str, now: datetime.datetime) -> Path:
    """Create the folder of a new run, with its folder `logs`, and return it.

    Args:
        state: The state folder.
        pipeline: Name of the pipeline.
        now: Start of the run, in local time.

    Raises:
        FileExistsError: No free name was found.
        NotADirectoryError: The state folder is a file.
    """
    for attempt in range(100):
        # Runs of several state folders may start in the same second, and share an MLflow.
        folder = state / "runs" / f"{pipeline}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        try:
            (folder / "logs").mkdir(parents=True)
        except FileExistsError:
            if attempt == 99:
                raise
        else:
            break
    return folder


def list_runs(state: Path) -> list[tuple[datetime.datetime, Path]]:
    """Return the start and the folder of each run, oldest first."""
    runs = state / "runs"
    folders = (
        [Path(entry.path) for entry in os.scandir(runs) if entry.is_dir(follow_symlinks=False)] if runs.is_dir() else []
    )
    return [(start, folder) for start, _, folder in sorted(filter(None, map(_started, folders)))]


def start_of(folder: Path) -> datetime.datetime | None:
    """Return the start in the name of a run's folder; None if it has none."""
    found = _started(folder)
    return found and found[0]


def pipeline_of(folder: Path) -> str:
    """Return the name of the pipeline in the name of a run's folder."""
    match = _NAME.fullmatch(folder.name)
    return match["pipeline"] if match else folder.name


def find_run(state: Path, run: str) -> Path:
    """Return the folder of a run.

    Args:
        state: The state folder.
        run: ID of the run, the start of exactly one ID, or the path of the folder; empty for the newest.

    Raises:
        InputError: There is no such run, no run at all, or several IDs start so.
    """
    folders = {folder.name: folder for _, folder in list_runs(state)}
    if run and run not in folders and os.path.isdir(os.path.join(run, "logs")):
        return Path(os.path.abspath(run))
    if not folders:
        raise InputError(
            f"No runs in '{state}'. Run a pipeline there, for example with tiffin demo, or pass --state with another folder."
        )
    if not run:
        return list(folders.values())[-1]
    if run in folders:
        return folders[run]
    matches = [name for name in reversed(folders) if name.startswith(run)]
    if len(matches) == 1:
        return folders[matches[0]]
    if matches:
        more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
        raise InputError(
            f"RUN should be the start of one ID. Received: '{run}', the start of {len(matches)}: "
            f"{', '.join(matches[:_SHOWN])}{more}. Type more of it."
        )
    raise InputError(
        f"RUN should be a run of '{state}': its ID, the start of its ID, or its path. Received: '{run}'."
        f"{did_you_mean(run, folders)} The newest is {list(folders)[-1]}."
    )


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a run. The keys keep their order: that of a parameter's mapping may count."""
    write_bytes(folder / RECORD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a run; None if it cannot be read, as that of a run whose first step has not started."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((folder / RECORD).read_bytes())
        return record if isinstance(record, dict) else None
    return None


def read_state(folder: Path) -> tuple[str, dict[str, Any] | None]:
    """Return the state of a run and its record.

    The state is RUNNING, SUCCEEDED, FAILED, CANCELED (ended by a signal, such as that of Ctrl-C), or KILLED (ended without
    writing how).
    """
    # In this order: the record is written before the lock is released.
    is_running = find_runner(folder) is not None
    record = read_record(folder)
    state = (record or {}).get("state")
    if is_running:
        return "RUNNING", record
    return state if isinstance(state, str) and state != "RUNNING" else "KILLED", record


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[bool]:
    """Take a run for this process during the block; yield False if another process has it.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        is_taken = False
        # `find_runner` of another process holds the lock for a moment.
        for _ in range(10):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_taken = True
                break
            time.sleep(0.02)
        if is_taken:
            content = f"{os.getpid()}\n".encode()
            os.pwrite(lock, content, 0)
            os.ftruncate(lock, len(content))
        yield is_taken
    finally:
        os.close(lock)


def find_runner(folder: Path) -> int | None:
    """Return the ID of the process that runs a run; None if the run is not in progress."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # Written just after the lock was taken.
        for _ in range(20):
            if text := os.pread(lock, 20, 0).partition(b"\n")[0]:
                return int(text)
            time.sleep(0.02)
        return 0
    finally:
        os.close(lock)
    return None


def find_summaries(folder: Path) -> list[Path]:
    """Return the folders of the summaries of a run, the one that was written last first: a pipeline may have others in it."""
    found = [path for path in sorted((folder / "artifacts").rglob("*/summary")) if path.is_dir()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def find_page(folder: Path, name: str) -> Path | None:
    """Return a page that the exit step of a run wrote beside its summary, such as the report; None if there is none."""
    pages = (path.with_name(name) for path in find_summaries(folder))
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
            return start, _order(folder, match["end"] or ""), folder
    return None


def _order(folder: Path, end: str) -> int:
    """Return what orders the runs of a second: the times their locks were last taken, or the numbers of earlier versions."""
    with contextlib.suppress(OSError):
        return os.lstat(folder / _LOCK).st_mtime_ns
    return int(end) if len(end) < 4 and end.isdecimal() else 0
