"""The logs of a run's steps, which Kubeflow Pipelines 2.15 and later stores beside the steps' artifacts."""

import os
import re
from pathlib import Path

from tiffin import storage
from tiffin.artifacts.steps import split_step
from tiffin.errors import StorageError
from tiffin.printing import printable

# Name of a step's log among its artifacts.
LOG = "executor-logs"
# KFP's launcher appends the number of the attempt. It stores the log of a failed attempt too.
_NAMES = {LOG, *(f"{LOG}-{attempt}" for attempt in range(100))}
# Start of the line with which a gate's step says that it logged the run to MLflow; it fails, so it has no outputs.
STOP_LOGGED = "logged the stopped run to MLflow as run "
WARNING = "warning: "
TRACEBACK = "Traceback (most recent call last):"
# Lines at the end of a log in which an error is the reason of the end.
_LAST_LINES = 5
_TAIL_BYTES = 16_384


def find_errors(run_uri: str) -> dict[str, str]:
    """Return the steps of a run whose last attempt ended with an error, sorted by name: the step's name to the error.

    A step that went on after an error is not included.

    Args:
        run_uri: Folder of the run, with logs in `<run>/<step>/<execution>/`.

    Raises:
        StorageError: The location cannot be listed or read.
    """
    last: dict[tuple[str, str], str] = {}
    for uri in sorted(storage.find(run_uri, _NAMES), key=_attempt):
        step, names = split_step(uri[len(run_uri) :])
        last[step, "/".join(names[:-1])] = uri
    errors = {}
    for (step, _), uri in sorted(last.items()):
        error = _find_end([line.rstrip() for line in _read_tail(uri).splitlines() if line.strip()])
        if error:
            errors[step] = printable(error)
    return errors


def find_error(lines: list[str]) -> str | None:
    """Return the error in a failed step's lines: its last `error: ...` line, else the last line of a traceback, or None."""
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    return lines[-1] if TRACEBACK in lines else None


def _find_end(lines: list[str]) -> str | None:
    """Return the error that is the end of a log; None if the step went on after it."""
    # The frames of a traceback are indented, and the exception below them is not.
    if TRACEBACK in lines[:-1] and lines[-2].startswith("  ") and not lines[-1].startswith(" "):
        return lines[-1]
    return find_error([line for line in lines[-_LAST_LINES:] if line != TRACEBACK])


def _attempt(uri: str) -> int:
    number = re.search(r"\d+$", os.path.basename(uri))
    return int(number[0]) if number else 0


def _read_tail(uri: str) -> str:
    with storage.local_copy(uri) as path:
        try:
            with Path(path).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - _TAIL_BYTES, 0))
                return file.read().decode(errors="replace")
        except OSError as error:
            raise StorageError(f"Could not read '{uri}': {error.strerror}.") from None
