"""Summarize a run from the reports of its steps, whether it succeeded or failed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tiffin.artifacts.deployment import Deployment
from tiffin.artifacts.logs import find_errors
from tiffin.artifacts.notes import by_severity
from tiffin.artifacts.rollout import RolloutResult
from tiffin.artifacts.steps import split_output
from tiffin.artifacts.summary import (
    RegisteredModel,
    Step,
    Summary,
    find_predictions,
    find_reports,
    noted,
    write_summary,
)
from tiffin.errors import InputError, StorageError
from tiffin.printing import printable


def summarize(
    output: str | Path, output_uri: str, step: str, pipeline: str, status: Mapping[str, str], run: str = ""
) -> Summary:
    """Write the summary artifact of the run that `output_uri` belongs to, and return its content.

    KFP passes no outputs of other steps to an exit step. It finds their reports next to its own output: KFP stores the
    artifacts of a run in one folder, with a subfolder per step.

    A run failed if a step failed, a model did not pass its gate, or a rollout did not end with its promotion. Anomalies count
    as the reason only if no model was evaluated. A run that did not fail waits if a model of it waits for approval.

    Args:
        output: Folder of the summary artifact.
        output_uri: URI of the summary artifact: `<run>/<step>/...`.
        step: Name of the exit step's folder.
        pipeline: Name of the pipeline.
        status: `state` and `error_message` that KFP passes to an exit step. The message is the reason of a failed run if the
            logs of its steps have none.
        run: ID of the pipeline run. Defaults to none.
    """
    steps, unread = _read_steps(output_uri, step)
    evaluations = [found.evaluation for found in steps.values() if found.evaluation]
    failed = [found for found in evaluations if not found.passed]
    invalid = [found.anomalies for found in steps.values() if found.anomalies and not found.anomalies.valid]
    evaluation = next(reversed(failed or evaluations), None)
    rollouts = [found.rollout for found in steps.values() if found.rollout]
    stopped_by = _stopped_by(bool(failed), bool(invalid and not evaluations), rollouts)
    succeeded = status.get("state") in ("SUCCEEDED", "SUCCESS") and stopped_by is None
    deployments = [found.deployment for found in steps.values() if found.deployment]
    waiting = [found for found in deployments if found.waits_for] if succeeded else []
    decided = _decided(steps)
    if waiting:
        reason = " ".join([*decided, *(_waiting(found) for found in waiting)])
    elif stopped_by == "validation":
        reason = invalid[-1].reason
    elif evaluation and (stopped_by == "evaluation" or succeeded):
        reason = " ".join([*decided, evaluation.reason, *(one.sentence for one in rollouts)])
    elif rollouts and (stopped_by == "rollout" or succeeded):
        reason = " ".join([*decided, *(one.sentence for one in rollouts)])
    elif succeeded:
        sentences = [one.sentence for one in find_predictions(steps).values()]
        reason = " ".join(["; ".join(sentences), *decided]).strip()
    else:
        # KFP 2.17 passes the state of the run without a message, and kfp.local one that names no step.
        errors, unlisted = _find_errors(output_uri, step)
        unread = (*unread, *unlisted)
        message = str(status.get("error_message") or "")
        reason = errors or message or "; ".join(unread) or _place_of_logs(output_uri, step)
    manifests = [found.examples for found in steps.values() if found.examples]
    registrations = [found.registration for found in steps.values() if found.registration]
    addresses = [found.address for found in deployments] + [found.address for found in rollouts]
    summary = Summary(
        pipeline=pipeline,
        state="WAITING" if waiting else "SUCCEEDED" if succeeded else "FAILED",
        reason=reason or "; ".join(unread),
        stopped_by=stopped_by,
        data_version=manifests[-1].version if manifests else None,
        metrics=evaluation.metrics if evaluation else {},
        verdict=evaluation.verdict if evaluation else None,
        model=RegisteredModel(registrations[-1].name, registrations[-1].version) if registrations else None,
        serving=next((address for address in reversed(addresses) if address), None),
        steps=steps,
        unread=unread,
        notes=tuple(noted(name, note) for name, found in steps.items() for note in by_severity(found.notes)),
        run=run,
    )
    write_summary(output, summary)
    return summary


def _stopped_by(is_bad: bool, is_invalid: bool, rollouts: list[RolloutResult]) -> str | None:
    """Return the gate that stopped the run; None if none did."""
    if is_bad or is_invalid:
        return "evaluation" if is_bad else "validation"
    return None if all(one.is_promoted for one in rollouts) else "rollout"


def _decided(steps: Mapping[str, Step]) -> list[str]:
    """Return the verdicts about models in production, and whether these are rolled back and trained again."""
    watched = [found.monitoring for found in steps.values() if found.monitoring]
    retrainings = [found.retraining for found in steps.values() if found.retraining]
    rollbacks = [found.rollback for found in steps.values() if found.rollback]
    return [one.sentence for kind in (watched, retrainings, rollbacks) for one in kind]


def _waiting(deployment: Deployment) -> str:
    model, version = deployment.model, deployment.version
    return (
        f"Version {version} of the model '{model}' waits for {deployment.waits_for}. See it with: tiffin models show {model} "
        f'{version}; approve it with: tiffin models approve {model} {version} --why "..."'
    )


def _find_errors(output_uri: str, step: str) -> tuple[str, tuple[str, ...]]:
    """Return the errors of the failed steps, by their logs, and one line if these could not be read."""
    run_uri, found_step = split_output(output_uri, step)
    try:
        found = find_errors(run_uri) if found_step else {}
    except (InputError, StorageError) as error:
        return "", (f"Could not read the logs of the run: {error}",)
    return " ".join(f"The step {name} failed: {error}" for name, error in found.items() if name != found_step), ()


def _place_of_logs(output_uri: str, step: str) -> str:
    run_id = split_output(output_uri, step)[0].rpartition("/")[2]
    return (
        f"A step failed without a log among the artifacts of the run {run_id}. See the run in the dashboard, or run in its "
        f"namespace: kubectl logs -l pipeline/runid={run_id} -c main --tail=50 --prefix"
    )


def log_lines(summary: Summary) -> list[str]:
    """Return the lines for the step's log: state and reason, then one line per note."""
    notes = [printable(f"{note.step}: {note.text}") for note in summary.notes]
    return [f"{summary.pipeline}: {summary.state}. {summary.reason}", *notes]


def _read_steps(output_uri: str, step: str) -> tuple[dict[str, Step], tuple[str, ...]]:
    """Return the reports of the run by step, and one line per report that could not be read."""
    run_uri, found_step = split_output(output_uri, step)
    if not found_step:
        return {}, (f"No reports found: '{output_uri}' is not in a folder of the step '{step}'.",)
    steps: dict[str, Step] = {}
    unread = []
    try:
        for name, field, report in find_reports(run_uri):
            if isinstance(report, InputError):
                unread.append(f"Could not read a report of {name}: {report}")
            else:
                steps[name] = replace(steps.get(name, Step()), **{field: report})
    except StorageError as error:
        # The summary is written even if the artifact store cannot be listed.
        unread.append(f"Could not list the reports of the run: {error}")
    return dict(sorted(steps.items(), key=lambda item: _order(item[0]))), tuple(unread)


def _order(step: str) -> list[str | int]:
    """Return a sort key: by name, then by the number that KFP appends to repeated names, as in `<name>-2`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", step)]
