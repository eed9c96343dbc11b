"""Findings about a model in production, and the verdict that follows from them."""

import math
from collections.abc import Iterable, Mapping, Sequence

from tiffin.artifacts.anomalies import Anomaly
from tiffin.artifacts.drift import Drift
from tiffin.artifacts.monitoring import Finding, Traffic, Verdict, join_traffic, traffic_of
from tiffin.artifacts.numbers import format_number, format_share
from tiffin.artifacts.performance import Compared, Keys, Labelled, Performance
from tiffin.artifacts.verdict import Evaluation
from tiffin.drift.chance import wilson
from tiffin.performance.comparison import p_of_loss, reference_of, worse
from tiffin.performance.ranked import LEVEL
from tiffin.quality.definitions import HIGHER_IS_BETTER
from tiffin.serving.recording import KEY_VARIABLE

# Codes of findings, with what to do. The first one that was found decides what the verdict says.
ACTIONS = {
    "NO_LOG": "Check that requests go through the gateway and are recorded: tiffin gateway --status.",
    "NO_REQUESTS": "Check that clients send requests through the gateway: tiffin gateway --status.",
    "OTHER_VERSIONS": "Monitor the version that answers the requests.",
    "ERROR_RATE": "See the errors in the prediction log; if they began with this version: tiffin models rollback {model}.",
    "LATENCY": "See the load of the model servers; add servers, or roll back: tiffin models rollback {model}.",
    "CONCEPT_DRIFT": "Train again on the newest labelled data, or roll back: tiffin models rollback {model}.",
    "WORSE_THAN_TRAINING": "Train again on the newest labelled data, or roll back: tiffin models rollback {model}.",
    "WORSE_BY_DATA_DRIFT": "Train again on the newest labelled data: the inputs have moved to where the model is worse.",
    "BEYOND_BOUND": "Train again on the newest labelled data, or roll back: tiffin models rollback {model}.",
    "ESTIMATED_WORSE": "Get labels of these requests, and train again if they confirm the estimate.",
    "ANOMALY": "Fix the data where it comes from, or train again if it is right.",
    "DATA_DRIFT": "Train again on newer data if it stays; labels would tell whether the answers are worse.",
    "PREDICTION_DRIFT": "Look at the inputs that moved; labels would tell whether the answers are worse.",
}
_LISTED = 3
_KEYS: Mapping[Keys, str] = {
    "NO_SECRET": f"the prediction log has keys as hashes, and {KEY_VARIABLE}, the secret of the recorder, is not set in this "
    "step. Set it, on Kubernetes by the secret tiffin-log-key, or join by request_id",
    "OTHER_SECRET": f"the prediction log has keys as hashes, and none is that of a label with {KEY_VARIABLE} of this step. "
    "Set the secret that the recorder has, or join by request_id",
    "LEFT_OUT": "no answer has a key in the prediction log, which leaves keys out by its settings, or clients send none in the "
    "header x-tiffin-key. Join by request_id, or see tiffin models record",
}
# An estimate is worse if it differs by a tenth of the value at training, and by more than chance at the level of the tests.
_MARGIN_SHARE = 0.1


def judge_traffic(
    traffic: Sequence[Traffic], version: int, max_error_share: float, max_p99_seconds: float
) -> list[Finding]:
    """Return the findings about the requests of a version that clients sent, without copies.

    Args:
        traffic: Requests by version and route.
        version: The version; failed requests that reached none count too.
        max_error_share: Share of failed requests that is allowed, from 0 to 1. The lower end of the 95 % interval counts.
        max_p99_seconds: 99th percentile of the latency that is allowed; 0 to allow any.
    """
    own = traffic_of(traffic, version)
    together = join_traffic(own, version)
    found = []
    if together.requests:
        share, low, _ = wilson(together.failed, together.requests)
        if low > max_error_share:
            most = max(sorted(together.errors), key=lambda code: together.errors[code])
            text = (
                f"{together.failed:,} of {together.requests:,} requests failed ({format_share(share)}, at least "
                f"{format_share(low)} with 95 % confidence; allowed {format_share(max_error_share)}), most with {most}"
            )
            found.append(Finding("ERROR_RATE", "degraded", text))
    for one in own:
        p99 = one.quantile(0.99)
        if max_p99_seconds and p99 is not None and p99 > max_p99_seconds:
            text = (
                f"99 % of the requests by the route {one.route} took up to {format_number(1000 * p99)} ms "
                f"(allowed {format_number(1000 * max_p99_seconds)} ms)"
            )
            found.append(Finding("LATENCY", "degraded", text))
    return found


def judge_data(
    skew: Drift | None,
    anomalies: Sequence[Anomaly],
    importance: Mapping[str, bool],
    names: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return the findings about the inputs.

    Args:
        skew: Drift of the inputs from the training data.
        anomalies: Violations of the schema.
        importance: Column to whether it contributes to the predictions.
        names: Column to its name in the data, of those that were renamed. Defaults to none.
    """
    names = names or {}
    found = [
        Finding(
            "ANOMALY",
            "drifted" if importance.get(one.column, True) else "info",
            f"'{names.get(one.column, one.column)}': {one.summary}",
            one.column,
        )
        for one in anomalies
    ]
    for column in skew.columns if skew else ():
        if column.drifted:
            how = column.reason if column.kind == "absent" else f"drifted: {column.reason}"
            share = "" if column.importance is None else f"; {format_share(column.importance)} of the attributions"
            severity = "drifted" if column.counts else "info"
            text = f"'{names.get(column.column, column.column)}' {how}{share}"
            found.append(Finding("DATA_DRIFT", severity, text, column.column))  # type: ignore[arg-type]
    return found


def judge_predictions(predictions: Drift | None) -> list[Finding]:
    """Return the findings about the outputs."""
    return [
        Finding("PREDICTION_DRIFT", "drifted", f"the output '{column.column}' drifted: {column.reason}", column.column)
        for column in (predictions.columns if predictions else ())
        if column.drifted
    ]


def judge_performance(performance: Performance | None, evaluation: Evaluation | None) -> list[Finding]:
    """Return the findings about the answers, by their labels or, without these, by the estimate.

    Args:
        performance: How well the version answers.
        evaluation: Evaluation at training.
    """
    if performance is None:
        return []
    found = _judge_keys(performance.labelled) if performance.labelled else []
    told = ""
    if performance.diagnosis and performance.diagnosis.code in ("CONCEPT_DRIFT", "DATA_DRIFT"):
        told = performance.diagnosis.metric
        code = "CONCEPT_DRIFT" if performance.diagnosis.code == "CONCEPT_DRIFT" else "WORSE_BY_DATA_DRIFT"
        found.append(Finding(code, "degraded", performance.diagnosis.text))
    for one in worse(performance.compared):
        if one.metric != told:
            found.append(Finding("WORSE_THAN_TRAINING", "degraded", _loss(one)))
    for part in performance.compared_slices:
        column = part.columns[0] if len(part.columns) == 1 else ""
        for one in worse(part.compared):
            found.append(Finding("WORSE_THAN_TRAINING", "degraded", _loss(one, f" of {part.slice}"), column))
    for bound in performance.bounds:
        if bound.code == "BEYOND_BOUND":
            where = f" of {bound.slice}" if bound.slice else ""
            text = (
                f"{bound.metric}{where} is {_short(bound.value)} ({_short(bound.low)} to {_short(bound.high)}) in "
                f"{bound.rows:,} rows with labels, beyond the gate's bound {_short(bound.bound)}"
            )
            found.append(Finding("BEYOND_BOUND", "degraded", text))
    return [*found, *_judge_estimate(performance, evaluation)]


def _judge_keys(labelled: Labelled) -> list[Finding]:
    """Return a finding if labels cannot be joined by key for the settings of the log, with what to do."""
    if labelled.keys not in _KEYS:
        return []
    found = f"{labelled.unknown:,} of {labelled.labels:,} labels found no answer"
    return [Finding(f"KEYS_{labelled.keys}", "info", f"{found}: {_KEYS[labelled.keys]}")]


def _loss(one: Compared, where: str = "") -> str:
    shown = f"{one.metric}{where} is {_short(one.value)} in {one.rows:,} rows with labels"
    return f"{shown}; {_short(one.reference)} at training"


def _judge_estimate(performance: Performance, evaluation: Evaluation | None) -> list[Finding]:
    """Return a finding if the estimate of the main metric is worse than at training by more than chance, and by what matters."""
    estimated, metric = performance.estimated, performance.metric
    known = reference_of(evaluation) if evaluation else None
    now, before = (one.metrics.get(metric) if one else None for one in (estimated, known))
    if estimated is None or known is None or now is None or before is None:
        return []
    loss = (before - now) if HIGHER_IS_BETTER[metric] else (now - before)
    error = math.hypot(estimated.errors.get(metric, 0.0), known.errors.get(metric, 0.0))
    if loss < _MARGIN_SHARE * abs(before) or p_of_loss(loss, error) > LEVEL:
        return []
    text = f"{metric} is estimated as {_short(now)} from {estimated.rows:,} answers; {_short(before)} at training"
    return [Finding("ESTIMATED_WORSE", "info" if performance.measured else "degraded", text)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def decide(findings: Iterable[Finding], model: str, *, has_data: bool) -> tuple[Verdict, str, str, tuple[Finding, ...]]:
    """Return the verdict, its reason in one line, what to do, and the findings with the deciding ones first.

    Args:
        findings: All findings.
        model: Name of the model.
        has_data: Whether the version has any requests.
    """
    order = {"degraded": 0, "drifted": 1, "info": 2}
    codes = list(ACTIONS)
    ranked = sorted(
        findings, key=lambda one: (order[one.severity], codes.index(one.code) if one.code in codes else len(codes))
    )
    worst = ranked[0].severity if ranked else "info"
    verdict: Verdict = "healthy"
    if not has_data:
        verdict = "no_data"
    elif worst != "info":
        verdict = worst
    if verdict == "healthy":
        return verdict, "No error, drift or loss of quality beyond chance.", "Nothing.", tuple(ranked)
    deciding = [one for one in ranked if one.severity == worst] if verdict != "no_data" else ranked[:1]
    listed = "; ".join(one.text for one in deciding[:_LISTED])
    more = f"; and {len(deciding) - _LISTED} more" if len(deciding) > _LISTED else ""
    action = ACTIONS[deciding[0].code].format(model=model) if deciding else ""
    return verdict, f"{listed}{more}.", action, tuple(ranked)
