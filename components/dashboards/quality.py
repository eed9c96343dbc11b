"""The dashboard of a model's quality: the verdicts of its monitoring, and how well it answers."""

from typing import Any

from grafana_foundation_sdk.models import units

from dashboards import frame, panels
from dashboards.frame import Section
from dashboards.panels import Query, Shown
from dashboards.queries import MODEL, VERSION, largest, number_of, of

# Number that stands for a verdict, to its text and color.
VERDICTS = {
    1: ("healthy", panels.GREEN),
    2: ("drifted", panels.YELLOW),
    3: ("degraded", panels.RED),
    4: ("no data", panels.GREY),
}
_QUALITY = "tiffin_monitoring_quality"
# Milliseconds, which Grafana's units of times need.
_MILLIS = 1000


def make() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.make(
        "tiffin-quality",
        "Model quality",
        "How does the model in production do, and does it answer as well as at training?",
        (_verdict(), _quality(), _window()),
        (frame.namespace(), frame.model(), frame.version(), frame.metric()),
        "now-7d",
        "5m",
    )


def _time(metric: str) -> str:
    return f"{largest('version', of(metric, MODEL, VERSION))} * {_MILLIS}"


def _verdict() -> Section:
    names = {number: text.replace(" ", "_") for number, (text, _) in VERDICTS.items()}
    verdict = number_of("tiffin_monitoring_verdict", "verdict", names, "version", MODEL, VERSION)
    return Section("Verdict", (
        panels.number(
            Shown("Verdict", "Last verdict of the monitoring, by version.", units.NoUnit, "Never monitored", width=6,
                  height=5),
            Query(verdict, "version {{version}}"),
            VERDICTS,
        ),
        panels.number(
            Shown("Since", "Time since when the version has this verdict.", units.DateTimeFromNow, "Never monitored",
                  width=6, height=5),
            Query(_time("tiffin_monitoring_verdict_since_timestamp_seconds"), "version {{version}}"),
        ),
        panels.number(
            Shown("Last run", "Time of the last run of the pipeline monitoring. All figures below are of this run; an "
                  "old one means that its schedule has stopped.", units.DateTimeFromNow, "Never monitored", width=6,
                  height=5),
            Query(_time("tiffin_monitoring_last_run_timestamp_seconds"), "version {{version}}"),
        ),
        panels.number(
            Shown("End of the window", "Requests up to this time are in the figures.", units.DateTimeFromNow,
                  "Never monitored", width=6, height=5),
            Query(_time("tiffin_monitoring_window_end_timestamp_seconds"), "version {{version}}"),
        ),
        panels.timeline(
            Shown("Verdicts over time",
                  "Verdict of each version. `tiffin monitor status` has the reasons and what to do.",
                  units.NoUnit, "Never monitored", width=24, height=6),
            Query(verdict, "version {{version}}"),
            VERDICTS,
        ),
    ))  # fmt: skip


def _quality() -> Section:
    chosen = (MODEL, VERSION, 'metric=~"$metric"')
    measured, training = (of(_QUALITY, *chosen, f'source="{source}"') for source in ("measured", "training"))
    return Section("Quality", (
        panels.lines(
            Shown("$metric", "measured: of the answers with a label. estimated: of all answers, from their "
                  "probabilities. training: of the evaluation after the training.", units.Short,
                  "Neither labels nor an estimate", width=24, decimals=4),
            (Query(largest("version, metric, source", of(_QUALITY, *chosen)), "{{source}}, version {{version}}"),),
            low=None, repeat="metric",
        ),
        panels.lines(
            Shown("Measured, less the value at training", "Difference of each metric with labels from its value at "
                  "training. Of a loss, more is worse; of accuracy and AUC, less.", units.Short,
                  "No labels in this time", decimals=4),
            (Query(f"{largest('version, metric', measured)} - {largest('version, metric', training)}",
                   "{{metric}}, version {{version}}"),),
            low=None,
        ),
        panels.lines(
            Shown("Labels", "Answers with a label in the window, and rows in all.", units.Short,
                  "No labels in this time", decimals=0),
            (Query(largest("version", of("tiffin_monitoring_labelled_rows", MODEL, VERSION)),
                   "with a label, version {{version}}"),
             Query(largest("version", of("tiffin_monitoring_window_rows", MODEL, VERSION)),
                   "rows, version {{version}}")),
        ),
    ))  # fmt: skip


def _window() -> Section:
    requests = largest("version", of("tiffin_monitoring_window_requests", MODEL, VERSION))
    failed = largest("version", of("tiffin_monitoring_window_failed_requests", MODEL, VERSION))
    return Section("Predictions in the window of the monitoring", (
        panels.lines(
            Shown("Requests", "Recorded requests in the window, without copies.", units.Short, "Never monitored",
                  width=8, decimals=0),
            (Query(requests, "version {{version}}"),),
        ),
        panels.lines(
            Shown("Failed", "Share of these requests that failed.", units.PercentUnit, "No requests in the window",
                  width=8, decimals=2),
            (Query(f"{failed} / ({requests} > 0)", "version {{version}}"),),
        ),
        panels.lines(
            Shown("p99", "Time within which 99 % of these requests were answered.", units.Seconds,
                  "No requests in the window", width=8),
            (Query(largest("version", of("tiffin_monitoring_window_p99_seconds", MODEL, VERSION)),
                   "version {{version}}"),),
        ),
    ))  # fmt: skip
