"""Logs of the steps of local runs: their last lines, their error, and the lines that are in every log removed."""

import contextlib
import os
from pathlib import Path

from tiffin.specs import logs
from tiffin.storage.files import write_bytes


def tail(log: Path, lines: int = 12) -> list[str]:
    """Return the last `lines` lines of a log, without empty lines and without those that are in every log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in logs.without_noise(text.splitlines()) if line.strip()][-lines:]


def tidy_log(log: Path) -> None:
    """Remove the lines of kfp's executor and TensorFlow from a step's log, among them an input of a hundred lines."""
    # A log that cannot be rewritten, as on a full disk, stays as it is.
    with contextlib.suppress(OSError):
        lines = log.read_bytes().decode(errors="surrogateescape").splitlines(keepends=True)
        write_bytes(log, "".join(logs.without_noise(lines)).encode(errors="surrogateescape"))


def error_line(log: Path) -> str | None:
    """Return the error in a failed step's log: the last `error: ...` line, else the last line of the traceback, or None."""
    return logs.error_line(tail(log, 200))
