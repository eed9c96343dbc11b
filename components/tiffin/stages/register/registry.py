"""The MLflow record of a model: a run with parameters and metrics, and a version in the model registry."""

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

# MLflow reports its use to its makers unless it is told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow's own default is seven tries over four minutes, in which a wrong address looks like a hanging step.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from alembic.util.exc import CommandError as AlembicError
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sqlalchemy.exc import SQLAlchemyError

from tiffin.stages.register import database

_LONGEST_VALUE = 500
# It prints the traceback of every error that it raises too, a hundred lines before the one that says what is wrong.
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
    """Record a model that passed its gate in MLflow, register a version of it, and return the registration.

    A retry with the same `run` finds the version that the first try registered and makes no second one.

    Args:
        model: Folder of the model artifact.
        evaluation: Folder of the evaluation artifact; its verdict must be passed.
        output: Folder of the registration artifact.
        name: Of the registered model.
        tracking_uri: Of MLflow; empty for the environment's MLFLOW_TRACKING_URI.
        experiment: Name; empty for the model's name.
        run: Identifier of the pipeline run; empty outside of one.

    Raises:
        InputError: A parameter breaks a rule, or the model did not pass.
        StorageError: MLflow does not answer or refuses.
    """
    check_model_name(name)
    check_tracking_uri(tracking_uri)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise InputError(
            "tracking_uri should be MLflow's address. Received: tracking_uri='' and no MLFLOW_TRACKING_URI in the "
            "environment. Pass one, such as http://mlflow:5000 or sqlite:////path/mlflow.db."
        )
    verdict = read_evaluation(evaluation)
    if not verdict.passed:
        raise InputError(
            f"Only a model that passed its gate is registered. Received: a verdict of failure, {verdict.reason} "
            "Train a better model, or set other thresholds."
        )
    record = read_training(model)
    tags = {
        "tiffin.data_version": record.data_version,
        "tiffin.schema_digest": record.schema_digest,
        "tiffin.spec_version": record.tiffin_version,
    } | ({"tiffin.run": run} if run else {})
    with _explained(uri):
        client = _client(uri)
        version, run_id = _find(client, name, run) or _create(
            client, uri, experiment or name, name, model, record, verdict, tags
        )
    registration = Registration(name, version, run_id, record.data_version, record.schema_digest, record.tiffin_version)
    write_registration(output, registration)
    return registration


def _client(uri: str) -> MlflowClient:
    """Return a client whose store is ready."""
    path = database.path_of(uri)
    # The first client adds MLflow's default experiment, which two at once cannot.
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
        # One time for all metrics of the run: when it was recorded.
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
        # The source is where the files lie: `runs:/` addresses are resolved by some of MLflow's stores only.
        source = client.get_run(run_id).info.artifact_uri.rstrip("/") + "/model"
        # Last, so that a version is whole when it appears.
        return int(client.create_model_version(name, source, run_id, tags=tags).version), run_id
    except BaseException:
        _discard(client, run_id)
        raise


def _discard(client: MlflowClient, run_id: str) -> None:
    """Remove the files of a run that failed and mark it so, as far as that is possible."""
    # Whatever goes wrong here comes after the error that the user has to hear of.
    with suppress(Exception):
        # An answer that got lost may have been that of a new version, which needs its files.
        if not client.search_model_versions(f"run_id = '{run_id}'"):
            get_artifact_repository(client.get_run(run_id).info.artifact_uri).delete_artifacts()
            client.set_terminated(run_id, "FAILED")


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without a server, MLflow would put the files below the folder that a step happens to run in.
    path = database.path_of(uri)
    location = str(path.resolve().parent / "mlflow") if path is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, SQLAlchemyError, AlembicError, OSError) as error:
        if full := database.find_full_disk(error, database.path_of(uri)):
            raise StorageError(explain(full)) from error
        said = (str(error).strip() or repr(error)).splitlines()[0]
        message = f"MLflow at '{uri}' should take the model. Received: {said}. Check the address, its access and that it runs."
        # A password may be part of the address.
        raise StorageError(re.sub(r"//[^@/\s]*@", "//***@", message)) from error
