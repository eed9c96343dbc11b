"""The client of MLflow, set up before the first import of it."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

# MLflow collects usage data unless this is set.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow prints the run's address at its end, with a password that the tracking URI contains.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's defaults are seven retries of each request over four minutes, without a line in the log, and 120 seconds for a
# response. faults.py repeats a whole attempt.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as database_engines

from tiffin.tracking import database

# MLflow's default is ten attempts to connect to a database over 100 seconds, also if its driver is not installed.
database_engines.MAX_RETRY_COUNT = 1

_Result = TypeVar("_Result")

# This logger prints a traceback of about 100 lines for every error that it also raises.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


@contextmanager
def client_of(uri: str) -> Iterator[MlflowClient]:
    """Yield a client; a SQLite database is locked meanwhile, against other registrations in it."""
    path = database.path_of(uri)
    # On a server, the version with the lowest number wins.
    with database.prepared(path) if path is not None else nullcontext():
        yield MlflowClient(uri)


def find_runs(client: MlflowClient, run: str, experiments: Sequence[str] | None = None) -> list[Run]:
    """Return the MLflow runs of a pipeline run.

    Args:
        client: Client.
        run: Pipeline run ID.
        experiments: IDs of the experiments to look in. Defaults to all that the client may read.
    """
    if experiments is None:
        found: list[str] = []
        page = client.search_experiments()
        found += [one.experiment_id for one in page]
        while page.token:
            page = client.search_experiments(page_token=page.token)
            found += [one.experiment_id for one in page]
        experiments = found
    quote = '"' if "'" in run else "'"
    return list(client.search_runs(list(experiments), f"tags.`tiffin.run` = {quote}{run}{quote}"))


def unless_missing(action: Callable[[], _Result]) -> _Result | None:
    """Return the result of a request, or None if what it asks for does not exist."""
    try:
        return action()
    except MlflowException as error:
        # An ID of another format is invalid.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
