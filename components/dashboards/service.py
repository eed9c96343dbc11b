"""The dashboard of the service: requests, errors and latencies, and how the servers and the recorder keep up."""

from typing import Any

from grafana_foundation_sdk.models import units

from dashboards import frame, panels
from dashboards.frame import Section
from dashboards.panels import Query, Shown
from dashboards.queries import (
    MODELS,
    ROUTED,
    SERVED,
    SERVED_FILES,
    answered,
    failures,
    largest,
    of,
    or_zero,
    quantile,
    rate,
    share,
    total,
)

_COUNT = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency_bucket"
_RUNTIME = ":tensorflow:serving:runtime_latency"
_MICROS, _MILLIS = 1e6, 1e3
_FAILED = 'status!="OK"'


def make() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.make(
        "tiffin-service",
        "Service",
        "Do the models answer, how fast, and do the servers keep up?",
        (_overview(), _servers(), _gateway(), _log()),
        (frame.namespace(), frame.models_of_the_root()),
        "now-6h",
        "1m",
    )


def _overview() -> Section:
    requests = total("", rate(of(_COUNT, SERVED)))
    failed = total("", rate(of(_COUNT, SERVED, _FAILED)))
    return Section("Overview", (
        panels.number(
            Shown("In production", "Version that the stable servers should answer with.", units.NoUnit,
                  "No model", width=6, height=5),
            Query(largest("model, version", of("tiffin_serving_version_info", MODELS, 'role="stable"')),
                  "{{model}} {{version}}"),
            named=True,
        ),
        panels.number(
            Shown("Requests", "Requests per second that the model servers answer, with copies.",
                  units.RequestsPerSecond, "No requests", width=6, height=5),
            Query(requests, "requests"),
        ),
        panels.number(
            Shown("Failed", "Share of the requests that fail at the model servers, mistakes of clients among them.",
                  units.PercentUnit, "No requests", width=6, height=5, decimals=2),
            Query(share(failed, requests), "failed"),
            limits=((0.001, panels.YELLOW), (0.01, panels.RED)),
        ),
        panels.number(
            Shown("p99", "Time within which 99 % of the successful requests are answered by the model servers.",
                  units.Seconds, "No requests", width=6, height=5),
            Query(quantile(0.99, "", of(_LATENCY, SERVED), _MICROS), "p99"),
        ),
    ))  # fmt: skip


def _servers() -> Section:
    return Section("Model servers", (
        panels.lines(
            Shown("Requests by model", "Requests per second. A version that a rollback left loaded is model@version.",
                  units.RequestsPerSecond, "No requests in this time"),
            (Query(total("model_name", rate(of(_COUNT, SERVED))), "{{model_name}}"),),
            stacked=True,
        ),
        panels.lines(
            Shown("Errors by code", "Failed requests per second, by gRPC's status code. INVALID_ARGUMENT is a mistake "
                  "of a client; UNAVAILABLE and RESOURCE_EXHAUSTED are those of a server.",
                  units.RequestsPerSecond, "No request failed in this time"),
            (Query(total("model_name, status", rate(of(_COUNT, SERVED, _FAILED))), "{{model_name}} {{status}}"),),
            stacked=True,
        ),
        panels.lines(
            Shown("Latency", "Time that the model servers take for a successful request: half of them, 9 of 10, and 99 "
                  "of 100 take less.", units.Seconds, "No requests in this time"),
            tuple(
                Query(quantile(part, "model_name", of(_LATENCY, SERVED), _MICROS),
                      f"{{{{model_name}}}} p{100 * part:g}")
                for part in (0.5, 0.9, 0.99)
            ),
        ),
        panels.lines(
            Shown("Requests under way in the models", "Average number of requests that TensorFlow computes at a time, "
                  "by server: as many as it has cores is a full load.", units.Short, "No requests in this time"),
            (Query(f"{total('instance, model_name', rate(of(f'{_RUNTIME}_sum', SERVED)))} / {_MICROS:g}",
                   "{{model_name}} {{instance}}"),),
        ),
        panels.lines(
            Shown("Requests by server", "Requests per second of each model server: a server without any is not in the "
                  "Service, or its clients keep old connections.", units.RequestsPerSecond, "No requests in this time"),
            (Query(total("instance", rate(of(_COUNT, SERVED))), "{{instance}}"),),
        ),
        panels.lines(
            Shown("Loaded versions", "Times that the servers have loaded a version since they started. A status other "
                  "than success is a version that cannot be loaded.", units.Short, "No server has loaded a version",
                  decimals=0),
            (Query(total("model_path, status", of(":tensorflow:cc:saved_model:load_attempt_count", SERVED_FILES)),
                   "{{status}} {{model_path}}"),),
        ),
    ))  # fmt: skip


def _gateway() -> Section:
    buckets = of("envoy_cluster_upstream_rq_time_bucket", ROUTED)
    return Section("Gateway (models without a candidate are counted together, as *)", (
        panels.lines(
            Shown("Requests by route", "Requests per second that the servers answered; mirror are copies.",
                  units.RequestsPerSecond, "No requests in this time, or no gateway"),
            (Query(answered("model, route, protocol", ROUTED), "{{model}} {{route}} {{protocol}}"),),
            stacked=True,
        ),
        panels.lines(
            Shown("Failed by route", "Requests per second that failed, or that the client gave up.",
                  units.RequestsPerSecond, "No request failed in this time"),
            tuple(
                Query(failed, f"{{{{model}}}} {{{{route}}}} {kind}")
                for kind, failed in failures("model, route", ROUTED).items()
            ),
        ),
        panels.lines(
            Shown("Latency by route", "Time that the servers took to answer the gateway.", units.Seconds,
                  "No requests in this time"),
            tuple(
                Query(quantile(part, "model, route", buckets, _MILLIS), f"{{{{model}}}} {{{{route}}}} p{100 * part:g}")
                for part in (0.5, 0.99)
            ),
        ),
        panels.lines(
            Shown("Dropped", "Copies that a slow candidate did not get, of all models, and requests that the recorder "
                  "did not get in time.", units.RequestsPerSecond, "No gateway"),
            tuple(
                Query(or_zero(total("", rate(of(metric))), answered("", ROUTED)), legend)
                for metric, legend in (
                    ("envoy_cluster_copies_upstream_rq_active_overflow", "copies"),
                    ("envoy_access_logs_grpc_access_log_logs_dropped", "not recorded"),
                )
            ),
        ),
    ))  # fmt: skip


def _log() -> Section:
    received = total("", rate(of("tiffin_recorder_requests_total", MODELS)))
    return Section("Prediction log", (
        panels.lines(
            Shown("Recorded requests", "Requests per second that the recorder received, and rows per second in files "
                  "that are stored. A file is stored after a minute.", units.RequestsPerSecond,
                  "No requests in this time"),
            (Query(total("model, route", rate(of("tiffin_recorder_requests_total", MODELS))), "{{model}} {{route}}"),
             Query(total("model", rate(of("tiffin_recorder_rows_total", MODELS))), "{{model}} stored rows")),
        ),
        panels.lines(
            Shown("Left out", "Requests per second that are not in the log, and values or bodies that were replaced, "
                  "of all models: see how-to/prediction-log for the reasons.", units.RequestsPerSecond, "No recorder"),
            (Query(or_zero(total("", rate(of("tiffin_recorder_dropped_requests_total"))), received), "not in the log"),
             Query(total("reason", rate(of("tiffin_recorder_dropped_requests_total"))), "{{reason}}"),
             Query(total("reason", rate(of("tiffin_recorder_problems_total"))), "replaced: {{reason}}"),
             Query(total("", rate(of("tiffin_recorder_dropped_rows_total"))), "rows of files that were not stored")),
        ),
        panels.lines(
            Shown("Lag", "Time since a recorder has stored a file. It grows while there are no requests; with "
                  "requests, more than two minutes mean that files cannot be stored.", units.Seconds, "No recorder",
                  width=8),
            (Query(largest("instance", of("tiffin_recorder_seconds_since_last_file")), "{{instance}}"),),
        ),
        panels.lines(
            Shown("Waiting", "Entries that a recorder has not written yet, and files that it has not stored yet.",
                  units.Short, "No recorder", width=8),
            (Query(largest("instance", of("tiffin_recorder_queue_entries")), "{{instance}} entries"),
             Query(largest("instance", of("tiffin_recorder_waiting_files")), "{{instance}} files")),
        ),
        panels.lines(
            Shown("Sent to the recorder", "Share of the requests that a recorder has time for: less than all on a busy "
                  "machine, where it leaves requests out.", units.PercentUnit, "No recorder", width=8),
            (Query(f"min by (instance) ({of('tiffin_recorder_sent_share')})", "{{instance}}"),),
            high=1,
        ),
    ))  # fmt: skip
