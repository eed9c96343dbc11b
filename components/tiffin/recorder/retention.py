"""Removal of what is old: hours of the log, and files that a killed recorder left half written."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tiffin import storage
from tiffin.errors import TiffinError
from tiffin.recorder.metrics import Metrics
from tiffin.serving import prediction_log

# Writing a file takes seconds.
_STALE_SECONDS = 600.0
# A file of a recorder under its temporary name, see `tiffin.storage.files.write_bytes`.
_TEMPORARY = re.compile(r"\.(?P<host>.+)-\d+-\d+-\d+\.parquet\.[0-9a-f]{8}")


def find_models(root: str, known: Iterable[str]) -> list[str]:
    """Return the models whose log is kept here: the known ones and, on local disk, those with a folder."""
    found = set(known)
    if "://" not in root:
        with contextlib.suppress(OSError):
            found.update(entry.name for entry in os.scandir(root) if entry.is_dir())
    return sorted(filter(prediction_log.is_model_name, found))


def remove_old(root: str, model: str, keep_days: int, now: datetime) -> int:
    """Remove the hours of a model's log that ended more than `keep_days` ago, and return their number; 0 keeps all.

    Raises:
        StorageError: The log cannot be listed, or an hour cannot be removed.
    """
    if not keep_days:
        return 0
    removed = 0
    for hour in prediction_log.find_hours(root, model):
        if hour + timedelta(hours=1, days=keep_days) > now:
            break
        folder = prediction_log.hour_folder(root, model, hour)
        if _is_within(root, folder):
            storage.delete(folder)
            removed += 1
            if "://" not in folder:
                with contextlib.suppress(OSError):  # the day has other hours
                    os.rmdir(os.path.dirname(folder))
    return removed


def _is_within(root: str, folder: str) -> bool:
    """Return whether a folder is in the log, and not behind a link to another place."""
    return "://" in root or Path(folder).resolve().is_relative_to(Path(root).resolve())


def remove_temporary(root: str, host: str) -> int:
    """Remove the half-written files of recorders of this host that were killed, and return their number."""
    removed = 0
    if "://" not in root:
        for path in Path(root).glob("*/date=*/hour=*/.*"):
            found = _TEMPORARY.fullmatch(path.name)
            with contextlib.suppress(FileNotFoundError):
                if found and found["host"] == host and path.stat().st_mtime < time.time() - _STALE_SECONDS:
                    path.unlink()
                    removed += 1
    return removed


def clean(root: str, host: str, known: Iterable[str], keep_days: Callable[[str], int], metrics: Metrics) -> None:
    """Remove what is old, and report what cannot be removed."""
    try:
        remove_temporary(root, host)
        for model in find_models(root, known):
            remove_old(root, model, keep_days(model), datetime.now(UTC))
    except (TiffinError, OSError) as error:
        metrics.report("retention", str(error))
