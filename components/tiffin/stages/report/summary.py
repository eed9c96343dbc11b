"""The summary of a run, gathered from what its steps left behind, whether it ended well or not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiffin import artifacts, storage
from tiffin.errors import StorageError

_REPORTS = {
    artifacts.MANIFEST,
    artifacts.ANOMALIES,
    artifacts.VERDICT,
    artifacts.REGISTRATION,
    artifacts.DEPLOYMENT,
}


def summarize(
    output: str | Path, output_uri: str, step: str, pipeline: str, status: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the summary artifact of the run that `output_uri` belongs to, and return its content.

    An exit step gets no outputs of the steps before it, so it looks for their reports beside its own output: KFP keeps
    the artifacts of one run in one folder, with a folder for each step.

    Args:
        output: Folder of the summary artifact.
        output_uri: Its URI: `<run>/<step>/...`.
        step: Name of the step's folder, such as `summarize-run`.
        pipeline: Name of the pipeline.
        status: `state` and `error_message` of the steps before, as KFP gives them to an exit step.

    Returns:
        `pipeline`, `state` (SUCCEEDED or FAILED), `reason`, `stopped_by` (`validation`, `evaluation` or None),
        `data_version`, `metrics`, `verdict`, `model` (name and version) and `serving` (address).
    """
    found, missing = _reports(output_uri, step)
    anomalies, verdict = found.get(artifacts.ANOMALIES), found.get(artifacts.VERDICT)
    stopped_by = None
    if verdict and not verdict["passed"]:
        stopped_by = "evaluation"
    elif anomalies and not anomalies["valid"] and not verdict:
        stopped_by = "validation"
    succeeded = status.get("state") in ("SUCCEEDED", "SUCCESS") and stopped_by is None
    if stopped_by:
        reason = (verdict if stopped_by == "evaluation" else anomalies)["reason"]  # type: ignore[index]
    else:
        reason = verdict["reason"] if succeeded and verdict else str(status.get("error_message") or "")
    registration, deployment = found.get(artifacts.REGISTRATION), found.get(artifacts.DEPLOYMENT)
    summary = {
        "pipeline": pipeline,
        "state": "SUCCEEDED" if succeeded else "FAILED",
        "reason": reason or missing,
        "stopped_by": stopped_by,
        "data_version": found.get(artifacts.MANIFEST, {}).get("version"),
        "metrics": verdict["metrics"] if verdict else {},
        "verdict": {key: verdict[key] for key in ("passed", "reason", "checks")} if verdict else None,
        "model": {key: registration[key] for key in ("name", "version")} if registration else None,
        "serving": deployment["address"] if deployment else None,
    }
    artifacts.write_json(Path(output) / artifacts.SUMMARY, summary)
    return summary


def _reports(output_uri: str, step: str) -> tuple[dict[str, Any], str]:
    """Return the reports of the run by file name, and why there are none where they cannot be read."""
    head, found_step, _ = output_uri.partition(f"/{step}/")
    if not found_step:
        return {}, f"No reports: '{output_uri}' is not below a step folder '{step}'."
    reports: dict[str, Any] = {}
    try:
        for uri in storage.find(head, _REPORTS):
            reports[uri.rsplit("/", 1)[1]] = json.loads(storage.read_text(uri))
    except (ValueError, StorageError) as error:
        # The summary of a run must come even where its store cannot be listed, or a step died while it wrote.
        return reports, f"The steps' reports could not be read: {error}"
    return reports, ""
