"""The summary of a run, gathered from what its steps left behind, whether it ended well or not."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tiffin.artifacts.summary import RegisteredModel, Step, Summary, find_reports, write_summary
from tiffin.errors import InputError, StorageError


def summarize(output: str | Path, output_uri: str, step: str, pipeline: str, status: Mapping[str, str]) -> Summary:
    """Write the summary artifact of the run that `output_uri` belongs to, and return its content.

    An exit step gets no outputs of the steps before it, so it looks for their reports beside its own output: KFP keeps
    the artifacts of one run in one folder, with a folder for each step.

    A run failed if its steps did, or if any model did not pass its gate. Anomalies stop a run only where no model was
    evaluated after them.

    Args:
        output: Folder of the summary artifact.
        output_uri: Its URI: `<run>/<step>/...`.
        step: Name of the step's folder.
        pipeline: Name of the pipeline.
        status: `state` and `error_message` of the steps before, as KFP gives them to an exit step.
    """
    steps, unread = _read_steps(output_uri, step)
    evaluations = [found.evaluation for found in steps.values() if found.evaluation]
    failed = [found for found in evaluations if not found.passed]
    invalid = [found.anomalies for found in steps.values() if found.anomalies and not found.anomalies.valid]
    evaluation = next(reversed(failed or evaluations), None)
    stopped_by = "evaluation" if failed else "validation" if invalid and not evaluations else None
    succeeded = status.get("state") in ("SUCCEEDED", "SUCCESS") and stopped_by is None
    if stopped_by == "validation":
        reason = invalid[-1].reason
    elif evaluation and (stopped_by or succeeded):
        reason = evaluation.reason
    else:
        reason = str(status.get("error_message") or "")
    manifests = [found.examples for found in steps.values() if found.examples]
    registrations = [found.registration for found in steps.values() if found.registration]
    deployments = [found.deployment for found in steps.values() if found.deployment]
    summary = Summary(
        pipeline=pipeline,
        state="SUCCEEDED" if succeeded else "FAILED",
        reason=reason or "; ".join(unread),
        stopped_by=stopped_by,
        data_version=manifests[-1].version if manifests else None,
        metrics=evaluation.metrics if evaluation else {},
        verdict=evaluation.verdict if evaluation else None,
        model=RegisteredModel(registrations[-1].name, registrations[-1].version) if registrations else None,
        serving=deployments[-1].address if deployments else None,
        steps=steps,
        unread=unread,
    )
    write_summary(output, summary)
    return summary


def _read_steps(output_uri: str, step: str) -> tuple[dict[str, Step], tuple[str, ...]]:
    """Return what the steps of the run reported, and a line for each report that could not be read."""
    run_uri, found_step, _ = output_uri.partition(f"/{step}/")
    if not found_step:
        return {}, (f"No reports: '{output_uri}' is not below a step folder '{step}'.",)
    steps: dict[str, Step] = {}
    unread = []
    try:
        for name, field, report in find_reports(run_uri):
            if isinstance(report, InputError):
                unread.append(f"A report of {name} could not be read: {report}")
            else:
                steps[name] = replace(steps.get(name, Step()), **{field: report})
    except StorageError as error:
        # The summary of a run must come even where its store cannot be listed.
        unread.append(f"The steps' reports could not be read: {error}")
    return dict(sorted(steps.items(), key=lambda item: _order(item[0]))), tuple(unread)


def _order(step: str) -> list[str | int]:
    """Return what sorts steps by name, and those of one name by number: KFP calls the second `<name>-2`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", step)]
