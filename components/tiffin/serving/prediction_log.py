"""The prediction log: the requests of each model and its answers, as Parquet.

    <log root>/<model>/date=2026-03-01/hour=12/<file>.parquet

Date and hour are those of the request, in UTC. A file has one row for each row of a request: the columns in `COLUMNS`, then
`input.<name>` and `output.<name>` in alphabetical order. These have one of the kinds `int64`, `float32`, `float64`, `bool`,
`string`, or a list of one of them, such as `list<float32>`; a value of a higher rank is a flat list in row-major order. Files
of one model may have different columns and kinds: `tiffin.serving.log_reading` unifies them.

`tiffin.recorder` writes the log.
"""

import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.errors import InputError

# Columns of every file, to their kinds.
COLUMNS = {
    "request_id": "string",
    "row": "int32",
    "rows": "int32",
    "time": "timestamp",
    "model": "string",
    "version": "int64",
    "route": "string",
    "protocol": "string",
    "method": "string",
    "signature": "string",
    "code": "string",
    "latency_seconds": "float64",
    "key": "string",
}
INPUT, OUTPUT = "input.", "output."
# Names in the log of an input and an output that the REST API sends without a name, since the model has only one.
UNNAMED_INPUT, UNNAMED_OUTPUT = "input.inputs", "output.outputs"
SUFFIX = ".parquet"

# As the model registry accepts them. None of the characters is special in a path or a glob.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_HOUR = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)")
_NUMBERS = ("int64", "float32", "float64")
_LIST = "list<"


@dataclass(frozen=True)
class LogFile:
    """A file of the prediction log.

    Attributes:
        uri: Absolute path or URI.
        size_bytes: Size in bytes.
        hour: Start of the hour of its requests, in UTC.
    """

    uri: str
    size_bytes: int
    hour: datetime


def resolve_log_root(location: str) -> str:
    """Return the location of a prediction log, as an absolute path or a URI.

    Raises:
        InputError: The location is empty.
    """
    if not location.strip():
        raise InputError("The root of the prediction log should be a path, or start with gs:// or s3://. Received: ''.")
    return location.rstrip("/") if "://" in location else str(Path(location).resolve())


def is_model_name(name: str) -> bool:
    """Return whether a model of this name has a log: up to 128 letters, digits, `_`, `-` and `.` of ASCII."""
    return bool(_MODEL_NAME.fullmatch(name))


def model_folder(root: str, model: str) -> str:
    """Return the location of a model's log.

    Raises:
        InputError: The name is not that of a model.
    """
    if not is_model_name(model):
        raise InputError(
            "A model's name in the prediction log should be up to 128 letters, digits, '_', '-' and '.', starting with a letter "
            f"or digit. Received: '{model}'."
        )
    return storage.join(root, model)


def hour_folder(root: str, model: str, hour: datetime) -> str:
    """Return the location of the files of a model's requests in an hour of UTC."""
    return storage.join(model_folder(root, model), f"date={hour:%Y-%m-%d}", f"hour={hour:%H}")


def start_of_hour(time: datetime) -> datetime:
    """Return the start of the hour of a time with a time zone, in UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def find_files(root: str, model: str, start: datetime, end: datetime) -> list[LogFile]:
    """Return the files that may have requests of a time window, sorted by hour and name.

    Args:
        root: Root of the log, as `resolve_log_root` returns it.
        model: Name of the model.
        start: Start of the window, with a time zone.
        end: End of the window, not included.

    Returns:
        Every file in the hours that overlap the window; none if the model has no log. Hidden files are those of a recorder
        that is writing, and are left out.

    Raises:
        InputError: A time has no time zone, or the model's name is invalid.
        StorageError: The log cannot be read.
    """
    for name, time in (("start", start), ("end", end)):
        if time.tzinfo is None:
            raise InputError(f"{name} should have a time zone. Received: {time.isoformat()}. Add it, such as +00:00.")
    first, folder = start_of_hour(start), model_folder(root, model)
    days = (end.astimezone(UTC).date() - first.date()).days + 1 if end > start else 0
    found = []
    # One listing for each day: of a bucket, a listing takes 50 ms.
    for day in (first + timedelta(days=number) for number in range(days)):
        for file in _list(storage.join(folder, f"date={day:%Y-%m-%d}")):
            hour = _hour_of(file.uri)
            if hour and first <= hour < end:
                found.append(LogFile(file.uri, file.size_bytes, hour))
    return sorted(found, key=lambda file: (file.hour, file.uri))


def find_hours(root: str, model: str) -> list[datetime]:
    """Return the hours of which a model has a log, in ascending order."""
    folder = model_folder(root, model)
    if "://" in folder:
        return sorted({hour for file in _list(folder) if (hour := _hour_of(file.uri))})
    if not os.path.isdir(folder):
        return []
    names = (path.as_posix() + "/" for path in Path(folder).glob("date=*/hour=*"))
    return sorted({hour for name in names if (hour := _hour_of(name))})


def _list(folder: str) -> list[storage.SourceFile]:
    try:
        return storage.list_files(folder)
    except InputError:  # there is none
        return []


def _hour_of(uri: str) -> datetime | None:
    """Return the hour of a file in the folder of an hour."""
    found = _HOUR.fullmatch("/".join(uri.split("/")[-3:-1]))
    try:
        return found and datetime.fromisoformat(f"{found[1]}T{found[2]}:00+00:00")
    except ValueError:
        return None


def is_list(kind: str) -> bool:
    """Return whether a kind is that of lists."""
    return kind.startswith(_LIST)


def list_of(kind: str) -> str:
    """Return the kind of lists of a kind."""
    return f"{_LIST}{kind}>"


def item_of(kind: str) -> str:
    """Return the kind of the items of a list; of another kind, itself."""
    return kind[len(_LIST) : -1] if is_list(kind) else kind


@functools.cache
def widen(one: str, other: str) -> str:
    """Return the kind that has the values of two kinds.

    `null`, the kind of values that are all missing, is in every kind. Numbers of different kinds are float64. A list and a
    value are a list. Everything else is text.
    """
    if one == other:
        return one
    if is_list(one) or is_list(other):
        return list_of(widen(item_of(one), item_of(other)))
    if "null" in (one, other):
        return other if one == "null" else one
    return "float64" if one in _NUMBERS and other in _NUMBERS else "string"


def order(names: Iterable[str]) -> list[str]:
    """Return the names of a file's columns in their order."""
    unique = set(names)
    return [*(name for name in COLUMNS if name in unique), *sorted(unique - COLUMNS.keys())]


@functools.cache
def arrow_type(kind: str) -> Any:
    """Return pyarrow's type of a kind."""
    import pyarrow as pa

    if is_list(kind):
        return pa.list_(arrow_type(item_of(kind)))
    if kind == "timestamp":
        return pa.timestamp("us", tz="UTC")
    return {"bool": pa.bool_(), "string": pa.string()}.get(kind) or getattr(pa, kind)()


def kind_of(arrow: Any) -> str | None:
    """Return the kind of a pyarrow type, or None if no column of the log has it."""
    return next((kind for kind in _kinds() if arrow_type(kind).equals(arrow)), None)


def _kinds() -> Iterator[str]:
    plain = (*_NUMBERS, "bool", "string")
    yield from (*plain, *map(list_of, plain), "int32", "timestamp")
