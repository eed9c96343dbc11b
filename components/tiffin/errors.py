"""The errors that Tiffin raises on purpose.

    TiffinError
    ├── InputError       a parameter, a file or an expression breaks a rule        (ValueError)
    ├── DataError        the data breaks a rule: too many bad rows, one class only  (ValueError)
    ├── MissingExtra     an extra of the package `tiffin` is not installed          (ImportError)
    ├── StorageError     a file, folder or object cannot be read or written         (OSError)
    │   └── Conflict     the shared state was modified concurrently
    ├── ServingError     a request to a model server failed                         (RuntimeError)
    └── BackendError     a request to a Kubeflow Pipelines backend failed           (RuntimeError)

Each message names the input, the rule, the received value and the next step, without passwords and tokens:

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
from typing import Any

from tiffin.masking import masked
from tiffin.printing import printable, printable_lines


class TiffinError(Exception):
    """An error that the user can fix; its message says how. Secrets in the message are masked."""

    def __init__(self, message: str = "", **options: Any) -> None:
        super().__init__(masked(message), **options)


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
    if _is_memory(error):
        return "Not enough memory. Raise the memory limit (ulimit -v, or the size of the step), or use less data."
    # Errors of processes and threads have no path.
    if _is_fork(error) or "can't start new thread" in str(error):
        return (
            "Could not start a process or a thread. Raise the limit of processes: ulimit -u, or that of the container."
        )
    message = _explain_system(error) if isinstance(error, OSError) else None
    return None if message is None else masked(message)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error, with secrets masked."""
    return masked("".join(traceback.format_exception(error)))


def _is_memory(error: BaseException) -> bool:
    """Return whether memory ran out. Libraries have errors of their own, and a library that cannot be mapped is not found."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("OutOfMemoryException", "ResourceExhaustedError")
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, ImportError) and ("map segment" in str(error) or "allocate memory" in str(error)))
    )


def _is_fork(error: BaseException) -> bool:
    # A write to a full pipe raises this error too, with the number of bytes written.
    return isinstance(error, BlockingIOError) and not hasattr(error, "characters_written")


# Error number -> what to do. Errors with other numbers are bugs, or have no path.
_ADVICE = {
    errno.EROFS: "Choose another folder, or mount the file system for writing",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.ELOOP: "Remove the loop of links, or choose another path",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path",
    errno.EISDIR: "Check the path",
    errno.EEXIST: "Choose another path, or remove the file",
    errno.EINVAL: "Choose another path: the file system refuses this one",
    errno.ENXIO: "Choose another path: this one is not a file",
    errno.EIO: "Check that the disk is mounted and healthy",
    errno.ESTALE: "Mount the file system again",
    errno.ENOTCONN: "Mount the file system again",
    errno.ETXTBSY: "Stop the program that uses the file",
}


def _explain_system(error: OSError) -> str | None:
    """Return the message for an error of the operating system; None for a bug."""
    # A failed copy has the source in `filename` and the target in `filename2`.
    name = error.filename2 or error.filename
    reason = os.strerror(error.errno) if error.errno else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        where = f" '{name}'" if name else ""
        return f"Could not write{where}: {reason}. Free disk space, or choose another folder."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"Could not open another file: {reason}. Raise the limit of open files: ulimit -n 4096."
    if isinstance(error, PermissionError):
        return f"Could not open '{error.filename}': {error.strerror}. Grant this user access, or choose another path."
    if name is None and isinstance(error, FileNotFoundError):
        return _explain_folder(error)
    if name and error.errno in _ADVICE:
        return f"Could not open '{os.fsdecode(name)}': {reason}. {_ADVICE[error.errno]}."
    return None


def _explain_folder(error: FileNotFoundError) -> str | None:
    """Return the message if there is no working folder or no temporary folder; these errors have no path."""
    try:
        os.getcwd()
    except OSError:
        return "The working folder was removed. Change to another folder."
    if "temporary directory" in str(error.strerror):
        return f"{error.strerror}. Set TMPDIR to a folder with free space that this user can write."
    return None


# Exit status of a step that printed its error: EX_DATAERR of sysexits.h. An immediate retry would fail in the same way.
EXPLAINED = 65


@contextlib.contextmanager
def reported(status: int = EXPLAINED) -> Iterator[None]:
    """Exit with one line on standard error for an error that the user can fix, and with 1 and the traceback for a bug.

    With `SENTRY_DSN` in the environment, the error is also reported to Sentry, a bug as an error and any other as a warning.
    With `TIFFIN_DEBUG=1`, the traceback is always printed. Secrets are masked and control characters
    escaped in both. A umask that lets all users write is set to 022.

    Args:
        status: Exit status for an error that the user can fix. Defaults to `EXPLAINED`, which local runs recognise.
    """
    _protect_files()
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None or os.environ.get("TIFFIN_DEBUG") == "1":
            print(printable_lines(traceback_of(error)), end="", file=sys.stderr, flush=True)  # noqa: T201
        if message is not None:
            print(f"error: {printable(message)}", file=sys.stderr, flush=True)  # noqa: T201
        if _reports():
            from tiffin.sentry import send_error

            send_error(error, is_bug=message is None)
        raise SystemExit(1 if message is None else status) from error


def watched(server: str) -> None:
    """Report the errors of a server to Sentry, where `SENTRY_DSN` is set: uncaught ones, those of threads and logged ones.

    Args:
        server: Name of the server, such as `recorder`.
    """
    if _reports():
        from tiffin.sentry import watch

        watch(server)


def _reports() -> bool:
    # Without the variable, the module is not imported either.
    return bool(os.environ.get("SENTRY_DSN"))


def _protect_files() -> None:
    """Replace a umask that lets all users write; every other is the user's choice.

    Argo's executor starts steps with umask 0, so that everybody could change the models in the serving root.
    """
    umask = os.umask(0o022)
    if umask & 0o002:
        os.umask(umask)
