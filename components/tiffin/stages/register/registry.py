"""Register models in MLflow: a run, the model, and its version in the model registry."""

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tiffin.artifacts.examples import Row, read_manifest, read_sample_rows
from tiffin.artifacts.model import read_training, saved_model
from tiffin.artifacts.recipe import read_recipe
from tiffin.artifacts.reference import FOLDER
from tiffin.artifacts.registration import Registration, write_registration
from tiffin.artifacts.verdict import read_evaluation
from tiffin.errors import InputError

# Sets up MLflow before the first import of it.
from tiffin.tracking.client import client_of, unless_missing
from tiffin.tracking.names import check_model_name

# isort: split
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tiffin.stages.register import contents
from tiffin.stages.register.contents import Content
from tiffin.stages.register.reference import gathered
from tiffin.stages.register.runs import fill, place
from tiffin.tracking import database, faults
from tiffin.tracking.log import print_line
from tiffin.tracking.uri import uri_of

# Name of the model in its run: runs:/<run ID>/model.
_MODEL = "model"


def register(
    model: str | Path,
    evaluation: str | Path,
    output: str | Path,
    name: str,
    *,
    examples: str | Path = "",
    statistics: str | Path = "",
    schema: str | Path = "",
    files: Sequence[str | Path] = (),
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
    run_name: str = "",
) -> Registration:
    """Log a model that passed its gate to MLflow, register it as a new version, and return the registration.

    A retry with the same `run` reuses the version registered by the first attempt. Of several attempts at once, the one
    with the lowest version wins; the others delete theirs.

    What monitoring compares with is in the run's folder `reference`, see `tiffin.artifacts.reference`.

    If MLFLOW_RUN_ID names a run of this MLflow, as set by Kubeflow Pipelines' MLflow plug-in, the model's run is nested in
    it and belongs to its experiment.

    Args:
        model: Folder of the model artifact.
        evaluation: Folder of the evaluation artifact; the model must have passed.
        output: Folder of the registration artifact.
        name: Name of the registered model.
        examples: Folder of the examples artifact, for the data sets, the parameters of ingest and the input example; empty for
            none of them.
        statistics: Folder of the statistics artifact, for monitoring; empty for none.
        schema: Folder of the schema artifact, for monitoring; empty for none.
        files: Files and folders to log beside the model.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        experiment: Experiment name; empty for the experiment of MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID if set, else the
            model name.
        run: Pipeline run ID; empty outside a pipeline.
        run_name: Name of the MLflow run; empty for a name that MLflow makes up.

    Raises:
        InputError: A parameter is invalid, the model did not pass, or the schema is not the one of the training.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """
    check_model_name(name)
    uri = uri_of(tracking_uri)
    verdict = read_evaluation(evaluation)
    if not verdict.passed:
        raise InputError(
            f"evaluation should be of a model that passed the gate. Received: passed=false, {verdict.reason} "
            "Train a better model, or change the thresholds."
        )
    record = read_training(model)
    # The loader needs it: a missing recipe is an error before anything is created.
    read_recipe(saved_model(model))
    manifest = read_manifest(examples) if examples else None
    rows = read_sample_rows(examples) if examples else []
    # MLflow runs that this call created: without `run`, they identify its version if a response was lost.
    own: list[str] = []

    with gathered(model, evaluation, record, manifest, statistics, schema) as reference:
        folders = {"evaluation": Path(evaluation), FOLDER: reference}
        content = Content(name, run, run_name, True, verdict.reason, manifest, record, verdict, folders)

        def attempt() -> tuple[int, str, str]:
            with client_of(uri) as client:
                found = _find(client, name, run, own)
                if found is None:
                    where = place(client, uri, tracking_uri, experiment, name)
                    _create(client, where, content, Path(model), rows, files, own)
                    found = _find(client, name, run, own)
                if found is None:
                    raise InputError(
                        f"The version of '{name}' was deleted while it was registered. Run the step again."
                    )
                return int(found.version), found.run_id, _link(client, found)

        with faults.explained(uri):
            database.check_driver(uri)
            version, run_id, model_id = faults.retried(attempt, uri)
    registration = Registration(
        name, version, run_id, record.data_version, record.schema_digest, record.tiffin_version, model_id
    )
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
        print_line(
            f"Deleting version {other.version} of '{name}', registered at the same time as version {first.version}."
        )
        # The other attempt may have deleted it already.
        unless_missing(partial(client.delete_model_version, name, other.version))
        if other.run_id != first.run_id:
            _discard(client, other.run_id)
    return first


def _link(client: MlflowClient, version: ModelVersion) -> str:
    """Add a version to the logged model that it was made from, as MLflow's own clients do, and return the model's ID."""
    outputs = client.get_run(version.run_id).outputs
    model_id = outputs.model_outputs[0].model_id if outputs and outputs.model_outputs else ""
    if model_id:
        linked = json.dumps([{"name": version.name, "version": version.version}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": linked})
    return str(model_id)


def _create(
    client: MlflowClient,
    where: tuple[str, dict[str, str]],
    content: Content,
    model: Path,
    rows: Sequence[Row],
    files: Sequence[str | Path],
    own: list[str],
) -> None:
    experiment, parent = where
    run_id = client.create_run(experiment, tags=content.tags | parent, run_name=content.run_name or None).info.run_id
    own.append(run_id)
    try:
        logged = client.create_logged_model(
            experiment, _MODEL, source_run_id=run_id, tags=content.lineage,
            params=contents.shortened(content.parameters, contents.LONGEST_PARAMETER)[0],
        )  # fmt: skip
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        fill(client, run_id, content, logged.model_id)
        for file in map(Path, files):
            log = client.log_artifacts if file.is_dir() else client.log_artifact
            log(run_id, str(file), f"reports/{file.name}" if file.is_dir() else "reports")
        _upload(client, logged, run_id, model, rows)
        client.finalize_logged_model(logged.model_id, "READY")
        try:
            client.create_registered_model(content.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        client.set_terminated(run_id, "FINISHED")
        # Created last: a version that exists is complete. The source is absolute: only some of MLflow's stores resolve
        # `models:/` URIs.
        source = logged.artifact_location
        client.create_model_version(content.name, source, run_id, tags=content.lineage, model_id=logged.model_id)
    except BaseException:
        # The version may have been created although its response was lost; it needs the files.
        with suppress(Exception):
            if not client.search_model_versions(f"run_id = '{run_id}'"):
                _discard(client, run_id)
        raise


def _upload(client: MlflowClient, logged: LoggedModel, run_id: str, model: Path, rows: Sequence[Row]) -> None:
    """Upload the model artifact and, beside its SavedModel, the files of an MLflow model."""
    # Its imports take a second: MLflow is reached before that.
    from tiffin.stages.register import packaging

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        packaging.write(
            folder, model, rows, artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run_id,
            model_id=logged.model_id,
        )  # fmt: skip
        client.log_model_artifacts(logged.model_id, str(folder))
    client.log_model_artifacts(logged.model_id, str(model))


def _discard(client: MlflowClient, run_id: str) -> None:
    """Delete the model and the files of a run whose model is not registered and mark it as failed, if possible."""
    # An error here must not replace the one being raised. The files come first: on a full disk, the database takes no change
    # before they are gone.
    with suppress(Exception):
        info = client.get_run(run_id).info
        found = client.search_logged_models([info.experiment_id], f"source_run_id = '{run_id}'")
        for location in (*(logged.artifact_location for logged in found), info.artifact_uri):
            with suppress(Exception):
                _delete_files(client, location)
        client.set_terminated(run_id, "FAILED")
        for logged in found:
            client.delete_logged_model(logged.model_id)


def _delete_files(client: MlflowClient, location: str) -> None:
    # The artifacts of a server are at mlflow-artifacts:/, below its address.
    get_artifact_repository(location, tracking_uri=client.tracking_uri).delete_artifacts()
