"""The report of a run in MLflow: in the MLflow runs of the models that it registered, and in those that a gate stopped."""

from collections.abc import Sequence
from pathlib import Path

from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.summary import Summary
from tiffin.errors import TiffinError
from tiffin.tracking.log import print_line
from tiffin.tracking.uri import has_uri, uri_of

# Folder in the artifacts of an MLflow run.
_FOLDER = "report"


def publish(summary: Summary, files: Sequence[str | Path], tracking_uri: str = "", run: str = "") -> None:
    """Log files to MLflow as `log_report` does, and print where. An error is a warning: the run itself has ended."""
    try:
        found = log_report(summary, files, tracking_uri, run)
    except Exception as error:  # noqa: BLE001 - the summary and the report are written, and must be kept
        known = isinstance(error, TiffinError)
        line = f"{WARNING}The report was not logged to MLflow. {error if known else repr(error)}"
    else:
        line = f"logged the report to MLflow: {', '.join(found)}" if found else ""
    if line:
        print_line(line)


def log_report(summary: Summary, files: Sequence[str | Path], tracking_uri: str = "", run: str = "") -> tuple[str, ...]:
    """Log files to the MLflow runs of a pipeline run, in the folder `report`, and return the IDs of the MLflow runs.

    A step that a gate stopped has no outputs: its MLflow run is found by the pipeline run's ID.

    Args:
        summary: Summary of the pipeline run.
        files: The report and the model card.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        run: Pipeline run ID; empty to leave out MLflow runs that a gate stopped.

    Raises:
        InputError: A model was registered, and there is no tracking URI; or it is invalid.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """
    registered = [step.registration.run_id for step in summary.steps.values() if step.registration]
    is_stopped = bool(run and summary.stopped_by and has_uri(tracking_uri))
    if not registered and not is_stopped:
        return ()
    uri = uri_of(tracking_uri)
    # MLflow takes seconds to import. This module sets it up before the first import of it.
    from tiffin.tracking.client import client_of, find_runs

    # isort: split
    from tiffin.tracking import database, faults

    def attempt() -> tuple[str, ...]:
        with client_of(uri) as client:
            stopped = [str(one.info.run_id) for one in find_runs(client, run)] if is_stopped else []
            found = tuple(dict.fromkeys([*registered, *stopped]))
            for run_id in found:
                for file in files:
                    client.log_artifact(run_id, str(file), _FOLDER)
        return found

    with faults.explained(uri):
        database.check_driver(uri)
        return faults.retried(attempt, uri)
