"""Runs in MLflow: the client of a tracking URI, the experiment of a run, and the content of a run."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from tiffin.errors import InputError
from tiffin.masking import masked
from tiffin.printing import printable
from tiffin.stages.register.parameters import check_login, check_tracking_uri

# MLflow collects usage data unless this is set.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow prints the run's address at its end, with a password that the tracking URI contains.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's defaults are seven retries of each request over four minutes, without a line in the log, and 120 seconds for a
# response. faults.py repeats the whole registration.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

from mlflow import MlflowClient
from mlflow.entities import Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as database_engines

from tiffin.stages.register import contents, database
from tiffin.stages.register.contents import Content

# MLflow's default is ten attempts to connect to a database over 100 seconds, also if its driver is not installed.
database_engines.MAX_RETRY_COUNT = 1

_Result = TypeVar("_Result")

_PARENT = "mlflow.parentRunId"
# This logger prints a traceback of about 100 lines for every error that it also raises.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def uri_of(tracking_uri: str) -> str:
    """Return the tracking URI: the parameter, or else that of the environment.

    Raises:
        InputError: There is none, it has a secret, or its login is not encoded.
    """
    check_tracking_uri(tracking_uri)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise InputError(
            "tracking_uri should be an MLflow tracking URI. Received: tracking_uri='', and MLFLOW_TRACKING_URI is not "
            "set. Set one of them, such as http://mlflow:5000 or sqlite:////path/mlflow.db."
        )
    check_login(uri)
    return uri


@contextmanager
def client_of(uri: str) -> Iterator[MlflowClient]:
    """Yield a client; a SQLite database is locked meanwhile, against other registrations in it."""
    path = database.path_of(uri)
    # On a server, the version with the lowest number wins.
    with database.prepared(path) if path is not None else nullcontext():
        yield MlflowClient(uri)


def fill(client: MlflowClient, run_id: str, content: Content, model_id: str = "") -> None:
    """Log parameters, metrics, data sets and folders to a run. Repeating it changes nothing."""
    whole = content.parameters
    params, long = contents.shortened(whole, contents.LONGEST_PARAMETER)
    # All metrics of the run have the same timestamp.
    now = client.get_run(run_id).info.start_time
    about = {"model_id": model_id} if model_id else {}
    if content.manifest:
        sets = contents.datasets(content.manifest)
        client.log_inputs(run_id, sets)
        if content.evaluation and content.evaluation.split in content.manifest.splits:
            name = contents.dataset_name(content.manifest, content.evaluation.split)
            about |= {"dataset_name": name, "dataset_digest": content.manifest.version}
    client.log_batch(
        run_id,
        contents.metrics(content.evaluation, content.record, now, **about),
        [Param(key, value) for key, value in params.items()],
        [RunTag("tiffin.shortened_parameters", ", ".join(long))] if long else [],
    )
    client.log_dict(run_id, whole, "parameters.json")
    for name, folder in content.folders.items():
        client.log_artifacts(run_id, str(folder), name)


def place(client: MlflowClient, uri: str, tracking_uri: str, experiment: str, name: str) -> tuple[str, dict[str, str]]:
    """Return the experiment's ID for the model's run, and the tags that nest it in another run."""
    run_id, chosen = os.environ.get("MLFLOW_RUN_ID", ""), os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    if run_id:
        parent = unless_missing(lambda: client.get_run(run_id))
        if parent and parent.info.lifecycle_stage == "active":
            place = _experiment(client, uri, experiment) if experiment else str(parent.info.experiment_id)
            return place, {_PARENT: run_id}
        print_line(
            f"MLflow at '{uri}' has no run {run_id}, which MLFLOW_RUN_ID names; the model's run is not nested in it."
        )
    # Kubeflow's plug-in sets both variables for its MLflow, which need not be this one.
    elif chosen and not experiment and tracking_uri in ("", os.environ.get("MLFLOW_TRACKING_URI")):
        found = unless_missing(lambda: client.get_experiment(chosen))
        if found and found.lifecycle_stage == "active":
            return str(found.experiment_id), {}
        print_line(f"MLflow at '{uri}' has no experiment {chosen}, which MLFLOW_EXPERIMENT_ID names; using '{name}'.")
    return _experiment(client, uri, experiment or name), {}


def print_line(line: str) -> None:
    """Print a line to the log of the step."""
    print(printable(masked(line)), file=sys.stderr, flush=True)  # noqa: T201 - the step's log


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without a server, MLflow would store the files in the working directory of the step.
    path = database.path_of(uri)
    location = (path.resolve().parent / "mlflow").as_uri() if path is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def unless_missing(action: Callable[[], _Result]) -> _Result | None:
    """Return the result of a request, or None if what it asks for does not exist."""
    try:
        return action()
    except MlflowException as error:
        # An ID of another format is invalid.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
