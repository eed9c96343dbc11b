"""Log a model to MLflow: a run with parameters and metrics, and a version in the model registry."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.model import Training, read_training
from tiffin.artifacts.registration import Registration, write_registration
from tiffin.artifacts.verdict import Evaluation, read_evaluation
from tiffin.errors import InputError, StorageError, explain
from tiffin.stages.register.parameters import check_model_name, check_tracking_uri

# MLflow collects usage data unless this is set.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow's default is seven retries over four minutes; a step with a wrong address would seem to hang.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from alembic.util.exc import CommandError as AlembicError
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sqlalchemy.exc import SQLAlchemyError

from tiffin.stages.register import database

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

    A retry with the same `run` reuses the version registered by the first attempt.

    Args:
        model: Folder of the model artifact.
        evaluation: Folder of the evaluation artifact; the model must have passed.
        output: Folder of the registration artifact.
        name: Name of the registered model.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        experiment: Experiment name; empty for the model name.
        run: Pipeline run ID; empty outside a pipeline.

    Raises:
        InputError: A parameter is invalid, or the model did not pass.
        StorageError: MLflow did not respond, or rejected a request.
    """
    check_model_name(name)
    check_tracking_uri(tracking_uri)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise InputError(
            "tracking_uri should be an MLflow tracking URI. Received: tracking_uri='', and MLFLOW_TRACKING_URI is not "
            "set. Set one of them, such as http://mlflow:5000 or sqlite:////path/mlflow.db."
        )
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
    with _mlflow_errors(uri):
        client = _client(uri)
        version, run_id = _find(client, name, run) or _create(
            client, uri, experiment or name, name, model, record, verdict, tags
        )
    registration = Registration(name, version, run_id, record.data_version, record.schema_digest, record.tiffin_version)
    write_registration(output, registration)
    return registration


def _client(uri: str) -> MlflowClient:
    """Return a client, with the tables of its database created."""
    path = database.path_of(uri)
    # The first client creates MLflow's default experiment; two clients at once would conflict.
    with database.prepared(path) if path is not None else nullcontext():
        return MlflowClient(uri)


def _find(client: MlflowClient, name: str, run: str) -> tuple[int, str] | None:
    if not run:
        return None
    found = [v for v in client.search_model_versions(f"name = '{name}'") if v.tags.get("tiffin.run") == run]
    return (int(found[0].version), found[0].run_id) if found else None


def _create(
    client: MlflowClient,
    uri: str,
    experiment: str,
    name: str,
    model: str | Path,
    record: Training,
    verdict: Evaluation,
    tags: dict[str, str],
) -> tuple[int, str]:
    run_id = client.create_run(_experiment(client, uri, experiment), tags=tags).info.run_id
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
        return int(client.create_model_version(name, source, run_id, tags=tags).version), run_id
    except BaseException:
        _discard(client, run_id)
        raise


def _discard(client: MlflowClient, run_id: str) -> None:
    """Delete the files of a failed run and mark it as failed, if possible."""
    # An error here must not replace the one being raised.
    with suppress(Exception):
        # The version may have been created although its response was lost; it needs the files.
        if not client.search_model_versions(f"run_id = '{run_id}'"):
            get_artifact_repository(client.get_run(run_id).info.artifact_uri).delete_artifacts()
            client.set_terminated(run_id, "FAILED")


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without a server, MLflow would store the files in the working directory of the step.
    path = database.path_of(uri)
    location = str(path.resolve().parent / "mlflow") if path is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


@contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """Raise a StorageError for any error of MLflow or its database."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, AlembicError, OSError) as error:
        if full := database.find_full_disk(error, database.path_of(uri)):
            raise StorageError(explain(full)) from error
        cause = (str(error).strip() or repr(error)).splitlines()[0]
        message = (
            f"Could not register the model in MLflow at '{uri}': {cause}. "
            "Check the URI, the credentials and that MLflow is running."
        )
        # The URI may contain a password.
        raise StorageError(re.sub(r"//[^@/\s]*@", "//***@", message)) from error
