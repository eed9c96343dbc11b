"""Fail a run that a gate stopped, after it was logged to MLflow."""

import sys

from tiffin.artifacts.logs import STOP_LOGGED, WARNING
from tiffin.errors import TiffinError
from tiffin.tracking.log import print_line
from tiffin.tracking.uri import has_uri


def stop(gate: str, reason: str, name: str, *, tracking_uri: str = "", **about: str) -> None:
    """Exit with the reason of a gate. If a model name and a tracking URI are given, log the run to MLflow first.

    An error of MLflow is a warning: it must not hide the reason.

    Args:
        gate: Gate that did not pass.
        reason: Its reason.
        name: Name of the model; empty to log nothing.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        about: Other arguments of `stopping.record_stop`.

    Raises:
        SystemExit: Always.
    """
    if name and has_uri(tracking_uri):
        try:
            # MLflow takes seconds to import.
            from tiffin.stages.register.stopping import record_stop

            run_id = record_stop(gate, reason, name, tracking_uri=tracking_uri, **about)
            print_line(f"{STOP_LOGGED}{run_id}")
        except Exception as error:  # noqa: BLE001 - nothing may hide the reason of the gate
            known = isinstance(error, TiffinError)
            print_line(f"{WARNING}The stopped run was not logged to MLflow. {error if known else repr(error)}")
    elif name:
        print_line("The stopped run was not logged to MLflow: tracking_uri and MLFLOW_TRACKING_URI are empty.")
    sys.exit(f"error: The {gate} did not pass: {reason}")
