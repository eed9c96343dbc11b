"""The events of a run: what its summary says, and the verdicts about models in production."""

import os
import re
import shlex
from collections.abc import Sequence

from tiffin.artifacts.deployment import Deployment
from tiffin.artifacts.monitoring import Monitoring, join_traffic, traffic_of
from tiffin.artifacts.numbers import format_number
from tiffin.artifacts.retraining import Retraining
from tiffin.artifacts.rollback import Rollback
from tiffin.artifacts.rollout import RolloutResult
from tiffin.artifacts.summary import Summary
from tiffin.notifications.events import UNWELL, Event, without_numbers
from tiffin.notifications.notifying import Health

LINK = "TIFFIN_UI"
_MOST_METRICS, _MOST_FINDINGS = 6, 4


def run_events(summary: Summary, output_uri: str) -> tuple[Event, ...]:
    """Return the events of a run that has ended.

    Args:
        summary: Its summary.
        output_uri: URI of an artifact of it, which tells whether it ran on this machine.
    """
    found: list[Event] = []
    deployments = [one.deployment for one in summary.steps.values() if one.deployment]
    if summary.state == "FAILED" and summary.stopped_by != "rollout":
        found.append(_failed(summary, output_uri))
    for deployment in deployments:
        if deployment.waits_for and summary.state == "WAITING":
            found.append(_waiting(summary, deployment))
        elif deployment.address and not deployment.rollout:
            found.append(_deployed(summary, deployment))
    found += [_rolled_out(summary, one.rollout) for one in summary.steps.values() if one.rollout]
    found += [_rolled_back(summary, one) for one in summary.rollbacks.values()]
    found += [_asked(summary, one) for one in summary.retrainings.values() if one.asks]
    found += monitoring_events([*summary.monitorings.values()], summary.pipeline, summary.run)
    return tuple(found)


def monitoring_events(monitorings: Sequence[Monitoring], pipeline: str, run: str) -> tuple[Event, ...]:
    """Return the events of verdicts: those that a model is degraded or has drifted.

    Args:
        monitorings: The verdicts.
        pipeline: Name of the pipeline.
        run: ID of the run.
    """
    return tuple(_monitored(one, one.verdict, pipeline, run) for one in monitorings if one.verdict in UNWELL)


def find_healths(monitorings: Sequence[Monitoring], pipeline: str, run: str) -> tuple[Health, ...]:
    """Return the verdicts about models, without those that had no data."""
    return tuple(
        Health(one.model, one.verdict, _monitored(one, "recovered", pipeline, run))
        for one in monitorings
        if one.verdict != "no_data"
    )


def find_link(run: str) -> str:
    """Return the page of a run in the dashboard at TIFFIN_UI; empty without it, or without an ID of Kubeflow Pipelines."""
    address = os.environ.get(LINK, "").rstrip("/")
    return f"{address}/#/runs/details/{run}" if address and re.fullmatch(r"[0-9a-f-]{36}", run) else ""


def _failed(summary: Summary, output_uri: str) -> Event:
    is_here = "://" not in output_uri and bool(summary.run)
    command = f"tiffin report {summary.run}" if is_here else f"tiffin runs show {summary.run}" if summary.run else ""
    kind = "stopped" if summary.stopped_by else "failure"
    figures = {name: format_number(value) for name, value in summary.metrics.items() if value is not None}
    action = ""
    if not summary.stopped_by and is_here:
        action = f"Go on from the failed step with: tiffin runs retry {summary.run}"
    return Event(
        kind, f"the pipeline {summary.pipeline}", summary.reason,
        cause=f"{summary.stopped_by or ''}\n{without_numbers(summary.reason)}", pipeline=summary.pipeline, run=summary.run,
        figures=dict(list(figures.items())[:_MOST_METRICS]), action=action, command=command, link=find_link(summary.run),
    )  # fmt: skip


def _waiting(summary: Summary, deployment: Deployment) -> Event:
    model, version = deployment.model, deployment.version
    return Event(
        "waiting_for_approval", f"{model} version {version}", f"It waits for {deployment.waits_for}.",
        cause=deployment.waits_for, model=model, version=version, pipeline=summary.pipeline, run=summary.run,
        figures=_metrics(summary, model, version), action=f"See it with: tiffin models show {shlex.quote(model)}",
        command=f'tiffin models approve {shlex.quote(model)} {version} --why "..."', link=find_link(summary.run),
    )  # fmt: skip


def _deployed(summary: Summary, deployment: Deployment) -> Event:
    model, version = deployment.model, deployment.version
    return Event(
        "promoted", f"{model} version {version}", f"It is served at {deployment.address}.", cause="deployed", model=model,
        version=version, pipeline=summary.pipeline, run=summary.run, figures=_metrics(summary, model, version),
        command=f"tiffin models show {shlex.quote(model)}", link=find_link(summary.run),
    )  # fmt: skip


def _rolled_out(summary: Summary, rollout: RolloutResult) -> Event:
    model = rollout.model
    return Event(
        "promoted" if rollout.is_promoted else "rolled_back", f"{model} version {rollout.version}", rollout.sentence,
        cause=rollout.outcome, model=model, version=rollout.version, pipeline=summary.pipeline, run=summary.run,
        figures={
            "requests": f"{rollout.requests:,}, {rollout.errors:,} failed",
            f"version {rollout.compared_with}": f"{rollout.stable_requests:,}, {rollout.stable_errors:,} failed",
            **_metrics(summary, model, rollout.version),
        },
        command=f"tiffin models show {shlex.quote(model)}", link=find_link(summary.run),
    )  # fmt: skip


def _rolled_back(summary: Summary, one: Rollback) -> Event:
    return Event(
        "rolled_back", f"{one.model} version {one.leaving}", one.sentence, cause=f"{one.version} {one.at}", model=one.model,
        version=one.leaving, pipeline=summary.pipeline, run=summary.run, command=f"tiffin models show {shlex.quote(one.model)}",
        link=find_link(summary.run),
    )  # fmt: skip


def _asked(summary: Summary, one: Retraining) -> Event:
    return Event(
        "asked", one.model, one.reason, cause=f"{one.code} {one.cause}", model=one.model, version=one.version,
        pipeline=summary.pipeline, run=summary.run, figures={"cause": one.cause} if one.cause else {}, action=one.action,
        command=f"tiffin monitor status {shlex.quote(one.model)}", link=find_link(summary.run),
    )  # fmt: skip


def _metrics(summary: Summary, model: str, version: int) -> dict[str, str]:
    """Return the metrics of the evaluation, if it is that of the version."""
    if summary.model is None or (summary.model.name, summary.model.version) != (model, version):
        return {}
    found = {name: format_number(value) for name, value in summary.metrics.items() if value is not None}
    return dict(list(found.items())[:_MOST_METRICS])


def _monitored(one: Monitoring, kind: str, pipeline: str, run: str) -> Event:
    deciding = [finding for finding in one.findings if finding.severity in UNWELL]
    together = join_traffic(traffic_of(one.traffic, one.version), one.version)
    quality = one.performance
    value = quality.measured.metrics.get(quality.metric) if quality and quality.measured else None
    further = [finding.text for finding in deciding[1:_MOST_FINDINGS]]
    figures = {
        "window": f"{one.start[:16].replace('T', ' ')} to {one.end[:16].replace('T', ' ')} UTC",
        "requests": f"{together.requests:,}, {together.failed:,} failed",
        "rows": f"{one.rows:,}",
        **({quality.metric: format_number(value)} if quality and value is not None else {}),
        **{f"also {number}": text for number, text in enumerate(further, 1)},
    }
    # Not the figures: they are others in each window.
    causes = sorted({f"{finding.code} {finding.column}" for finding in deciding})
    return Event(
        kind, f"{one.model} version {one.version}", one.reason, cause="\n".join(causes) or f"{kind} {one.end}", model=one.model,
        version=one.version, pipeline=pipeline, run=run, figures=figures, action=one.action,
        command=f"tiffin monitor status {shlex.quote(one.model)}", link=find_link(run),
    )  # fmt: skip
