"""The alerts of a model and of a gateway, with their texts.

Figures in the texts are templates, see https://prometheus.io/docs/prometheus/latest/configuration/template_reference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tiffin.gateway.clusters import OTHERS
from tiffin.observability.expressions import (
    ERROR_SHARE,
    ERRORS,
    OF,
    P99,
    REQUESTS,
    WINDOW_SECONDS,
    choose,
    match,
    match_model,
)
from tiffin.observability.expressions import select as selected
from tiffin.observability.thresholds import AlertName, Thresholds, parse_duration

_DAY = 86_400
# Time for which an alert about a verdict or a missing page has to hold: longer than a restart takes.
_HOLD = "5m"
# Time in which the page should read its documents again.
_READ_SECONDS = 900


@dataclass(frozen=True)
class Alert:
    """An alert rule.

    Attributes:
        name: Name of the alert.
        expression: PromQL; it fires for each series.
        hold: Time for which it has to hold, such as `5m`.
        severity: Label `severity`.
        summary: What is wrong, without figures.
        description: The same with figures, and the command that shows more.
        labels: Other labels. They tell rules of one name apart.
    """

    name: AlertName
    expression: str
    hold: str
    severity: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


def make_alerts(model: str, thresholds: Thresholds) -> Iterator[Alert]:
    """Yield the alerts of a model.

    Args:
        model: Its name; empty for each model.
        thresholds: When they fire.
    """
    own, all_but_others = match_model(model), "" if model else f'model!="{OTHERS}"'
    served = selected("tiffin_serving_version_info", match("role", "stable"), own)
    name = "{{ $labels.model }}"

    def alert(of: AlertName, expression: str, hold: str, summary: str, description: str) -> Alert:
        labels = {"model": model} if model else {}
        return Alert(of, expression, hold, thresholds.find_severity(of), summary, description, labels)

    def verdict(of: str) -> str:
        return selected("tiffin_monitoring_verdict", match("verdict", of), own)

    yield alert(
        "TiffinErrors",
        f"{choose(ERROR_SHARE, model, all_but_others)} > {thresholds.max_error_share:.10g}\n{_enough(thresholds)}",
        "5m",
        "Requests for a model fail.",
        f"{{{{ $value | humanizePercentage }}}} of the requests for the model '{name}' fail, counted by the "
        f"{{{{ $labels.source }}}} (allowed: {100 * thresholds.max_error_share:.4g} %). See: tiffin models show {name}, "
        f"and the servers' logs. If it began with a new version: tiffin models rollback {name}",
    )
    if thresholds.max_p99_seconds:
        yield alert(
            "TiffinLatency",
            f"{choose(P99, model, all_but_others)} > {thresholds.max_p99_seconds:.10g}",
            "10m",
            "A model answers slowly.",
            f"99 % of the requests for the model '{name}' take up to {{{{ $value | humanizeDuration }}}}, counted by the "
            f"{{{{ $labels.source }}}} (allowed: {thresholds.max_p99_seconds:g} s). See the load of the model servers; if it "
            f"began with a new version: tiffin models rollback {name}",
        )
    if thresholds.no_traffic_for:
        yield alert(
            "TiffinNoTraffic",
            f"max by ({OF}) ({served})\nunless on ({OF})\n  {selected(REQUESTS, own)} > 0",
            thresholds.no_traffic_for,
            "A model in production has no requests.",
            f"The model '{name}' is served, and has had no request for {thresholds.no_traffic_for}. Check its clients and the "
            f"gateway: tiffin models show {name}, tiffin gateway --status",
        )
    yield alert(
        "TiffinDrift",
        f"{verdict('drifted')} == 1",
        _HOLD,
        "The data of a model has moved.",
        f"The data or the predictions of the model '{name}', version {{{{ $labels.version }}}}, have moved from the training "
        f"data. Inputs that drifted: {_listed('column_drifted', '', ' == 1', '{{ .Labels.column }}')}. See: tiffin monitor "
        f"status {name}",
    )
    yield alert(
        "TiffinDecay",
        f"{verdict('degraded')} == 1",
        _HOLD,
        "A model is worse than at training.",
        f"The monitoring finds the model '{name}', version {{{{ $labels.version }}}}, degraded: worse answers, errors or "
        f"latency. Measured: {_quality('measured')}; estimated: {_quality('estimated')}; at training: "
        f"{_quality('training')}. See: tiffin monitor status {name}",
    )
    seconds = parse_duration(thresholds.monitoring_every, "monitoring_every")
    run = selected("tiffin_monitoring_last_run_timestamp_seconds", own)
    yield alert(
        "TiffinMonitoringStopped",
        # A status that cannot be read any more has no series: its last value counts as long as the model is served.
        f"time() - max by ({OF}) (last_over_time({run}[{max(3 * seconds, 7 * _DAY)}s])) > {2 * seconds}\n"
        f"and on ({OF}) (\n  max by ({OF}) ({run})\n  or\n  max by ({OF}) ({served})\n)",
        _HOLD,
        "The monitoring of a model has stopped.",
        f"The last verdict about the model '{name}' is {{{{ $value | humanizeDuration }}}} old; one is due every "
        f"{thresholds.monitoring_every}. See: tiffin schedule list. Give one with: tiffin run monitoring --set "
        f"model_name={name}",
    )


def make_shared_alerts(thresholds: Thresholds) -> Iterator[Alert]:
    """Yield the alerts that are about no single model.

    Args:
        thresholds: When they fire.
    """
    shared = selected(ERROR_SHARE, match("source", "gateway"), match_model(OTHERS))
    page = "tiffin_observability_last_read_timestamp_seconds"

    def alert(of: AlertName, part: str, expression: str, hold: str, summary: str, description: str) -> Alert:
        labels = {"model": OTHERS} if of == "TiffinErrors" else {"part": part}
        return Alert(of, expression, hold, thresholds.find_severity(of), summary, description, labels)

    yield alert(
        "TiffinErrors",
        "gateway",
        f"{shared} > {thresholds.max_error_share:.10g}\n{_enough(thresholds)}",
        "5m",
        "Requests through the gateway fail.",
        "{{ $value | humanizePercentage }} of the requests through the gateway fail, of all models without a candidate "
        f"(allowed: {100 * thresholds.max_error_share:.4g} %). See: tiffin gateway --status, and the servers' logs",
    )
    yield alert(
        "TiffinMonitoringStopped",
        "page",
        f"absent({page})\nor\ntime() - {page} > {_READ_SECONDS}",
        "15m",
        "The metrics of the monitoring are missing.",
        "Prometheus does not get the page of tiffin.observability, or the page could not read its documents for "
        f"{_READ_SECONDS // 60} minutes, so that no alert about drift or decay can fire. Check the target and the program's "
        "log; print the page with: tiffin monitor metrics",
    )
    yield alert(
        "TiffinMonitoringStopped",
        "documents",
        "tiffin_observability_unreadable > 0",
        "15m",
        "Documents of models in production cannot be read.",
        "{{ $value }} documents ({{ $labels.source }}) cannot be read, and are not in the metrics. The log of "
        "tiffin.observability names them, and so does: tiffin monitor metrics",
    )
    dropped, taken = "tiffin_recorder_dropped_requests_total", "tiffin_recorder_requests_total"
    lost = f"sum by (namespace) (rate({dropped}[15m]))"
    yield alert(
        "TiffinRecorderDropping",
        "requests",
        f"{lost}\n/ on (namespace) (\n  sum by (namespace) (rate({taken}[15m]))\n  + on (namespace)\n  {lost}\n"
        f"  or on (namespace)\n  {lost}\n) > {thresholds.max_dropped_share:.10g}",
        "15m",
        "The prediction log lacks requests.",
        "{{ $value | humanizePercentage }} of the requests are not in the prediction log (allowed: "
        f"{100 * thresholds.max_dropped_share:.4g} %), so that the monitoring sees a part. The reasons are in the metric "
        f"{dropped} and in the recorder's log; see: tiffin gateway --status",
    )
    yield alert(
        "TiffinRecorderDropping",
        "files",
        "sum by (namespace) (increase(tiffin_recorder_dropped_rows_total[15m])) > 0",
        "1m",
        "Files of the prediction log could not be stored.",
        "About {{ $value | humanize }} rows of the prediction log were dropped in 15 minutes, because their files could not be "
        "stored. See the recorder's log, and the log root's space and permissions",
    )


def _enough(thresholds: Thresholds) -> str:
    return f"and on ({OF}, source)\n  {ERRORS} * {WINDOW_SECONDS} >= {thresholds.min_errors}"


def _quality(source: str) -> str:
    text = '{{ .Labels.metric }} {{ .Value | printf "%.4g" }}'
    return _listed("quality", f',source="{source}"', "", text, "metric")


def _listed(metric: str, matchers: str, condition: str, text: str, order: str = "column") -> str:
    """Return a template that lists the values of a metric of the alert's model and version; `none` without any."""
    escaped = matchers.replace('"', r"\"")
    query = f"tiffin_monitoring_{metric}{{namespace=%q,model=%q,version=%q{escaped}}}{condition}"
    found = f'printf "{query}" $labels.namespace $labels.model $labels.version | query | sortByLabel "{order}"'
    return (
        f"{{{{ range $i, $one := {found} }}}}{{{{ if $i }}}}, {{{{ end }}}}{{{{ with $one }}}}{text}{{{{ end }}}}"
        "{{ else }}none{{ end }}"
    )
