"""Log a model to MLflow: a run with parameters and metrics, and a version in the model registry."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tiffin.artifacts import documents
from tiffin.artifacts.model import Training, read_training
from tiffin.artifacts.registration import Registration, write_registration
from tiffin.artifacts.verdict import Evaluation, read_evaluation
from tiffin.errors import InputError
from tiffin.masking import masked
from tiffin.printing import printable
from tiffin.stages.register.parameters import check_login, check_model_name, check_tracking_uri

# MLflow collects usage data unless this is set.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow prints the run's address at its end, with a password that the tracking URI contains.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's defaults are seven retries of each request over four minutes, without a line in the log, and 120 seconds for a
# response. faults.py repeats the whole registration.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db import utils as database_engines

from tiffin.stages.register import database, faults

# MLflow's default is ten attempts to connect to a database over 100 seconds, also if its driver is not installed.
database_engines.MAX_RETRY_COUNT = 1

_Result = TypeVar("_Result")

_PARENT = "mlflow.parentRunId"
_LONGEST_VALUE = 500
# This logger prints a traceback of about 100 lines for every error that it also raises.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def register(
    model: str | Path,
    evaluation: str | Path,
    output: str | Path,
    name: str,
    *,
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
) -> Registration:
    """Log a model that passed its gate to MLflow, register it as a new version, and return the registration.

    A retry with the same `run` reuses the version registered by the first attempt. Of several attempts at once, the one
    with the lowest version wins; the others delete theirs.

    If MLFLOW_RUN_ID names a run of this MLflow, as set by Kubeflow Pipelines' MLflow plug-in, the model's run is nested in
    it and belongs to its experiment.

    Args:
        model: Folder of the model artifact.
        evaluation: Folder of the evaluation artifact; the model must have passed.
        output: Folder of the registration artifact.
        name: Name of the registered model.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        experiment: Experiment name; empty for the experiment of MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID if set, else the
            model name.
        run: Pipeline run ID; empty outside a pipeline.

    Raises:
        InputError: A parameter is invalid, or the model did not pass.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """
    check_model_name(name)
    check_tracking_uri(tracking_uri)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise InputError(
            "tracking_uri should be an MLflow tracking URI. Received: tracking_uri='', and MLFLOW_TRACKING_URI is not "
            "set. Set one of them, such as http://mlflow:5000 or sqlite:////path/mlflow.db."
        )
    check_login(uri)
    verdict = read_evaluation(evaluation)
    if not verdict.passed:
        raise InputError(
            f"evaluation should be of a model that passed the gate. Received: passed=false, {verdict.reason} "
            "Train a better model, or change the thresholds."
        )
    record = read_training(model)
    tags = {
        "tiffin.data_version": record.data_version,
        "tiffin.schema_digest": record.schema_digest,
        "tiffin.spec_version": record.tiffin_version,
    } | ({"tiffin.run": run} if run else {})
    # MLflow runs that this call created: without `run`, they identify its version if a response was lost.
    own: list[str] = []

    def attempt() -> tuple[int, str]:
        path = database.path_of(uri)
        # The lock keeps out other registrations in the same SQLite database. On a server, `_find` decides between them.
        with database.prepared(path) if path is not None else nullcontext():
            client = MlflowClient(uri)
            found = _find(client, name, run, own)
            if found is None:
                where = _place(client, uri, tracking_uri, experiment, name)
                _create(client, where, name, model, record, verdict, tags, own)
                found = _find(client, name, run, own)
        if found is None:
            raise InputError(f"The version of '{name}' was deleted while it was registered. Run the step again.")
        return int(found.version), found.run_id

    with faults.explained(uri):
        database.check_driver(uri)
        version, run_id = faults.retried(attempt, uri)
    registration = Registration(name, version, run_id, record.data_version, record.schema_digest, record.tiffin_version)
    write_registration(output, registration)
    return registration


def _find(client: MlflowClient, name: str, run: str, own: list[str]) -> ModelVersion | None:
    """Return the lowest version of a pipeline run, or of MLflow runs of this call; delete the other ones."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += [v for v in page if v.run_id in own or (run and v.tags.get("tiffin.run") == run)]
        token = page.token
        if not token:
            break
    first, *others = sorted(found, key=lambda v: int(v.version)) or [None]
    for other in others:
        _print(f"Deleting version {other.version} of '{name}', registered at the same time as version {first.version}.")
        # The other attempt may have deleted it already.
        _unless_missing(partial(client.delete_model_version, name, other.version))
        if other.run_id != first.run_id:
            _discard(client, other.run_id)
    return first


def _unless_missing(action: Callable[[], _Result]) -> _Result | None:
    """Return the result of a request, or None if what it asks for does not exist."""
    try:
        return action()
    except MlflowException as error:
        # An ID of another format is invalid.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _create(
    client: MlflowClient,
    where: tuple[str, dict[str, str]],
    name: str,
    model: str | Path,
    record: Training,
    verdict: Evaluation,
    tags: dict[str, str],
    own: list[str],
) -> None:
    experiment, parent = where
    run_id = client.create_run(experiment, tags=tags | parent).info.run_id
    own.append(run_id)
    try:
        settings = {
            **documents.to_json(record.settings),
            "label": record.label,
            "task": record.task,
            "rows": record.rows,
        }
        params = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in settings.items()]
        # All metrics of the run have the same timestamp.
        now = client.get_run(run_id).info.start_time
        metrics = [Metric(key, value, now, 0) for key, value in verdict.metrics.items() if value is not None]
        metrics += [Metric("training_loss", loss, now, epoch + 1) for epoch, loss in enumerate(record.losses)]
        client.log_batch(run_id, metrics, params, [RunTag("tiffin.verdict", verdict.reason)])
        client.log_artifacts(run_id, str(model), "model")
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        client.set_terminated(run_id, "FINISHED")
        # An absolute source: only some of MLflow's stores resolve `runs:/` URIs.
        source = client.get_run(run_id).info.artifact_uri.rstrip("/") + "/model"
        # Created last: a version that exists is complete.
        client.create_model_version(name, source, run_id, tags=tags)
    except BaseException:
        # The version may have been created although its response was lost; it needs the files.
        with suppress(Exception):
            if not client.search_model_versions(f"run_id = '{run_id}'"):
                _discard(client, run_id)
        raise


def _discard(client: MlflowClient, run_id: str) -> None:
    """Delete the files of a run whose model is not registered and mark it as failed, if possible."""
    # An error here must not replace the one being raised.
    with suppress(Exception):
        location = client.get_run(run_id).info.artifact_uri
        # The artifacts of a server are at mlflow-artifacts:/, below its address.
        get_artifact_repository(location, tracking_uri=client.tracking_uri).delete_artifacts()
        client.set_terminated(run_id, "FAILED")


def _place(client: MlflowClient, uri: str, tracking_uri: str, experiment: str, name: str) -> tuple[str, dict[str, str]]:
    """Return the experiment's ID for the model's run, and the tags that nest it in another run."""
    run_id, chosen = os.environ.get("MLFLOW_RUN_ID", ""), os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    if run_id:
        parent = _unless_missing(lambda: client.get_run(run_id))
        if parent and parent.info.lifecycle_stage == "active":
            place = _experiment(client, uri, experiment) if experiment else str(parent.info.experiment_id)
            return place, {_PARENT: run_id}
        _print(
            f"MLflow at '{uri}' has no run {run_id}, which MLFLOW_RUN_ID names; the model's run is not nested in it."
        )
    # Kubeflow's plug-in sets both variables for its MLflow, which need not be this one.
    elif chosen and not experiment and tracking_uri in ("", os.environ.get("MLFLOW_TRACKING_URI")):
        found = _unless_missing(lambda: client.get_experiment(chosen))
        if found and found.lifecycle_stage == "active":
            return str(found.experiment_id), {}
        _print(f"MLflow at '{uri}' has no experiment {chosen}, which MLFLOW_EXPERIMENT_ID names; using '{name}'.")
    return _experiment(client, uri, experiment or name), {}


def _print(line: str) -> None:
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
