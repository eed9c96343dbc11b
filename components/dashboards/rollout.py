"""The dashboard of a rollout: which versions answer, and the candidate beside the version in production."""

from typing import Any

from grafana_foundation_sdk.models import units

from dashboards import frame, panels
from dashboards.frame import Section
from dashboards.panels import Query, Shown
from dashboards.queries import MODEL, answered, failures, largest, number_of, of, quantile

_BUCKETS = of("envoy_cluster_upstream_rq_time_bucket", MODEL)
_MILLIS = 1e3
# Number that stands for a state or an outcome, to its text and color.
_STATES = {
    1: ("starting", panels.BLUE),
    2: ("running", panels.BLUE),
    3: ("paused", panels.YELLOW),
    4: ("promoting", panels.GREEN),
    5: ("ending", panels.GREY),
    6: ("over", panels.GREY),
}
_OUTCOMES = {
    0: ("under way", panels.BLUE),
    1: ("promoted", panels.GREEN),
    2: ("inconclusive", panels.YELLOW),
    3: ("aborted", panels.RED),
}


def make() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.make(
        "tiffin-rollout",
        "Rollout",
        "Which versions answer, and is the candidate worse than the version in production?",
        (_standing(), _course(), _traffic(), _comparison()),
        (frame.namespace(), frame.model()),
        "now-6h",
        "1m",
    )


def _standing() -> Section:
    by = "role, version"
    return Section("Standing", (
        panels.rows(
            Shown("Versions", "Version in production (stable) and its candidate, with their shares of the requests. "
                  "Without a rollout there is no candidate.", units.PercentUnit, "No such model", width=10, height=6),
            ("role", "version"),
            (
                Query(f"0 * {largest(by, of('tiffin_serving_version_info', MODEL))} + on (role, version) group_left () "
                      f"{largest(by, of('tiffin_serving_weight', MODEL))}", "share of the requests"),
            ),
        ),
        panels.number(
            Shown("Last change", "Time of the last deployment, promotion or rollback.", units.DateTimeFromNow,
                  "Never changed", width=7, height=6),
            Query(f"1000 * {largest('model', of('tiffin_serving_last_change_timestamp_seconds', MODEL))}", "{{model}}"),
        ),
        panels.number(
            Shown("Copied requests",
                  "Share of the requests of which the candidate gets a copy: clients do not get its answer.",
                  units.PercentUnit, "No candidate", width=7, height=6),
            Query(largest("version", of("tiffin_serving_mirror_share", MODEL)), "version {{version}}"),
        ),
    ))  # fmt: skip


def _course() -> Section:
    version, empty = "version {{version}}", "No rollout yet"
    names = {number: text for number, (text, _) in _STATES.items()}
    outcomes = {number: text for number, (text, _) in _OUTCOMES.items() if number}
    state = number_of("tiffin_rollout_state", "state", names, "version", MODEL)
    return Section("Last rollout", (
        panels.number(
            Shown("State", "State of the last rollout. Paused, requests stay divided as they are: `tiffin rollout "
                  "status` has the reason.", units.NoUnit, empty, width=6, height=5),
            Query(state, version),
            _STATES,
        ),
        panels.number(
            Shown("Outcome", "How it ended. Inconclusive: too few requests came to know anything about the candidate.",
                  units.NoUnit, empty, width=6, height=5),
            Query(number_of("tiffin_rollout_outcome", "outcome", outcomes, "version", MODEL), version),
            _OUTCOMES,
        ),
        panels.number(
            Shown("Step", "Step that it is in, or ended in, as a share of its steps; none of a direct rollout.",
                  units.PercentUnit, "No rollout with steps yet", width=6, height=5),
            Query(f"{largest('version', of('tiffin_rollout_step', MODEL))} "
                  f"/ ({largest('version', of('tiffin_rollout_steps', MODEL))} > 0)", version),
        ),
        panels.number(
            Shown("In this state or step", "Time since when it is there.", units.DateTimeFromNow, empty, width=6,
                  height=5),
            Query(f"1000 * {largest('version', of('tiffin_rollout_state_since_timestamp_seconds', MODEL))}", version),
        ),
        panels.timeline(
            Shown("Course", "States of the rollouts over time.", units.NoUnit, empty, width=24, height=5),
            Query(state, version),
            _STATES,
        ),
        panels.lines(
            Shown("Compared requests",
                  "Requests of both versions that the rollout has compared since its start, also copies.",
                  units.Short, "No rollout has compared requests in this time", decimals=0),
            (Query(largest("role, version", of("tiffin_rollout_requests", MODEL)), "{{role}}, version {{version}}"),),
        ),
        panels.lines(
            Shown("Failed of the compared requests", "Share of them that count as errors.", units.PercentUnit,
                  "No rollout has compared requests in this time", decimals=2),
            (Query(f"{largest('role, version', of('tiffin_rollout_failed_requests', MODEL))} "
                   f"/ ({largest('role, version', of('tiffin_rollout_requests', MODEL))} > 0)",
                   "{{role}}, version {{version}}"),),
        ),
    ))  # fmt: skip


def _traffic() -> Section:
    return Section("Requests", (
        panels.lines(
            Shown("Shares of the requests",
                  "Share that each version should answer, and share that is copied to the candidate.",
                  units.PercentUnit, "No such model"),
            (Query(largest("role, version", of("tiffin_serving_weight", MODEL)), "{{role}}, version {{version}}"),
             Query(largest("version", of("tiffin_serving_mirror_share", MODEL)), "copies, version {{version}}")),
            high=1,
        ),
        panels.lines(
            Shown("Answered requests", "Requests per second that the servers answered: stable, candidate, and copies "
                  "(mirror). The gateway counts a model of its own only while it has a candidate.",
                  units.RequestsPerSecond, "No candidate in this time, or no requests"),
            (Query(answered("route", MODEL), "{{route}}"),),
            stacked=True,
        ),
        panels.timeline(
            Shown("Versions over time", "Which version had which role.", units.NoUnit, "No such model", width=24,
                  height=6),
            Query(largest("role, version", of("tiffin_serving_version_info", MODEL)), "{{role}}, version {{version}}"),
            {1: ("served", panels.BLUE)},
        ),
    ))  # fmt: skip


def _comparison() -> Section:
    empty = "No candidate in this time, or no requests"
    parts = failures("route", MODEL)
    # A request that the client gave up has no answer.
    ended = f"({answered('route', MODEL)} + {parts['given up by the client']})"
    return Section("Candidate beside the version in production", (
        panels.lines(
            Shown("Failed", "Share of the requests that failed, or that the client gave up.", units.PercentUnit, empty,
                  decimals=2),
            (Query(f"({' + '.join(parts.values())}) / ({ended} > 0)", "{{route}}"),),
        ),
        panels.lines(
            Shown("Failed by reason",
                  "Requests per second that failed by gRPC and by REST, and that the client gave up.",
                  units.RequestsPerSecond, "No request failed in this time"),
            tuple(Query(failed, f"{{{{route}}}} {kind}") for kind, failed in parts.items()),
        ),
        panels.lines(
            Shown("Latency", "Time that the servers took: half of the answers, and 99 of 100, took less.",
                  units.Seconds, empty),
            tuple(
                Query(quantile(part, "route", _BUCKETS, _MILLIS), f"{{{{route}}}} p{100 * part:g}")
                for part in (0.5, 0.99)
            ),
        ),
        panels.lines(
            Shown("Latency of the candidate, as a multiple of that in production", "Above 1, the candidate is slower. "
                  "A rollout compares with a limit of 1.5, unless it was started with another one, and with regard to "
                  "chance.",
                  units.Short, empty, decimals=2),
            tuple(
                Query(f"{_quantile(part, 'candidate|mirror')} / on () group_left () {_quantile(part, 'stable')}",
                      f"{{{{route}}}} p{100 * part:g}")
                for part in (0.5, 0.99)
            ),
            limit=1.5,
        ),
    ))  # fmt: skip


def _quantile(part: float, route: str) -> str:
    return quantile(part, "route", of("envoy_cluster_upstream_rq_time_bucket", MODEL, f'route=~"{route}"'), _MILLIS)
