"""The gate: check a model's metrics against the gate document and guessing, and return a verdict with reasons."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN

from tiffin.artifacts.measures import ClassRecall, Fairness, Interval, Slice
from tiffin.artifacts.verdict import Check, Serving, Verdict
from tiffin.errors import InputError
from tiffin.quality.definitions import MAIN, Comparison
from tiffin.stages.evaluate.document import Bound, Gate, ServingRule
from tiffin.stages.evaluate.reasons import on_rows, short

# Name of the check of the label's classes: the number of rows with a class absent in training, at most 0.
UNKNOWN_CLASSES = "rows_of_unknown_classes"
# Name of the check of the model server's answers: the number of rows with other values, at most 0.
SERVED_DIFFERENTLY = "rows_served_differently"
_NAMED = 5
# Reasons in the line of the verdict; all checks are in the evaluation.
_MOST_REASONS = 6


def judge(checks: Sequence[Check]) -> Verdict:
    """Return the verdict: a model passes if every check does.

    The reason names the checks that failed, or, of a model that passes, those that are not of single slices or groups, nor
    of the answers of the model server.
    """
    failed = [check for check in checks if not check.passed]
    told = failed or [check for check in checks if check.code not in ("SLICE", "FAIRNESS", "SERVING")]
    more = [f"{len(told) - _MOST_REASONS} more checks {'failed' if failed else 'passed'}"][: len(told) > _MOST_REASONS]
    return Verdict(not failed, "; ".join([check.reason for check in told[:_MOST_REASONS]] + more) + ".", tuple(checks))


def check_bounds(
    gate: Gate,
    found: Mapping[str, float | None],
    rows: int,
    intervals: Mapping[str, Interval] | None = None,
    per_class: Sequence[ClassRecall] = (),
) -> list[Check]:
    """Return the checks of absolute bounds.

    Args:
        gate: The gate document.
        found: Metrics by name; None for a metric that could not be measured, which fails its check.
        rows: Number of rows.
        intervals: Intervals of the metrics. Defaults to none.
        per_class: Recall of each class. Defaults to none.

    Raises:
        InputError: A bound names a class that the model does not have.
    """
    intervals = intervals or {}
    recalls = {one.name: one for one in per_class}
    checks = []
    for bound in sorted(gate.bounds, key=lambda bound: (bound.metric, bound.of_class)):
        name, value, ends, of = bound.metric, found.get(bound.metric), intervals.get(bound.metric), rows
        if bound.of_class:
            if bound.of_class not in recalls:
                raise InputError(
                    f"gate.bounds should name classes of the model: {', '.join(recalls)}. "
                    f"Received: of_class={bound.of_class!r}."
                )
            one = recalls[bound.of_class]
            name, value, ends, of = f"{name} of '{one.name}'", one.recall, one.interval, one.rows
        checks += _limits(name, bound, value, ends, of, bound.metric)
    return checks


def _limits(name: str, bound: Bound, value: float | None, ends: Interval | None, rows: int, metric: str) -> list[Check]:
    checks = []
    for limit, at_least in ((bound.min, True), (bound.max, False)):
        if limit is None:
            continue
        tested = value
        if bound.interval:
            tested = None if ends is None else ends.low if at_least else ends.high
        passed, text = _within(name, tested, limit, at_least)
        if bound.interval and tested is not None and value is not None and ends is not None:
            text = f"{name} {value:.6g} ({ends.low:.6g} to {ends.high:.6g}) is {'' if passed else 'not '}{_rule(limit, at_least)}"
        checks.append(_check(metric, value, limit, passed, text, ends, rows, slice=name if bound.of_class else ""))
    return checks


def check_size(gate: Gate, rows: int) -> list[Check]:
    """Return the check of the number of rows, if the gate has a minimum."""
    if not gate.min_rows:
        return []
    passed, text = _within("rows", float(rows), float(gate.min_rows), at_least=True)
    return [_check("rows", float(rows), float(gate.min_rows), passed, text, None, rows, "ROWS")]


def check_calibration(
    gate: Gate, found: Mapping[str, float | None], intervals: Mapping[str, Interval], rows: int
) -> list[Check]:
    """Return the check of the calibration error, if the gate has a maximum."""
    if gate.calibration is None:
        return []
    name = "calibration_error"
    passed, text = _within(name, found.get(name), gate.calibration, at_least=False)
    return [_check(name, found.get(name), gate.calibration, passed, text, intervals.get(name), rows, "CALIBRATION")]


def check_slices(gate: Gate, slices: Mapping[int, Sequence[Slice]]) -> list[Check]:
    """Return the checks of slices.

    Args:
        gate: The gate document.
        slices: Index of a rule to the slices that it applies to.
    """
    checks = []
    for number, rule in enumerate(gate.slices):
        shown = " and ".join(rule.columns)
        for limit, at_least in ((rule.min, True), (rule.max, False)):
            if limit is None:
                continue
            if not slices[number]:
                text = f"no group of {shown} has {rule.min_rows} rows, so {rule.metric} could not be measured in slices"
                checks.append(_check(rule.metric, None, limit, False, text, None, 0, "SLICE", shown))
            for one in slices[number]:
                value = one.metrics.get(rule.metric)
                passed, text = _within(rule.metric, value, limit, at_least)
                text = f"{text} where {one.value} ({one.rows:,} rows)"
                ends = one.intervals.get(rule.metric)
                checks.append(_check(rule.metric, value, limit, passed, text, ends, one.rows, "SLICE", one.value))
    return checks


def check_fairness(gate: Gate, fairness: Mapping[int, Fairness]) -> list[Check]:
    """Return the checks of sensitive columns.

    Args:
        gate: The gate document.
        fairness: Index of a rule to the differences between the groups of its column.
    """
    checks = []
    for number, rule in enumerate(gate.fairness):
        found = fairness[number]
        value, rows = found.measures.get(rule.measure), sum(group.rows for group in found.groups)
        for limit, at_least in ((rule.min, True), (rule.max, False)):
            if limit is not None:
                passed, text = _within(f"{rule.measure} of {found.column}", value, limit, at_least)
                ends = found.intervals.get(rule.measure)
                checks.append(_check(rule.measure, value, limit, passed, text, ends, rows, "FAIRNESS", found.column))
    return checks


def check_serving(rule: ServingRule, found: Serving | None) -> list[Check]:
    """Return the checks of the model in a model server: its answers, and its bounds; none without a server."""
    if found is None:
        return []
    rows = found.rows + found.trainer_rows
    wrong = None if found.differing_rows is None else float(found.differing_rows)
    reason = f"the model server {found.problem or f'answered {rows:,} rows as the model in training'}"
    checks = [Check(SERVED_DIFFERENTLY, wrong, 0.0, not found.problem, reason, rows=rows, code="SERVING")]
    for name, value, limit, code in (
        ("size_mb", found.size_bytes / 1e6, rule.max_size_mb, "SIZE"),
        ("load_seconds", found.load_seconds, rule.max_load_seconds, "LOAD_TIME"),
        ("p99_ms", found.p99_ms, rule.max_p99_ms, "LATENCY"),
    ):
        if limit is not None:
            passed, text = _within(name, value, limit, at_least=False)
            checks.append(Check(name, value, limit, passed, text, code=code))
    return checks


def check_classes(classes: Mapping[str, int]) -> list[Check]:
    """Return the check of the classes that were absent in training, each with its number of rows; none without any."""
    if not classes:
        return []
    rows = sum(classes.values())
    first = sorted(classes.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    named = ", ".join(f"'{name}' ({count})" for name, count in first)
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    reason = (
        f"{rows} {'row has a class that was' if rows == 1 else 'rows have classes that were'} not in training, "
        f"{named}{more}: train with rows of {'it' if len(classes) == 1 else 'them'}, or leave them out of the data"
    )
    return [Check(UNKNOWN_CLASSES, float(rows), 0.0, False, reason, rows=rows, code="UNKNOWN_CLASSES")]


def check_baseline(task: str, values: Mapping[str, float | None], found: Comparison, gain: float = 0.0) -> Check:
    """Return the check against guessing.

    Args:
        task: `binary`, `multiclass` or `regression`.
        values: Metrics and baselines by name.
        found: The model beside guessing, by the main metric.
        gain: Share of the metric of guessing that the model must be better by. Defaults to 0.
    """
    metric = MAIN[task]
    value, bound, rows = values[metric], values[f"baseline_{metric}"], found.rows
    constant = "the label's mean" if metric == "rmse" else "the shares of the classes"
    where = on_rows(rows)
    if bound is None:  # beyond the range of float64
        bound, value = 0.0, None
    if value is None or found.at_least is None:
        reason = f"{metric} could not be measured, so it is not better than guessing ({short(bound)})"
        return Check(metric, None, bound, False, reason, None, rows, "BASELINE")
    gained = bound - value
    margin = float(f"{gained - found.at_least:.8g}")
    passed = found.at_least > gain * bound
    if passed or found.at_least > 0:
        reason = (
            f"{metric} {short(value)} is better than guessing ({short(bound)}) by {short(gained, 3)}, "
            f"at least {short(found.at_least, 2, ROUND_DOWN)} with 95 % confidence {where}"
        )
        if not passed:
            reason += (
                f", not by more than {short(gain * bound, 3)} ({gain * 100:g} % of guessing), as the gate requires"
            )
    elif bound == 0:
        reason = (
            f"{metric} {short(value)} is not better than guessing (0): the label has a single value {where}, which shows "
            "nothing about the model: add rows to the split"
        )
    elif gained > 0:
        reason = (
            f"{metric} {short(value)} is not clearly better than guessing, always predicting {constant} ({short(bound)}): "
            f"it is better by {short(gained, 3)}, and {short(margin, 3)} may be chance {where}: "
            "add rows to the split, or features"
        )
    else:
        reason = (
            f"{metric} {short(value)} is not better than guessing, always predicting {constant} ({short(bound)}), "
            f"{where}: add features, or rows to train on"
        )
    return Check(metric, value, bound, passed, reason, margin, rows, "BASELINE")


def _within(name: str, value: float | None, limit: float, at_least: bool) -> tuple[bool, str]:
    """Return whether a value meets a limit, and the sentence."""
    rule = _rule(limit, at_least)
    if value is None:
        return False, f"{name} could not be measured, so it is not {rule}"
    passed = value >= limit if at_least else value <= limit
    return passed, f"{name} {value:.6g} is {'' if passed else 'not '}{rule}"


def _rule(limit: float, at_least: bool) -> str:
    return f"at {'least' if at_least else 'most'} {limit:g}"


def _check(
    metric: str,
    value: float | None,
    limit: float,
    passed: bool,
    reason: str,
    ends: Interval | None,
    rows: int,
    code: str = "BOUND",
    slice: str = "",
) -> Check:
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    return Check(metric, value, limit, passed, reason, rows=rows, code=code, slice=slice, low=low, high=high)
