"""The verdicts of monitoring in MLflow: metrics of the run that registered the version, and tags of the version.

An outcome is removed from the state once MLflow has it. If MLflow does not respond, it stays, and the next run sends it.
"""

from collections.abc import Sequence
from datetime import datetime

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.monitoring import Monitoring, Outcome, find_outcomes
from tiffin.errors import TiffinError
from tiffin.tracking.log import print_line
from tiffin.tracking.uri import has_uri, uri_of


def send_outcomes(monitorings: Sequence[Monitoring], tracking_uri: str = "") -> None:
    """Send the outcomes that MLflow does not have yet, and print how many. An error is a warning: the outcomes are kept.

    Args:
        monitorings: What a run has monitored.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI. Without either, nothing
            is sent.
    """
    homes = sorted({one.status.rpartition("/")[0] for one in monitorings if one.status})
    if not homes or not has_uri(tracking_uri):
        return
    try:
        waiting = [uri for home in homes for uri in find_outcomes(home)]
        sent = _send(waiting, uri_of(tracking_uri)) if waiting else 0
    except Exception as error:  # noqa: BLE001 - the verdict is written, and the outcomes are kept
        shown = error if isinstance(error, TiffinError) else repr(error)
        print_line(f"{WARNING}The verdict was not logged to MLflow, and is kept for the next run. {shown}")
        return
    if sent:
        print_line(f"logged {sent} verdict{'s' * (sent > 1)} to MLflow")


def _send(waiting: Sequence[str], uri: str) -> int:
    # MLflow takes seconds to import. This module sets it up before the first import of it.
    from tiffin.tracking.client import client_of, unless_missing

    # isort: split
    from mlflow.entities import Metric

    from tiffin.tracking import database, faults

    sent = 0

    def attempt() -> int:
        nonlocal sent
        with client_of(uri) as client:
            for place in waiting:
                content = storage.read(place)
                if content is None:
                    continue  # sent by another run, or by an attempt before
                one = documents.parse(content[0], Outcome, place)
                moment = int(datetime.fromisoformat(one.end).timestamp() * 1000)
                metrics = [Metric(name, value, moment, moment // 3_600_000) for name, value in one.metrics.items()]
                # A run or a version that was deleted has no use for it.
                unless_missing(lambda one=one, metrics=metrics: client.log_batch(one.run_id, metrics))  # type: ignore[misc]
                for name, value in (("verdict", one.verdict), ("monitored", one.end), ("reason", one.reason[:500])):
                    unless_missing(
                        lambda one=one, name=name, value=value: client.set_model_version_tag(  # type: ignore[misc]
                            one.model, str(one.version), f"tiffin.monitoring.{name}", value
                        )
                    )
                storage.delete(place)
                sent += 1
        return sent

    with faults.explained(uri):
        database.check_driver(uri)
        return faults.retried(attempt, uri)
