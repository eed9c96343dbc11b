"""The errors that Tiffin raises on purpose.

    TiffinError
    ├── InputError       a parameter, a file or an expression breaks a rule        (ValueError)
    ├── DataError        the data breaks a rule: too many bad rows, one class only  (ValueError)
    ├── MissingExtra     an extra of the package `tiffin` is not installed          (ImportError)
    ├── StorageError     a file, folder or object cannot be read or written         (OSError)
    │   └── Conflict     the shared state was modified concurrently
    ├── ServingError     a request to a model server failed                         (RuntimeError)
    └── BackendError     a request to a Kubeflow Pipelines backend failed           (RuntimeError)

Each message names the input, the rule, the received value and the next step:

    try:
        ingest("trips.csv", ...)
    except tiffin.TiffinError as error:
        print(error)
"""

import contextlib
import difflib
import errno
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator

from tiffin.printing import printable


class TiffinError(Exception):
    """An error that the user can fix; its message says how."""


class InputError(TiffinError, ValueError):
    """A parameter, a file or an expression breaks a rule."""


class DataError(TiffinError, ValueError):
    """The data breaks a rule, such as the limit of bad rows or a label with a single class."""


class MissingExtra(TiffinError, ImportError):
    """An extra of the package `tiffin` is not installed, so that an import failed."""


class StorageError(TiffinError, OSError):
    """A file, folder or object cannot be read or written."""


class Conflict(StorageError):
    """The shared state was modified between this process's read and its write."""


class ServingError(TiffinError, RuntimeError):
    """A model server did not respond, or responded with an error.

    Attributes:
        code: Name of the gRPC status code, such as `NOT_FOUND`.
    """

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.code = code


class BackendError(TiffinError, RuntimeError):
    """A Kubeflow Pipelines backend did not respond, or rejected the request.

    Attributes:
        status: HTTP status, such as 403; 0 without a response.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Name the extra to install where an import fails because a package of that extra is not installed.

    Where all packages of the extra are installed, a failed import is a bug and stays an ImportError.

    Args:
        extra: Name of the extra in the package's metadata, such as `sdk`.

    Raises:
        MissingExtra: An import failed, and a package of the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, MissingExtra) or not _lacks(extra):
            raise
        raise MissingExtra(
            f"tiffin needs the extra '{extra}' ({error}). Run: pip install 'tiffin[{extra}]'", name=error.name
        ) from error


def _lacks(extra: str) -> bool:
    from importlib import metadata

    try:
        # Such as `kfp==2.17.0; extra == "sdk"`.
        requirements = [
            text for text in metadata.requires("tiffin") or () if re.search(rf"""extra == ["']{extra}["']""", text)
        ]
        for text in requirements:
            metadata.version(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])
    except metadata.PackageNotFoundError as missing:
        return missing.name != "tiffin"  # a source tree on sys.path has no metadata
    return False


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest known name, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def explain(error: BaseException) -> str | None:
    """Return the message for an error that the user can fix, such as a full disk; None for a bug."""
    if isinstance(error, TiffinError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        # A failed copy has the source in `filename` and the target in `filename2`.
        name = error.filename2 or error.filename
        where = f" '{name}'" if name else ""
        return f"Could not write{where}: {os.strerror(error.errno)}. Free disk space, or choose another folder."
    if isinstance(error, PermissionError):
        return f"Could not open '{error.filename}': {error.strerror}. Grant this user access, or choose another path."
    return None


# Exit status of a step that printed its error: EX_DATAERR of sysexits.h. An immediate retry would fail in the same way.
EXPLAINED = 65


@contextlib.contextmanager
def reported(status: int = EXPLAINED) -> Iterator[None]:
    """Exit with one line on standard error for an error that the user can fix; bugs keep their traceback.

    With `TIFFIN_DEBUG=1` in the environment, the traceback is always printed.

    Args:
        status: Exit status. Defaults to `EXPLAINED`, which local runs recognise.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        if os.environ.get("TIFFIN_DEBUG") == "1":
            traceback.print_exc()
        print(f"error: {printable(message)}", file=sys.stderr, flush=True)  # noqa: T201
        raise SystemExit(status) from error
