"""Log a pipeline run that a gate stopped to MLflow."""

from pathlib import Path

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import read_training
from tiffin.artifacts.verdict import read_evaluation

# Sets up MLflow before the first import of it.
from tiffin.tracking.client import client_of, find_runs
from tiffin.tracking.names import check_model_name

# isort: split
from mlflow import MlflowClient

from tiffin.stages.register.contents import Content
from tiffin.stages.register.runs import fill, place
from tiffin.tracking import database, faults
from tiffin.tracking.uri import uri_of


def record_stop(
    gate: str,
    reason: str,
    name: str,
    *,
    examples: str | Path = "",
    model: str | Path = "",
    evaluation: str | Path = "",
    tracking_uri: str = "",
    experiment: str = "",
    run: str = "",
    run_name: str = "",
) -> str:
    """Log a pipeline run that a gate stopped to MLflow, without a model, and return the ID of the MLflow run.

    The MLflow run has the status FAILED and the tag `tiffin.stopped_by`. A retry with the same `run` reuses it.

    Args:
        gate: Gate that stopped the run.
        reason: Reason of the gate.
        name: Model name, the experiment's name unless another is given.
        examples: Folder of the examples artifact; empty for none.
        model: Folder of the model artifact; empty for none.
        evaluation: Folder of the evaluation artifact; empty for none.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        experiment: Experiment name, as for `register`.
        run: Pipeline run ID; empty outside a pipeline.
        run_name: Name of the MLflow run; empty for a name that MLflow makes up.

    Raises:
        InputError: A parameter is invalid.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """
    check_model_name(name)
    uri = uri_of(tracking_uri)
    content = Content(
        name, run, run_name, False, reason, read_manifest(examples) if examples else None,
        read_training(model) if model else None, read_evaluation(evaluation) if evaluation else None,
        {"evaluation": Path(evaluation)} if evaluation else {}, gate,
    )  # fmt: skip

    def attempt() -> str:
        with client_of(uri) as client:
            chosen, nesting = place(client, uri, tracking_uri, experiment, name)
            run_id = _find_stopped(client, chosen, run)
            if run_id is None:
                created = client.create_run(chosen, tags=content.tags | nesting, run_name=run_name or None)
                run_id = str(created.info.run_id)
            try:
                fill(client, run_id, content)
            finally:
                client.set_terminated(run_id, "FAILED")
        return run_id

    with faults.explained(uri):
        database.check_driver(uri)
        return faults.retried(attempt, uri)


def _find_stopped(client: MlflowClient, experiment: str, run: str) -> str | None:
    """Return the MLflow run that an earlier attempt logged for a stopped pipeline run."""
    if not run:
        return None
    found = find_runs(client, run, [experiment])
    return next((str(one.info.run_id) for one in found if "tiffin.stopped_by" in one.data.tags), None)
