"""Errors of MLflow, its database and its artifact store: retried if a second attempt may succeed, and explained."""

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests
from alembic.util.exc import CommandError as AlembicError
from mlflow.exceptions import InvalidUrlException, MlflowException
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from tiffin.errors import InputError, StorageError, explain
from tiffin.tracking import database
from tiffin.tracking.log import print_line

# Seconds before each retry, and the time after which no other retry starts. One attempt takes several requests, each of
# which MLflow's client repeats, as registry.py sets it up.
WAITS: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
LAST_START_SECONDS = 180.0

# MLflow's codes of HTTP 408, 429 and 5xx, and of a lost connection.
_TRANSIENT = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
}
# Errors that are the same in each attempt, although MLflow reports them as internal errors.
_PERMANENT = (
    InvalidUrlException,
    ArgumentError,
    AlembicError,
    InputError,
    requests.exceptions.SSLError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidProxyURL,
)
_NETWORK = (ConnectionError, TimeoutError, requests.exceptions.ConnectionError, requests.exceptions.Timeout)
# Top packages of the clients of artifact stores, whose errors MLflow passes on.
_STORES = (
    "boto3",
    "botocore",
    "s3transfer",
    "google",
    "azure",
    "urllib3",
    "requests",
    "databricks",
    "psycopg",
    "psycopg2",
)

_Result = TypeVar("_Result")


def retried(action: Callable[[], _Result], uri: str) -> _Result:
    """Call `action`, and again after an error that another attempt may not have; print a line for each retry.

    Args:
        action: What to do. It must be safe to repeat, even if an attempt took effect and its response was lost.
        uri: MLflow's tracking URI, for the printed lines.

    Raises:
        Exception: The error of the last attempt.
    """
    started = time.monotonic()
    for number, wait in enumerate(WAITS, 1):
        try:
            return action()
        except Exception as error:
            if not is_transient(error) or time.monotonic() - started + wait > LAST_START_SECONDS:
                raise
            line = f"MLflow at '{uri}': {cause(error)}. Retry {number} of {len(WAITS)} in {wait:g} s."
            print_line(line)
            time.sleep(wait)
    return action()


def is_transient(error: BaseException) -> bool:
    """Return whether another attempt may succeed: a lost connection, a busy server or a locked database."""
    chain = list(_chain(error))
    if database.find_full_disk(error, None) or any(isinstance(found, (*_PERMANENT, ImportError)) for found in chain):
        return False
    for found in chain:
        if (400 <= (status := _status(found)) < 500 and status not in (408, 429)) or "Credentials" in type(
            found
        ).__name__:
            return False
        if isinstance(found, sqlite3.Error):
            # The lower byte is the primary code.
            return getattr(found, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    first = chain[0]
    if isinstance(first, MlflowException):
        return first.error_code in _TRANSIENT
    return isinstance(first, (OperationalError, *_NETWORK)) or _is_foreign(first)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # MLflow raises most of its errors without a cause, but within the handler of another.
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int:
    """Return the HTTP status of an error of requests, Amazon's or Google's client; 0 if it has none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    else:
        status = getattr(response, "status_code", None) or getattr(error, "code", 0)
    return status if isinstance(status, int) else 0


def _is_foreign(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _STORES


def cause(error: BaseException) -> str:
    """Return the system's reason of a connection that failed, or else the first line of an error."""
    for found in _chain(error):
        if isinstance(found, (ConnectionError, socket.gaierror)) and found.strerror:
            return found.strerror
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")


@contextmanager
def explained(uri: str, doing: str = "log to") -> Iterator[None]:
    """Raise a StorageError for any error of MLflow, its database or its artifact store.

    Args:
        uri: MLflow's tracking URI, for the message.
        doing: What failed, for the message. Defaults to `log to`.
    """
    try:
        yield
    except (InputError, StorageError):
        raise
    except ImportError as error:
        raise StorageError(
            f"MLflow at '{uri}' needs a package that is not installed here: {cause(error)}. Add it to the environment of "
            "the step, which is its image or virtualenv 'model'."
        ) from error
    except Exception as error:
        if not isinstance(error, (MlflowException, SQLAlchemyError, AlembicError, OSError)) and not _is_foreign(error):
            raise
        if full := database.find_full_disk(error, database.path_of(uri)):
            raise StorageError(explain(full) or "") from error
        advice = "Check the URI, the credentials and that MLflow is running."
        if any(isinstance(found, socket.gaierror) for found in _chain(error)):
            advice = (
                "Check the URI. In a cluster, it is MLFLOW_TRACKING_URI of the ConfigMap tiffin: set it to your server, or add "
                "the option mlflow to the manifests, which installs one at http://mlflow:5000."
            )
        raise StorageError(f"Could not {doing} MLflow at '{uri}': {cause(error)}. {advice}") from error
