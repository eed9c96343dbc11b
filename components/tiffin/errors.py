"""The errors Tiffin raises on purpose.

    TiffinError
    ├── InputError       a parameter, a file or an expression breaks a rule        (ValueError)
    ├── DataError        the data breaks a rule: too many bad rows, one class only  (ValueError)
    ├── StorageError     a place cannot be read or written                          (OSError)
    │   └── Conflict     somebody else changed the shared state first
    ├── ServingError     a model server did not answer as it should                 (RuntimeError)
    └── BackendError     a Kubeflow Pipelines backend did not answer as it should   (RuntimeError)

Each message says which input, the rule, what was received and what to do:

    try:
        ingest("trips.csv", ...)
    except tiffin.TiffinError as error:
        print(error)
"""

import contextlib
import difflib
import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator


class TiffinError(Exception):
    """Something a user can put right, said in words for that user."""


class InputError(TiffinError, ValueError):
    """A parameter, a file or an expression breaks a rule."""


class DataError(TiffinError, ValueError):
    """The data breaks a rule, such as a share of bad rows or a label with one class."""


class StorageError(TiffinError, OSError):
    """A place cannot be read or written."""


class Conflict(StorageError):
    """Somebody else changed the shared state between our read and our write."""


class ServingError(TiffinError, RuntimeError):
    """A model server did not answer, or answered with an error.

    Attributes:
        code: The gRPC status code's name, such as `NOT_FOUND`.
    """

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.code = code


class BackendError(TiffinError, RuntimeError):
    """A Kubeflow Pipelines backend did not answer, or refused.

    Attributes:
        status: The HTTP status, such as 403; 0 where no answer came.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def explain(error: BaseException) -> str | None:
    """Return one clear message for a user's mistake or a full machine, None for a bug of ours."""
    if isinstance(error, TiffinError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        # A copy names what it reads first, then what it writes.
        name = error.filename2 or error.filename
        where = f" '{name}'" if name else ""
        return f"Could not write{where}: {os.strerror(error.errno)}. Free space there, or choose another folder."
    if isinstance(error, PermissionError):
        return f"Could not open '{error.filename}': {error.strerror}. Give this user access, or choose another place."
    return None


# How a step ends that has said what is wrong: EX_DATAERR of sysexits.h. A second attempt at once would say it again.
EXPLAINED = 65


@contextlib.contextmanager
def reported(status: int = EXPLAINED) -> Iterator[None]:
    """End the process with one line on standard error for an error a user can put right.

    With `TIFFIN_DEBUG=1` in the environment the traceback is printed too. Bugs of ours keep their traceback.

    Args:
        status: Of the process. Defaults to `EXPLAINED`, by which a run on one machine tells such an end from others.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        if os.environ.get("TIFFIN_DEBUG") == "1":
            traceback.print_exc()
        print(f"error: {message}", file=sys.stderr, flush=True)  # noqa: T201
        raise SystemExit(status) from error
