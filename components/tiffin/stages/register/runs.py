"""Runs in MLflow: the experiment of a run, and the content of a run."""

import os

# Sets up MLflow before the first import of it.
from tiffin.tracking.client import unless_missing

# isort: split
from mlflow import MlflowClient
from mlflow.entities import Param, RunTag
from mlflow.exceptions import MlflowException

from tiffin.stages.register import contents
from tiffin.stages.register.contents import Content
from tiffin.tracking import database
from tiffin.tracking.log import print_line

_PARENT = "mlflow.parentRunId"


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
