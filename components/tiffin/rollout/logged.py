"""The files of the prediction log that may have answers of a rollout, and a first sample of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tiffin.errors import InputError
from tiffin.rollout.answers import MOST_SAMPLE, Versions, wanted_columns
from tiffin.rollout.document import Rollout
from tiffin.serving.log_rows import open_file
from tiffin.serving.prediction_log import LogFile, find_files

# Files of an hour are in the log after this time, also if the bucket failed meanwhile.
LATE = timedelta(hours=1)


def find_logged(rollout: Rollout, model: str, log: str, first: datetime) -> tuple[Versions, list[LogFile]]:
    """Return whose answers are compared, and the files of the log that may have them.

    Args:
        rollout: The rollout.
        model: Name of the model.
        log: Root of the prediction log.
        first: Start of the first hour whose files are returned.

    Raises:
        StorageError: The log cannot be read.
    """
    now = datetime.now(UTC)
    # Clocks differ.
    last = datetime.fromisoformat(rollout.since) if rollout.phase in ("ending", "over") else now + LATE
    versions = Versions(rollout.stable, rollout.version, micros_of(rollout.started), int(last.timestamp() * 1_000_000))
    return versions, find_files(log, model, first, min(now, last) + timedelta(seconds=1))


def take_sample(files: Sequence[LogFile], versions: Versions) -> tuple[list[dict[str, Any]], list[LogFile]]:
    """Return successful answers of the version in production, as many as are needed to choose what is compared.

    The second value has the files that were read and have no row of either version at that time.

    Args:
        files: Files of the log; those that cannot be read are left out.
        versions: Whose answers they are.
    """
    sample: list[dict[str, Any]] = []
    others: list[LogFile] = []
    for file in files:
        has_rows = False
        try:
            with open_file(file.uri, versions.first) as opened:
                for batch in opened.read(wanted_columns(opened.columns, with_inputs=False)):
                    rows = list(versions.find_rows(batch))
                    has_rows = has_rows or bool(rows)
                    stable = (row for row in rows if (batch["code"][row], batch["route"][row]) == ("OK", "stable"))
                    sample += [{name: values[row] for name, values in batch.items()} for row in stable]
                    if len(sample) >= MOST_SAMPLE:
                        return sample, others
        except InputError:  # counted when the file is added
            continue
        if not has_rows:
            others.append(file)
    return sample, others


def micros_of(moment: str) -> int:
    """Return the microseconds since 1970 of a time in ISO 8601; 0 without one."""
    return int(datetime.fromisoformat(moment).timestamp() * 1_000_000) if moment else 0
